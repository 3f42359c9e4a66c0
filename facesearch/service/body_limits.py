"""The bodies of requests: each is received whole, within limits, before work on it begins."""

import asyncio
from contextlib import suppress
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facesearch.service.problems import Problem
from facesearch.service.settings import MIB, Limits

OVERLOADED = "Overloaded"  # the error of a request that was refused before work on it began


class BodyLimits:
    """Receives the body of a request without holding a thread, and hands it on whole.

    Starlette's RequestBodyLimitMiddleware bounds the size of one body; this bounds also the bytes
    of all bodies together, the time between two pieces and until the whole is there, and the time
    that a client takes to read its answer.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self._limits = app, limits
        self.held = 0  # bytes of all bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        size = _Size()
        try:
            try:
                async with asyncio.timeout(self._limits.body_seconds):
                    body = await self._received(scope, receive, size)
            except TimeoutError:
                raise Problem(408, "the request did not arrive in time") from None
        except Problem as problem:
            self.held -= size.bytes
            await refuse(problem, scope, receive, self._patient(send), self._limits)
            return
        except _Gone:
            self.held -= size.bytes
            return
        try:
            await self.app(scope, _replayed(body, receive), self._patient(send))
        finally:
            self.held -= size.bytes

    async def _received(self, scope: Scope, receive: Receive, size: "_Size") -> bytes:
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
            size.bytes += len(part)
            self.held += len(part)
            if size.bytes > limit:
                raise too_large
            if self.held > self._limits.held_bytes:
                wait = {"Retry-After": "5"}
                raise Problem(
                    503, "too much is being uploaded at once; try again", OVERLOADED, wait
                )
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)

    def _patient(self, send: Send) -> Send:
        """Raise TimeoutError when the client does not read its answer."""

        async def sending(message: Message) -> None:
            async with asyncio.timeout(self._limits.pause_seconds):
                await send(message)

        return sending


async def refuse(
    problem: Problem, scope: Scope, receive: Receive, send: Send, limits: Limits
) -> None:
    """Answer with a problem before the body was received.

    Closing a connection while the client still sends may lose the answer, so what still arrives
    is read and discarded for a moment.
    """
    problem.headers["Connection"] = "close"

    async def lingering(message: Message) -> None:
        if message["type"] == "http.response.body":
            await send({**message, "more_body": True})
            with suppress(TimeoutError):
                async with asyncio.timeout(limits.pause_seconds):
                    await _discard(receive, limits.request_bytes)
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    await problem.response()(scope, receive, lingering)


async def _discard(receive: Receive, most: int) -> None:
    while most > 0:
        message = await receive()
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return
        most -= len(message.get("body", b""))


class _Size:
    bytes = 0


class _Gone(Exception):
    """The client has closed the connection."""


def _replayed(body: bytes, receive: Receive) -> Receive:
    replayed: list[Any] = []

    async def again() -> Message:
        if replayed:
            return await receive()
        replayed.append(True)
        return {"type": "http.request", "body": body, "more_body": False}

    return again
