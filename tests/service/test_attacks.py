"""What somebody may try against a service, and what becomes of it."""

import io
import json
import logging
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from facesearch.core.errors import FacesearchError
from facesearch.core.uploads import bare
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.service import auth
from facesearch.service.app import HEADERS
from facesearch.service.auth import COOKIE, Role, is_loopback, read_tokens
from facesearch.service.settings import Token
from facesearch.vision.embedder import Embedder
from tests.support.serving import Running, photos, running

Sent = list[tuple[str, tuple[str, bytes]]]  # files of a form
POST = b"POST /v1/identify HTTP/1.1\r\nHost: localhost\r\n"
TOKENS = tuple(Token(role.name, f"{role.name}-0123456789abcdef") for role in Role)
LIMITS = {
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


@pytest.fixture(scope="module")
def service(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Open, with narrow limits."""
    with running(tmp_path_factory.mktemp("attacks") / "gallery", limits=LIMITS) as found:
        sent = photos(people / "person-01" / "pose-0.jpg")
        assert found.post("/v1/people/Kim/faces", files=sent)["results"][0]["faces"] == 1
        yield found


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With a token for each role."""
    with running(tmp_path_factory.mktemp("guarded") / "gallery", tokens=TOKENS) as found:
        yield found


@pytest.fixture
def shot(people: Path) -> Sent:
    return photos(people / "person-00" / "pose-0.jpg", field="photo")


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


# Who may do what


def test_nothing_without_a_token(guarded: Running) -> None:
    schema = guarded.get("/v1/openapi.json")
    closed = 0
    for path, methods in schema["paths"].items():
        for method in methods:
            if path in ("/healthz", "/readyz", "/v1/session"):
                continue
            place = path.replace("{name}", "x").replace("{number}", "1")
            answer = guarded.http.request(method, place, content=b"x" * 100)
            assert answer.status_code == 401, (method, place)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            closed += 1
    assert closed > 25
    for wrong in ("x", TOKENS[0].secret[:-1], TOKENS[0].secret + "0", "Bearer", "é" * 20):
        header = {b"Authorization": b"Bearer " + wrong.encode("latin-1")}
        assert guarded.http.get("/v1/people", headers=header).status_code == 401
    basic = {"Authorization": f"Basic {TOKENS[2].secret}"}
    assert guarded.http.get("/v1/people", headers=basic).status_code == 401
    assert guarded.http.get("/").status_code == 200, "the page asks for the token"


def test_a_large_body_without_a_token_is_not_read(guarded: Running) -> None:
    with guarded.connect() as line:
        head = "POST /v1/identify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 90000000\r\n\r\n"
        line.sendall(head.encode())
        assert line.recv(100).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/v1/people", Role.search),
        ("GET", "/metrics", Role.search),
        ("POST", "/v1/search", Role.search),
        ("POST", "/v1/people/x/faces", Role.enroll),
        ("POST", "/v1/jobs", Role.enroll),
        ("GET", "/v1/jobs", Role.enroll),
        ("PATCH", "/v1/people/x", Role.admin),
        ("DELETE", "/v1/people/x", Role.admin),
        ("POST", "/v1/people/x/merge", Role.admin),
        ("POST", "/v1/people/x/reject", Role.admin),
        ("POST", "/v1/undo", Role.admin),
        ("GET", "/v1/review", Role.admin),
        ("GET", "/v1/audit", Role.admin),
    ],
)
def test_each_role_may_do_its_part(guarded: Running, method: str, path: str, least: Role) -> None:
    for token in TOKENS:
        answer = guarded.http.request(method, path, headers=bearer(token.secret))
        refused = Role[token.role] < least
        assert (answer.status_code == 403) == refused, (token.role, answer.text)
        assert answer.status_code != 401


