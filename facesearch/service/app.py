"""The service as one ASGI application."""

import logging
import time
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.formparsers import MultiPartParser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facesearch.core.internal_errors import line_of
from facesearch.core.version import __version__
from facesearch.service.auth import Access
from facesearch.service.body_limits import BodyLimits
from facesearch.service.metrics import Metrics
from facesearch.service.openapi import described
from facesearch.service.page import page
from facesearch.service.problems import Problem, handle
from facesearch.service.routes import curation, health, jobs, models, people, search
from facesearch.service.settings import Settings
from facesearch.service.state import Service

log = logging.getLogger("facesearch.service")

METHODS = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=()",
}


def create_app(settings: Settings) -> FastAPI:
    """Raises FacesearchError if the gallery or the model cannot be used."""
    service = Service(settings)
    # uploads stay in memory: BodyLimits has bounded them
    MultiPartParser.spool_max_size = settings.limits.request_bytes

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        service.close()

    app = FastAPI(
        title="facesearch",
        version=__version__,
        description="Who is this, and are these two the same person?",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        lifespan=life,
    )
    app.state.facesearch = service
    handle(app)
    for part in (search, people, curation, jobs, models, health):
        app.include_router(part.router)
    app.mount("/", page())
    described(app)
    app.add_middleware(BodyLimits, limits=settings.limits)
    app.add_middleware(Access, settings=settings)
    app.add_middleware(ResponseMiddleware, metrics=service.metrics)
    return app


class ResponseMiddleware:
    """Adds headers to every answer, logs every request, and turns a fault into a problem."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.monotonic()
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _headers(scope, message["headers"])
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except TimeoutError:
            log.info("a client did not read its answer")
        except Exception as error:  # its message may hold somebody's name
            log.error(line_of(error))
            if not status:
                problem = Problem(500, "internal error of facesearch; the log says where")
                await problem.response()(scope, receive, sending)
        route = getattr(scope.get("route"), "path", "-")
        took = 1000 * (time.monotonic() - began)
        log.info("%s %s %d %.0f ms", scope["method"], route, status, took)
        method = scope["method"] if scope["method"] in METHODS else "other"  # a label for each
        self._metrics.answered(method, route, status, took / 1000)


def _headers(scope: Scope, given: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    found: MutableMapping[bytes, bytes] = {
        name.lower().encode(): value.encode() for name, value in HEADERS.items()
    }
    if scope["path"].startswith("/v1/"):
        found[b"cache-control"] = b"no-store"
    there = {name.lower() for name, _ in given}
    return [*given, *((name, value) for name, value in found.items() if name not in there)]
