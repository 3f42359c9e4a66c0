"""Whether the service lives, and who is asking: health, metrics, sessions."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response

from facesearch.core.errors import FacesearchError
from facesearch.service import metrics, schemas
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


@router.get("/healthz", response_model=schemas.Health)
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_model=schemas.Health)
async def readyz(service: Shared) -> dict[str, str]:
    """The gallery can be searched, or is empty; 503 if it is neither."""
    if service.stopping.is_set():
        raise Problem(503, "stopping")
    try:
        await service.work(service.check)
    except FacesearchError as error:
        raise Problem(503, "the gallery cannot be used now", type(error).__name__) from error
    return {"status": "ok"}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus' format."}},
    dependencies=[at_least(Role.search)],
)
async def numbers(service: Shared) -> Response:
    """Requests, times and how busy the service is."""
    return Response(service.metrics.text(), media_type=metrics.MEDIA)


@router.get("/v1/session", response_model=schemas.Session)
async def who(service: Shared, request: Request) -> dict[str, Any]:
    """What you may do; role is null where a token is needed first."""
    role = request.scope["state"]["role"]
    return {
        "role": None if role is None else role.name,
        "tokens": bool(service.settings.tokens),
    }


@router.post("/v1/session", response_model=schemas.Session)
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


@router.delete("/v1/session", response_model=schemas.Session)
async def leave(service: Shared) -> JSONResponse:
    """Forget the cookie."""
    answer = JSONResponse({"role": None, "tokens": bool(service.settings.tokens)})
    answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return answer
