"""Health, metrics and sessions."""

from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from facesearch.core.errors import FacesearchError
from facesearch.serialization.responses import Health, Session
from facesearch.service import metrics
from facesearch.service.auth import (
    COOKIE,
    COOKIE_SECONDS,
    Role,
    at_least,
    session,
    token_of,
    unauthorised,
)
from facesearch.service.problems import Problem
from facesearch.service.state import Shared

router = APIRouter(tags=["service"])


@router.get("/healthz")
async def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz")
async def readyz(service: Shared) -> Health:
    """The gallery can be searched, or is empty; otherwise 503."""
    if service.stopping.is_set():
        raise Problem(503, "stopping")
    try:
        await service.work(service.check)
    except FacesearchError as error:
        raise Problem(503, "the gallery cannot be used now", type(error).__name__) from error
    return Health(status="ok")


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' format."}},
    dependencies=[at_least(Role.search)],
)
async def numbers(service: Shared) -> Response:
    """Counts and times of requests, and how busy the service is."""
    return Response(service.metrics.text(), media_type=metrics.MEDIA)


@router.get("/v1/session")
async def who(service: Shared, request: Request) -> Session:
    """What the token or cookie of the request may do."""
    role = request.scope["state"]["role"]
    name = None if role is None else role.name
    return Session(role=name, tokens=bool(service.settings.tokens))


@router.post("/v1/session", response_model=Session)
async def enter(service: Shared, authorization: Annotated[str, Header()] = "") -> JSONResponse:
    """A cookie for some hours instead of the token, for browsers; scripts cannot read it."""
    token = token_of(service.settings.tokens, authorization)
    if token is None:
        raise unauthorised()
    answer = JSONResponse({"role": token.role, "tokens": True})
    secure = service.settings.certificate is not None
    answer.set_cookie(
        COOKIE,
        session(token),
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="strict",
        secure=secure,
    )
    return answer


@router.delete("/v1/session", response_model=Session)
async def leave(service: Shared) -> JSONResponse:
    """Forget the cookie."""
    answer = JSONResponse({"role": None, "tokens": bool(service.settings.tokens)})
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