def test_a_session_stands_for_a_token(guarded: Running) -> None:
    guarded.ask("POST", "/v1/session", 401)
    assert guarded.get("/v1/session") == {"role": None, "tokens": True}
    answer = guarded.http.post("/v1/session", headers=bearer(TOKENS[1].secret))
    cookie = answer.headers["set-cookie"]
    guarded.http.cookies.clear()
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKENS[1].secret not in cookie
    value = cookie.partition(";")[0].partition("=")[2]
    expires, _, signature = value.partition(".")
    good = {"Cookie": f"{COOKIE}={value}"}
    assert guarded.http.get("/v1/session", headers=good).json()["role"] == "enroll"
    forged = [
        f"{int(expires) + 1}.{signature}",
        f"{expires}.{signature[:-1]}0",
        f"{expires}.",
        ".",
        "",
        f"-1.{signature}",
    ]
    if signature.endswith("0"):
        forged[1] = f"{expires}.{signature[:-1]}1"
    for each in forged:
        answer = guarded.http.get("/v1/people", headers={"Cookie": f"{COOKIE}={each}"})
        assert answer.status_code == 401, each
    # a page of another origin cannot use the cookie, not even where a browser would send it
    evil = {**good, "Origin": "http://evil.example"}
    assert guarded.http.post("/v1/jobs", headers=evil).status_code == 403


def test_a_session_ends(guarded: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    value = auth.session(TOKENS[2])
    header = {"Cookie": f"{COOKIE}={value}"}
    assert guarded.http.get("/v1/people", headers=header).status_code == 200
    later = time.time() + auth.COOKIE_SECONDS + 1
    monkeypatch.setattr(auth.time, "time", lambda: later)
    assert guarded.http.get("/v1/people", headers=header).status_code == 401


def test_token_files(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# ours\n\nsearch {TOKENS[0].secret}\nadmin {TOKENS[2].secret}\n")
    file.chmod(0o644)
    with pytest.raises(FacesearchError, match="others may read it"):
        read_tokens(file)
    file.chmod(0o600)
    assert read_tokens(file) == (TOKENS[0], TOKENS[2])
    for text, reason in [
        ("", "holds no token"),
        ("root 0123456789abcdef", "line 1 is not a role"),
        ("search short", "16 ASCII characters"),
        ("search", "line 1 is not a role"),
    ]:
        file.write_text(text)
        with pytest.raises(FacesearchError, match=reason):
            read_tokens(file)
    with pytest.raises(FacesearchError, match="cannot be read"):
        read_tokens(tmp_path / "none")


def test_the_role_of_older_token_files_is_accepted_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"enrol {TOKENS[1].secret}\nadmin {TOKENS[2].secret}\n")
    file.chmod(0o600)
    with caplog.at_level(logging.WARNING, "facesearch.service"):
        assert read_tokens(file) == (TOKENS[1], TOKENS[2])
    assert caplog.messages == [
        f"{file}: line 1: the role enrol is called enroll now; please change it"
    ]


def test_which_addresses_are_ours_alone() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.9.9.9")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.2", "example.org", "")))


