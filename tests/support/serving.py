"""A real service on a loopback port, in a thread of this process."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx

from facesearch.core.paths import shipped_models
from facesearch.service.auth import Role
from facesearch.service.server import listen, server_of
from facesearch.service.settings import Limits, Settings, Token
from facesearch.service.state import Service

Sent = list[tuple[str, tuple[str, bytes]]]  # files of a form
POST = b"POST /v1/identify HTTP/1.1\r\nHost: localhost\r\n"
TOKENS = tuple(Token(role.name, f"{role.name}-0123456789abcdef") for role in Role)
LIMITS = {  # narrow ones
    "photo_bytes": 300_000,
    "request_bytes": 1 << 20,
    "held_bytes": 2 << 20,
    "photos": 3,
    "pixels": 1_000_000,
    "faces": 2,
    "head_seconds": 0.6,
    "pause_seconds": 0.6,
    "body_seconds": 1.5,
    "threads": 2,
    "waiting": 2,
}


@dataclass
class Running:
    url: str
    service: Service
    http: httpx.Client

    def get(self, path: str, status: int = 200, **how: Any) -> Any:
        return self.ask("GET", path, status, **how)

    def post(self, path: str, status: int = 200, **how: Any) -> Any:
        return self.ask("POST", path, status, **how)

    def ask(self, method: str, path: str, status: int = 200, **how: Any) -> Any:
        answer = self.http.request(method, path, **how)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert set(answer.json()) <= {"type", "title", "status", "detail", "error"}
            assert "\n" not in answer.json()["detail"]
        return answer.json()

    def connect(self) -> socket.socket:
        """A bare connection."""
        url = httpx.URL(self.url)
        return socket.create_connection((url.host, url.port), timeout=20)


def settings_of(gallery: Path | str, **changes: Any) -> Settings:
    limits = Limits(**changes.pop("limits", {}))
    model = shipped_models() / "default"
    return replace(Settings(gallery, model, port=0, limits=limits), **changes)


@contextmanager
def running(gallery: Path | str, **changes: Any) -> Iterator[Running]:
    """changes: of Settings; limits: of Limits."""
    settings = settings_of(gallery, **changes)
    listening = listen(settings)
    server = server_of(settings)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    app: Any = server.config.app
    with httpx.Client(base_url=url, timeout=60) as http:
        yield Running(url, app.state.facesearch, http)
    server.should_exit = True
    thread.join(60)
    assert not thread.is_alive()
    listening.close()


def photos(*paths: Path, field: str = "photos") -> Sent:
    """As httpx sends them."""
    return [(field, (path.name, path.read_bytes())) for path in paths]


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def answered(line: socket.socket) -> bytes:
    """What comes until the other side closes."""
    line.settimeout(20)
    parts = []
    try:
        while part := line.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)
