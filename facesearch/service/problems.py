"""Errors as RFC 9457 problem details, with the messages that the command line prints."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from facesearch.core import errors
from facesearch.service.redaction import redacted
from facesearch.storage.vault import Tampered

MEDIA = "application/problem+json"
log = logging.getLogger("facesearch.service")

STATUS: tuple[tuple[type[errors.FacesearchError], int], ...] = (  # the first that fits
    (errors.TooManyPixels, 413),
    (errors.NotAnImage, 415),
    (errors.PhotoError, 422),
    (errors.UnknownPerson, 404),
    (errors.BadName, 422),
    (errors.PersonError, 409),
    (errors.CalibrationError, 422),
    (Tampered, 500),
    (errors.GalleryError, 409),
    (errors.FacesearchError, 500),
)


class Problem(Exception):
    """An error that a request is answered with."""

    def __init__(
        self, status: int, detail: str, kind: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """detail: one line for people. kind: the class of the error, if it has one."""
        super().__init__(detail)
        self.status, self.detail, self.kind = status, detail, kind
        self.headers = dict(headers or {})

    def response(self) -> JSONResponse:
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.kind:
            body["error"] = self.kind
        return JSONResponse(body, self.status, self.headers, MEDIA)


def problem_of(error: errors.FacesearchError, detail: str) -> Problem:
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    return Problem(status, detail, type(error).__name__)


def handle(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(errors.FacesearchError)
    async def _ours(request: Request, error: errors.FacesearchError) -> JSONResponse:
        service = request.app.state.facesearch
        line = await service.work(lambda: redacted(str(error), service.gallery))
        return problem_of(error, line).response()

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        messages = [
            f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
            for each in error.errors()
        ]
        return Problem(422, "; ".join(messages)).response()

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        return Problem(error.status_code, str(error.detail), headers=error.headers).response()