# What a browser may be talked into


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::1", "a b"])
def test_another_sites_name_does_not_lead_here(service: Running, host: str) -> None:
    """DNS rebinding: a name of the attacker's that is made to resolve to 127.0.0.1."""
    with service.connect() as line:
        line.sendall(f"GET /v1/people HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert line.recv(100).split()[1] in (b"421", b"400")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:8000", "10.0.0.9"]
)
def test_addresses_and_localhost_do(service: Running, host: str) -> None:
    assert service.http.get("/v1/people", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "x", "//"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_another_origin_changes_nothing(service: Running, origin: str, method: str) -> None:
    path = "/v1/undo" if method == "POST" else "/v1/people/x"
    assert service.ask(method, path, 403, headers={"Origin": origin})["title"] == "Forbidden"


def test_our_own_page_may(service: Running) -> None:
    own = {"Origin": service.url, "Sec-Fetch-Site": "same-origin"}
    assert service.post("/v1/undo", 409, headers=own)["error"] == "PersonError"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_even_show_a_face(service: Running, site: str) -> None:
    service.get("/v1/faces/1/chip", 403, headers={"Sec-Fetch-Site": site})
    assert service.http.get("/", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_every_answer_is_strict(
    service: Running, shot: list[tuple[str, tuple[str, bytes]]]
) -> None:
    answers = [
        service.http.get("/"),
        service.http.get("/nothing"),
        service.http.get("/v1/people"),
        service.http.get("/v1/people", headers={"Host": "evil.example"}),
        service.http.post("/v1/identify", files=shot),
        service.http.put("/v1/people"),
    ]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


# Hostile names


SCRIPT = "<script>alert(1)</script>\"'&"


def test_names_stay_names(service: Running, people: Path) -> None:
    content = (people / "person-00" / "pose-0.jpg").read_bytes()
    path = f"/v1/people/{httpx.QueryParams({'x': SCRIPT})}".replace("x=", "").replace("+", "%20")
    file = "<img src=x onerror=alert(1)>.jpg"
    told = service.post(f"{path}/faces", files=[("photos", (file, content))])
    assert told["results"][0]["name"] == SCRIPT
    answer = service.http.get("/v1/people")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["people"][0]["name"] == SCRIPT
    (face,) = service.get(path)["faces"]
    assert face["photo"] == file
    problem = service.get("/v1/people/%3Cscript%3E", 404)
    assert problem["detail"] == "<script>: nobody of this name is enrolled"
    service.ask("DELETE", path, params={"purge": True})


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\boot.ini", "boot.ini"),
        ("..", "photo"),
        (".", "photo"),
        ("", "photo"),
        ("a\x00b\r\nc.jpg", "abc.jpg"),
        ("x" * 300 + ".jpg", "x" * 251 + ".jpg"),
        ("\udcff.jpg", ".jpg"),
    ],
)
def test_file_names_are_bare(sent: str, kept: str) -> None:
    assert bare(sent) == kept


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/..%2f..%2fpyproject.toml",
        "/%2e%2e/settings.py",
        "/static/../app.py",
        "//etc/passwd",
        "/index.html/../../app.py",
        "/.hidden",
        "/%00",
        "/v1/faces/..%2f1/chip",
        "/v1/jobs/..%2f..%2fgallery.db",
        "/v1/jobs/gallery.db",
    ],
)
def test_no_path_leads_to_a_file(service: Running, path: str) -> None:
    with service.connect() as line:
        line.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert answer.split()[1] in (b"404", b"422", b"400")
    assert b"root:" not in answer
    assert b"gallery.db" not in answer.partition(b"\r\n\r\n")[2]


def test_only_folders_that_were_allowed_are_imported(service: Running) -> None:
    for folder in ("/etc", "..", "nothing"):
        reason = service.post("/v1/jobs", 404, data={"folder": folder})["detail"]
        assert reason == f"{folder}: no folder of this name may be imported"
    service.post("/v1/jobs", 422)
    service.post("/v1/jobs", 422, data={"name": "x"})


# Too much


def test_too_many_bytes(service: Running) -> None:
    photo = [("photo", ("a.jpg", b"x" * 300_001))]
    assert service.post("/v1/identify", 413, files=photo)["detail"].startswith("a.jpg: larger than")
    photo = [("photo", ("a.jpg", b"x" * (1 << 20)))]
    assert (
        service.post("/v1/identify", 413, files=photo)["detail"] == "a request of more than 1 MiB"
    )

    def endless() -> Iterator[bytes]:  # without a length
        while True:
            yield b"x" * 65536

    try:
        status = httpx.post(f"{service.url}/v1/identify", content=endless()).status_code
    except httpx.TransportError:  # closed in the midst of it
        status = 413
    assert status == 413
    files = [("photos", (f"{number}.jpg", b"x")) for number in range(4)]
    assert service.post("/v1/people/x/faces", 413, files=files)["detail"].startswith("4 photos")


def test_too_much_is_held_for_all_together(service: Running) -> None:
    """Three bodies of less than a request may have, none of them finished."""
    lines = [service.connect() for _ in range(3)]
    head = "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n"
    answers = []
    for line in lines:
        line.sendall(head.encode() + b"x" * 900_000)
    for line in lines:
        answers.append(line.recv(100).split()[1])
        line.close()
    assert b"503" in answers
    assert set(answers) <= {b"503", b"408"}


