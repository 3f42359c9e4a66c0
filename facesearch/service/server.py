"""The processes that listen: one, or several on one port."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
from functools import partial
from multiprocessing.context import SpawnProcess
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from facesearch.core.errors import FacesearchError
from facesearch.service import metrics
from facesearch.service.app import create_app
from facesearch.service.settings import Settings


def listen(settings: Settings) -> socket.socket:
    """Raises FacesearchError if the port is taken or the address is not ours."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # the protocol is named so that asyncio sets TCP_NODELAY: small answers are sent at once
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((settings.host, settings.port))
    except OSError as error:
        found.close()
        where = f"{settings.host} port {settings.port}"
        raise FacesearchError(f"{where}: cannot listen there ({error.strerror})") from error
    found.set_inheritable(True)
    return found


def run(settings: Settings, workers: int, listening: socket.socket) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises FacesearchError as `create_app` does."""
    if workers == 1:
        serve(settings, [listening])
        return
    create_app(settings).state.facesearch.close()  # raises an error once, not in each worker
    with TemporaryDirectory(prefix="facesearch-") as shared:
        os.environ[metrics.SHARED] = shared  # the processes started from now on find it there
        WorkerProcesses(settings, workers, listening).run()


def serve(settings: Settings, sockets: list[socket.socket]) -> None:
    """Serve with one process."""
    _log()
    server_of(settings).run(sockets)


def server_of(settings: Settings) -> "Server":
    """Raises FacesearchError as `create_app` does."""
    app = create_app(settings)
    limits = settings.limits
    config = uvicorn.Config(
        app,
        http=partial(HeaderTimeoutProtocol, settings.limits.head_seconds),  # type: ignore[arg-type]
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # its lines hold names
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=settings.stop_seconds,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
        h11_max_incomplete_event_size=64 << 10,
    )
    return Server(config, app.state.facesearch.stopping.set)


class WorkerProcesses:
    """Several processes that serve one port; one that dies is replaced."""

    def __init__(self, settings: Settings, count: int, listening: socket.socket) -> None:
        self._settings, self._count, self._listening = settings, count, listening
        self._stop = threading.Event()

    def run(self) -> None:
        """Serve until SIGTERM or Ctrl-C, then stop the workers and wait for them."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, frame: self._stop.set())
        processes = [self._started() for _ in range(self._count)]
        while not self._stop.wait(1):
            for place, process in enumerate(processes):
                if not process.is_alive():
                    metrics.forget_process(process.pid)
                    processes[place] = self._started()
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()

    def _started(self) -> SpawnProcess:
        # spawned, not forked: a fork would copy locks that threads hold
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(self._settings, [self._listening]), name="facesearch worker"
        )
        process.start()
        return process


class Server(uvicorn.Server):
    """Ends the answers that would go on for ever when the server stops."""

    def __init__(self, config: uvicorn.Config, stopping: Any) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop as the signal asks; unlike uvicorn, do not raise the signal again afterwards."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


class HeaderTimeoutProtocol(H11Protocol):
    """Closes the connection of a client that does not send its request line and headers in time."""

    def __init__(self, seconds: float, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seconds = seconds
        self._deadline: Any = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(self._seconds, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiting = self.conn.their_state is h11.IDLE and (
            self.cycle is None or self.cycle.response_complete
        )
        if not waiting:
            self._cancel_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self._seconds, self.transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _log() -> None:
    """Log plain lines to stderr, without names, photos or addresses of clients."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("facesearch.service")
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False
    quiet = logging.getLogger("uvicorn")
    quiet.handlers[:] = [handler]
    quiet.setLevel(logging.WARNING)
    quiet.propagate = False
