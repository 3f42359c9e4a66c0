"""Bodies of requests: received whole and within limits before anybody works on them."""

import asyncio
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facesearch.service.problems import Problem
from facesearch.service.settings import MIB, Limits


class BodyLimits:
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
                raise Problem(408, "the request did not arrive in time") from None
        except Problem as problem:
            self.held -= taken.bytes
            await refuse(problem, scope, receive, self._patient(send), self._limits)
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


async def refuse(
    problem: Problem, scope: Scope, receive: Receive, send: Send, limits: Limits
) -> None:
    """Answer before the body is there.

    A connection that is closed while the client still sends may lose the answer: what comes is
    thrown away for a moment.
    """
    problem.headers["Connection"] = "close"

    async def lingering(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.pause_seconds):
                    await _thrown_away(receive, limits.request_bytes)
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    await problem.response()(scope, receive, lingering)


async def _thrown_away(receive: Receive, most: int) -> None:
    while most > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return
        most -= len(message.get("body", b""))


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