def test_a_bomb_of_pixels(service: Running) -> None:
    """A PNG of a few bytes that says it is 60,000 pixels wide and high."""

    def part(kind: bytes, content: bytes) -> bytes:
        whole = kind + content
        return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))

    head = part(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + head
        + part(b"IDAT", zlib.compress(b"\0" * 1000))
        + part(b"IEND", b"")
    )
    problem = service.post("/v1/identify", 413, files=[("photo", ("bomb.png", bomb))])
    assert problem["detail"].startswith("bomb.png: 60000 x 60000 pixels, more than the 1 million")
    told = service.post("/v1/people/x/faces", files=[("photos", ("bomb.png", bomb))])
    assert told["results"][0]["status"] == "skipped"


def test_what_is_no_photo(service: Running, people: Path) -> None:
    whole = (people / "person-00" / "pose-0.jpg").read_bytes()
    for content, status in [(b"%PDF-1.4", 415), (b"", 415), (whole[:2000], 422)]:
        service.post("/v1/identify", status, files=[("photo", ("a.jpg", content))])
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    service.post("/v1/identify", 415, files=[("photo", ("a.jpg", eps))])


def test_too_many_faces(service: Running, group_photo: Path) -> None:
    shot = photos(group_photo, field="photo")
    told = service.post("/v1/people/z/faces", files=photos(group_photo), data={"faces": "all"})
    assert told["results"][0]["reason"].startswith("3 faces, more than the 2 allowed")
    problem = service.post("/v1/people/z/reject", 422, files=shot)
    assert problem["detail"].startswith("group.jpg: 3 faces")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x\r\n",
        b"--x\r\nContent-Disposition: form-data; name=photo; filename=a\r\n\r\nabc",
        b"--x\r\nContent-Disposition: form-data; name=photo\r\n\r\nabc\r\n--x--\r\n",
        b"--y--",
        b"\0" * 1000,
    ],
)
def test_broken_multipart(service: Running, body: bytes) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    for path in ("/v1/identify", "/v1/people/x/reject", "/v1/people/x/faces"):
        answer = service.http.post(path, content=body, headers=kind)
        assert answer.status_code in (400, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b'{"embedding": "x"}', b'{"embedding": [NaN]}', b"[" * 100_000]
)
def test_broken_json(service: Running, body: bytes) -> None:
    kind = {"Content-Type": "application/json"}
    for path in ("/v1/search", "/v1/people/x/merge", "/v1/people/x/reject"):
        answer = service.http.post(path, content=body, headers=kind)
        assert answer.status_code in (400, 422), answer.text
        json.loads(answer.text)


# Too slow


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


