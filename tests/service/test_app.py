"""What every answer has, and what the log and faults do not say."""

import logging
from pathlib import Path

import httpx
import pytest

from facesearch.service.app import HEADERS
from tests.support.serving import Running

SCRIPT = "<script>alert(1)</script>\"'&"


def test_every_answer_is_strict(narrow: Running, shot: list[tuple[str, tuple[str, bytes]]]) -> None:
    answers = [
        narrow.http.get("/"),
        narrow.http.get("/nothing"),
        narrow.http.get("/v1/people"),
        narrow.http.get("/v1/people", headers={"Host": "evil.example"}),
        narrow.http.post("/v1/identify", files=shot),
        narrow.http.put("/v1/people"),
    ]
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


def test_names_stay_names(narrow: Running, people: Path) -> None:
    content = (people / "person-00" / "pose-0.jpg").read_bytes()
    path = f"/v1/people/{httpx.QueryParams({'x': SCRIPT})}".replace("x=", "").replace("+", "%20")
    file = "<img src=x onerror=alert(1)>.jpg"
    told = narrow.post(f"{path}/faces", files=[("photos", (file, content))])
    assert told["results"][0]["name"] == SCRIPT
    answer = narrow.http.get("/v1/people")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["people"][0]["name"] == SCRIPT
    (face,) = narrow.get(path)["faces"]
    assert face["photo"] == file
    problem = narrow.get("/v1/people/%3Cscript%3E", 404)
    assert problem["detail"] == "<script>: nobody of this name is enrolled"
    narrow.ask("DELETE", path, params={"purge": True})


def test_no_names_in_the_log_nor_in_faults(
    narrow: Running,
    people: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:

    log = logging.getLogger("facesearch.service")
    log.addHandler(caplog.handler)
    log.setLevel(logging.INFO)
    sent = [("photos", ("secret-file.jpg", (people / "person-02" / "pose-0.jpg").read_bytes()))]
    narrow.post("/v1/people/Secret-Name/faces", files=sent)
    narrow.get("/v1/people/Secret-Name")
    narrow.get("/v1/people/Secret-Nobody", 404)
    narrow.get("/v1/people", params={"search": "Secret"})

    def broken(name: str) -> None:
        raise RuntimeError(f"{name} is broken, and so is secret-file.jpg")

    monkeypatch.setattr(narrow.service.gallery, "person", broken)
    problem = narrow.get("/v1/people/Secret-Name", 500)
    assert problem["detail"] == "internal error of facesearch; the log says where"
    log.removeHandler(caplog.handler)
    lines = caplog.text
    assert "GET /v1/people/{name:path} 200" in lines
    assert "internal error: RuntimeError in facesearch.gallery.people" in lines
    assert "ecret" not in lines


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
def test_no_path_leads_to_a_file(narrow: Running, path: str) -> None:
    with narrow.connect() as line:
        line.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    assert answer.split()[1] in (b"404", b"422", b"400")
    assert b"root:" not in answer
    assert b"gallery.db" not in answer.partition(b"\r\n\r\n")[2]
