"""Requests are repeated where that is harmless, and errors are those of the gallery."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from time import monotonic

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from facesearch.client import connection
from facesearch.client.connection import TOKEN, TOKEN_FILE, Connection
from facesearch.core.errors import CalibrationError, FacesearchError, GalleryError
from facesearch.serialization.responses import Health

Answer = tuple[int, dict[str, str], bytes]  # status, headers, body
OK: Answer = (200, {}, b'{"status": "ok"}')


class Server(ThreadingHTTPServer):
    """Gives its answers one after the other, and remembers what it was asked."""

    answers: list[Answer]
    asked: list[tuple[str, str, dict[str, str]]]


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers)))
        status, headers, body = self.server.answers.pop(0)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = "Content-Length" in headers  # what breaks off

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def answering(*answers: Answer, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.answers, server.asked = list(answers), []
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def connect() -> Iterator[Callable[[Server], Connection]]:
    opened: list[Connection] = []

    def connected(server: Server) -> Connection:
        opened.append(Connection(f"http://127.0.0.1:{server.server_address[1]}/"))
        return opened[-1]

    yield connected
    for each in opened:
        each.close()


def problem(status: int, detail: str, error: str = "", **headers: str) -> Answer:
    body = {"detail": detail, "status": status, **({"error": error} if error else {})}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, named, json.dumps(body).encode()


BUSY = problem(429, "too many requests at once; try again", Retry_After="1")
LATE = problem(503, "not answered within 60 seconds; try again later", Retry_After="0")
FULL = problem(503, "too much is being uploaded at once", "Overloaded", Retry_After="0")
Connect = Callable[[Server], Connection]


def test_what_was_refused_is_asked_again_after_the_time_that_the_service_names(
    connect: Connect,
) -> None:
    with answering(BUSY, FULL, OK) as server:
        began = monotonic()
        assert connect(server).ask(Health, "POST", "/v1/x", json={}).status == "ok"
        assert monotonic() - began >= 1
        assert len(server.asked) == 3


def test_only_harmless_requests_are_repeated_once_they_may_have_begun(connect: Connect) -> None:
    with answering(LATE, OK, LATE, OK, LATE) as server:
        assert connect(server).get(Health, "/readyz").status == "ok"
        assert connect(server).ask(Health, "POST", "/v1/x", again=True).status == "ok"
        with pytest.raises(FacesearchError, match="not answered within 60 seconds"):
            connect(server).ask(Health, "DELETE", "/v1/x")
        assert len(server.asked) == 5


def test_an_error_is_told_at_once_and_is_the_gallerys(connect: Connect) -> None:
    refused = problem(422, "no threshold can be promised", "CalibrationError")
    with answering(refused, problem(401, "a token is needed"), (500, {}, b"oops"), OK) as server:
        service = connect(server)
        with pytest.raises(CalibrationError, match=r"^no threshold can be promised$"):
            service.get(Health, "/v1/x")
        with pytest.raises(FacesearchError, match="a token is needed; set FACESEARCH_TOKEN"):
            service.get(Health, "/v1/x")
        with pytest.raises(GalleryError, match="answers with 500"):
            service.get(Health, "/v1/x")
        assert len(server.asked) == 3


def test_what_is_no_facesearch_is_said(connect: Connect) -> None:
    with answering((200, {}, b"<html>"), (200, {}, b'{"status": 1}')) as server:
        for _ in range(2):
            with pytest.raises(GalleryError, match="no facesearch answers there"):
                connect(server).get(Health, "/v1/x")
    service = Connection("http://127.0.0.1:1")
    with pytest.raises(GalleryError, match=r"^http://127.0.0.1:1: cannot be reached \("):
        service.get(Health, "/v1/x")
    service.close()


def test_events_go_on_where_the_connection_broke(connect: Connect) -> None:
    kind = {"Content-Type": "text/event-stream"}
    first = b'id: 1\nevent: result\ndata: {"photo": "a"}\n\n: ping\n\n'
    rest = b'id: 2\nevent: result\ndata: {"photo": "b"}\n\nevent: end\ndata: {"state": "done"}\n\n'
    broken = (200, kind | {"Content-Length": "9999"}, first)
    with answering(broken, (200, kind, rest)) as server:
        events = list(connect(server).events("7"))
    assert events == [
        ("result", {"photo": "a"}),
        ("result", {"photo": "b"}),
        ("end", {"state": "done"}),
    ]
    assert [headers["Last-Event-ID"] for _, _, headers in server.asked] == ["0", "1"]
    with (
        answering(problem(404, "there is no such job")) as server,
        pytest.raises(FacesearchError, match="there is no such job"),
    ):
        list(connect(server).events("7"))


def test_a_token_is_given_or_found(
    connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("from-file\n")
    with answering(OK, OK, OK) as server:
        monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "token"))
        connect(server).get(Health, "/x")
        monkeypatch.setenv(TOKEN, "from-environment")
        connect(server).get(Health, "/x")
        url = f"http://127.0.0.1:{server.server_address[1]}"
        given = Connection(url, "given")
        given.get(Health, "/x")
        given.close()
        sent = [headers["Authorization"] for _, _, headers in server.asked]
    assert sent == ["Bearer from-file", "Bearer from-environment", "Bearer given"]
    monkeypatch.delenv(TOKEN)
    monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "none"))
    with pytest.raises(FacesearchError, match="none: cannot be read"):
        Connection(url)


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [("7", 7, 7), ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0), ("soon", True, True), ("", True, True)],
)
def test_the_forms_of_retry_after(header: str, least: float, most: float) -> None:
    assert least <= connection._retry_after(header) <= most


def test_the_certificate_of_a_service_is_checked(tmp_path: Path) -> None:
    certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    with answering(OK, OK, context=context) as server:
        url = f"https://127.0.0.1:{server.server_address[1]}"
        for verify in (str(certificate), False):
            trusting = Connection(url, verify=verify)
            assert trusting.get(Health, "/x").status == "ok"
            trusting.close()
        strict = Connection(url)
        with pytest.raises(GalleryError, match=r"cannot be reached .*certificate verify failed"):
            strict.get(Health, "/x")
        strict.close()
    for wrong in (tmp_path / "none.pem", tmp_path / "text.pem"):
        (tmp_path / "text.pem").write_text("no certificate")
        with pytest.raises(FacesearchError, match=f"{wrong.name}: holds no certificates"):
            Connection(url, verify=wrong)


def _certificate(folder: Path) -> Path:
    """Of 127.0.0.1, signed by itself, with its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path = folder / "certificate.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path