@pytest.mark.slow
def test_slow_clients_hold_no_worker(service: Running, shot: Sent) -> None:
    """Twenty clients that send half of something, and one that behaves."""
    full = b"Content-Length: 500\r\n\r\n"
    heads = [b"", b"GET /v1/peo", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A"]
    bodies = [full, full + b"x" * 100]
    starts = heads + [
        b"POST /v1/identify HTTP/1.1\r\nHost: localhost\r\n" + each for each in bodies
    ]
    lines = [(service.connect(), start) for start in 4 * starts]
    for line, start in lines:
        line.sendall(start)
    assert service.http.post("/v1/identify", files=shot).status_code in (200, 409)
    assert service.service.work.taken <= 1
    for line, start in lines:
        answer = answered(line)
        line.close()
        if full in start:
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"did not arrive in time" in answer
        else:
            assert answer == b""


@pytest.mark.slow
def test_a_body_that_trickles(service: Running) -> None:
    """A byte now and then keeps no connection for ever."""
    began = time.monotonic()
    with service.connect() as line:
        line.sendall(
            b"POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n"
        )
        for _ in range(100):
            try:
                line.sendall(b"x")
            except OSError:
                break
            time.sleep(0.1)
            if time.monotonic() - began > 8:
                break
        assert answered(line).startswith(b"HTTP/1.1 408")


def test_a_second_request_that_is_half_sent(service: Running) -> None:
    with service.connect() as line:
        line.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTT")
        answer = answered(line)
    assert answer.count(b"HTTP/1.1 200") == 1


def test_a_client_that_leaves(service: Running) -> None:
    for _ in range(5):
        with service.connect() as line:
            line.sendall(
                b"POST /v1/undo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc"
            )
    assert service.get("/healthz") == {"status": "ok"}


@pytest.mark.slow
def test_too_many_at_once_and_too_long(
    service: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two are worked on, two wait, and one more is told so at once."""
    gate = threading.Event()
    monkeypatch.setattr(service.service.gallery, "people", lambda: gate.wait(20) and [])
    found: list[int] = []

    def ask() -> None:
        found.append(httpx.get(f"{service.url}/v1/people", timeout=30).status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while service.service.work.taken < 4:
        time.sleep(0.01)
    refused = service.http.get("/v1/people")
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert service.get("/healthz") == {"status": "ok"}, "it needs no thread"
    gate.set()
    for thread in threads:
        thread.join()
    assert found == 4 * [200]


@pytest.mark.slow
def test_what_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    with running(tmp_path / "gallery", limits={"work_seconds": 0.3, "threads": 1}) as service:
        monkeypatch.setattr(service.service.gallery, "people", lambda: gate.wait(20) and [])
        problem = service.get("/v1/people", 503)
        assert problem["detail"] == "not answered within 0.3 seconds; try again later"
        assert service.service.work.taken == 1, "its thread is still counted"
        gate.set()
        while service.service.work.taken:
            time.sleep(0.01)
        monkeypatch.undo()
        assert service.get("/v1/people")["total"] == 0


# What is written down


def test_no_names_in_the_log_nor_in_faults(
    service: Running,
    people: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    log = logging.getLogger("facesearch.service")
    log.addHandler(caplog.handler)
    log.setLevel(logging.INFO)
    sent = [("photos", ("secret-file.jpg", (people / "person-02" / "pose-0.jpg").read_bytes()))]
    service.post("/v1/people/Secret-Name/faces", files=sent)
    service.get("/v1/people/Secret-Name")
    service.get("/v1/people/Secret-Nobody", 404)
    service.get("/v1/people", params={"search": "Secret"})

    def broken(name: str) -> None:
        raise RuntimeError(f"{name} is broken, and so is secret-file.jpg")

    monkeypatch.setattr(service.service.gallery, "person", broken)
    problem = service.get("/v1/people/Secret-Name", 500)
    assert problem["detail"] == "internal error of facesearch; the log says where"
    log.removeHandler(caplog.handler)
    lines = caplog.text
    assert "GET /v1/people/{name:path} 200" in lines
    assert "internal error: RuntimeError in facesearch.gallery.people" in lines
    assert "ecret" not in lines


def test_a_picture_is_told_of_without_folders(
    service: Running, people: Path, tmp_path: Path
) -> None:
    """Photos that were enrolled from this machine's folders are told of by their names alone."""
    folder = tmp_path / "private place"
    folder.mkdir()
    shots = [people / "person-04" / f"pose-{pose}.jpg" for pose in (0, 1)]
    for shot in shots:
        (folder / shot.name).write_bytes(shot.read_bytes())
    recognizer = Recognizer.of(Embedder(service.service.model))
    with Gallery(service.service.gallery.folder, recognizer=recognizer) as gallery:
        assert gallery.enroll("Dee", folder).enrolled
    buffer = io.BytesIO()
    with Image.open(shots[0]) as picture:
        picture.resize((300, 300)).save(buffer, "JPEG", quality=80)
    told = service.http.post(
        "/v1/people/Dee/faces", files=[("photos", ("copy.jpg", buffer.getvalue()))]
    )
    for text in (told.text, service.http.get("/v1/people/Dee").text):
        assert "private place" not in text
        assert str(tmp_path) not in text
    service.ask("DELETE", "/v1/people/Dee", params={"purge": True})
