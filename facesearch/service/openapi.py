"""The OpenAPI description of the service, with problems in place of FastAPI's own errors."""

from typing import Any

from fastapi import FastAPI

from facesearch.service.problems import MEDIA

PROBLEM = {
    "type": "object",
    "description": "RFC 9457 problem details; `error` is the class of the error, if it has one.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "One line, as the command line prints it."},
        "error": {"type": "string"},
    },
    "example": {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Alice: nobody of this name is enrolled",
        "error": "UnknownPerson",
    },
}
ANSWER = {
    "description": "A problem.",
    "content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def described(app: FastAPI) -> None:
    """Describe for every operation of `app` that it may answer with a problem."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made()
            schemas = schema["components"]["schemas"]
            schemas["Problem"] = PROBLEM
            for own in ("HTTPValidationError", "ValidationError"):
                schemas.pop(own, None)
            paths = schema["paths"]
            schema["paths"] = {_plain(path): methods for path, methods in paths.items()}
            for methods in schema["paths"].values():
                for operation in methods.values():
                    operation["responses"].pop("422", None)
                    operation["responses"]["default"] = ANSWER
        return app.openapi_schema or made()

    app.openapi = openapi  # type: ignore[method-assign]


def _plain(path: str) -> str:
    """Write a path as OpenAPI does, without the converter of a name."""
    return path.replace(":path}", "}")
