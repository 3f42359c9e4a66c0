"""Who may do what: tokens, roles, sessions, hosts and origins."""

import logging
import time
from pathlib import Path

import pytest

from facesearch.core.errors import FacesearchError
from facesearch.service import auth
from facesearch.service.auth import COOKIE, Role, is_loopback, read_tokens
from tests.support.serving import TOKENS, Running, bearer


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


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "[::1", "a b"])
def test_another_sites_name_does_not_lead_here(narrow: Running, host: str) -> None:
    """DNS rebinding: a name of the attacker's that is made to resolve to 127.0.0.1."""
    with narrow.connect() as line:
        line.sendall(f"GET /v1/people HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert line.recv(100).split()[1] in (b"421", b"400")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:99", "127.0.0.1", "[::1]:8000", "10.0.0.9"]
)
def test_addresses_and_localhost_do(narrow: Running, host: str) -> None:
    assert narrow.http.get("/v1/people", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "x", "//"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
def test_another_origin_changes_nothing(narrow: Running, origin: str, method: str) -> None:
    path = "/v1/undo" if method == "POST" else "/v1/people/x"
    assert narrow.ask(method, path, 403, headers={"Origin": origin})["title"] == "Forbidden"


def test_our_own_page_may(narrow: Running) -> None:
    own = {"Origin": narrow.url, "Sec-Fetch-Site": "same-origin"}
    assert narrow.post("/v1/undo", 409, headers=own)["error"] == "PersonError"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_cannot_even_show_a_face(narrow: Running, site: str) -> None:
    narrow.get("/v1/faces/1/chip", 403, headers={"Sec-Fetch-Site": site})
    assert narrow.http.get("/", headers={"Sec-Fetch-Site": site}).status_code == 200
