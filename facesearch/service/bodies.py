"""Bodies of requests: received whole and within limits before anybody works on them."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facesearch.service.problems import Problem
from facesearch.service.settings import MIB, Limits


class Bodies:
    """Receives the body of a request without holding a thread, and hands it on whole."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self._limits = app, limits
        self.held = 0  # bytes of all bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        taken = _Taken()
        try:
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    body = await self._received(scope, receive, taken)
            except TimeoutError:
                headers = {"Connection": "close"}
                raise Problem(408, "the request did not arrive in time", headers=headers) from None
        except Problem as problem:
            problem.headers["Connection"] = "close"  # what is left of the body is not read
            self.held -= taken.bytes
            await problem.response()(scope, receive, self._patient(send))
            return
        except _Gone:
            self.held -= taken.bytes
            return
        try:
            await self.app(scope, _replayed(body, receive), self._patient(send))
        finally:
            self.held -= taken.bytes

    async def _received(self, scope: Scope, receive: Receive, taken: "_Taken") -> bytes:
        limit = self._limits.request_bytes
        too_large = Problem(413, f"a request of more than {limit // MIB} MiB")
        for name, value in scope["headers"]:
            if name == b"content-length" and int(value) > limit:
                raise too_large
        parts: list[bytes] = []
        while True:
            async with asyncio.timeout(self._limits.pause_seconds):
                message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            part = message.get("body", b"")
            taken.bytes += len(part)
            self.held += len(part)
            if taken.bytes > limit:
                raise too_large
            if self.held > self._limits.held_bytes:
                wait = {"Retry-After": "5"}
                raise Problem(503, "too much is being uploaded at once; try again", headers=wait)
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    def _patient(self, send: Send) -> Send:
        """A client that does not read its answer is left."""

        async def sending(message: Message) -> None:
            async with asyncio.timeout(self._limits.pause_seconds):
                await send(message)

        return sending


class _Taken:
    bytes = 0


class _Gone(Exception):
    """The client has closed the connection."""


def _replayed(body: bytes, receive: Receive) -> Receive:
    told: list[Any] = []

    async def again() -> Message:
        if told:
            return await receive()
        told.append(True)
        return {"type": "http.request", "body": body, "more_body": False}

    return again
