"""`serve` as a process, the client, and the commands that speak to a service."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest

from facesearch import Client
from facesearch.core.errors import FacesearchError, GalleryError
from facesearch.gallery.gallery import Gallery
from tests.support import commands

TOKEN = "a-token-of-the-tests"


def run(*arguments: str | Path, code: int = 0, **environment: str) -> tuple[str, str]:
    """What a command prints on stdout and stderr, in this process."""
    done = commands.run(*arguments, **environment)
    assert done.code == code, done
    return done.out, done.err


@contextmanager
def serving(
    log: Path, *arguments: str | Path, **environment: str
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Its address, and the process."""
    with log.open("wb") as errors, started(errors, *arguments, **environment) as process:
        while not (found := re.search(r"^https?://\S+?/$", log.read_text(), re.MULTILINE)):
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        url = found[0].rstrip("/")
        while True:
            try:
                if httpx.get(f"{url}/healthz", verify=False).status_code == 200:
                    break
            except httpx.TransportError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.05)
        yield url, process


@contextmanager
def started(
    errors: IO[bytes], *arguments: str | Path, **environment: str
) -> Iterator["subprocess.Popen[bytes]"]:
    command = commands.command("serve", "--port", "0", *arguments)
    process = subprocess.Popen(command, stderr=errors, env={**os.environ, **environment})
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(20)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("serve")
    arguments = ("--gallery", folder / "gallery")
    with serving(folder / "log", *arguments, FACESEARCH_TOKEN=TOKEN) as (url, _):
        yield url


def test_commands_speak_to_a_service(
    service: str, two_people: Path, people: Path, tmp_path: Path, no_face: Path
) -> None:
    there = {"FACESEARCH_GALLERY": service, "FACESEARCH_TOKEN": TOKEN}
    out, said = run("enroll", "--tree", two_people, "--include-doubtful", "--json", **there)
    rows = [json.loads(line) for line in out.splitlines()]
    assert {(row["name"], row["status"]) for row in rows} == {
        ("Zoë", "enrolled"),
        ("bob", "enrolled"),
    }
    assert sorted(row["photo"] for row in rows) == sorted(map(str, two_people.rglob("*.jpg")))
    assert "2 people: 6 enrolled" in said
    out, _ = run(
        "enroll", "--name", "bob", two_people / "bob", two_people / "none.jpg", "--json", **there
    )
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["status"] for row in rows].count("duplicate") == 3
    assert [row["reason"] for row in rows if row["status"] == "skipped"] == ["no such file"]

    out, _ = run("people", "list", "--json", "--gallery", service, FACESEARCH_TOKEN=TOKEN)
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["Zoë", "bob"]
    out, _ = run("people", "show", "bob", "--json", **there)
    numbers = [json.loads(line)["face"] for line in out.splitlines()]
    _, said = run("people", "show", "bob", "--contact-sheet", tmp_path / "x.png", code=6, **there)
    assert said.splitlines()[-1].endswith("run this command on the machine of the gallery")
    query = people / "person-03" / "pose-2.jpg"
    out, _ = run("identify", query, "--threshold", "0.3", "--top", "1", "--json", **there)
    answer = json.loads(out)
    assert (answer["photo"], answer["answer"], answer["name"]) == (str(query), "match", "bob")
    _, said = run("identify", tmp_path / "none.jpg", code=4, **there)
    assert said == f"error: {tmp_path / 'none.jpg'}: cannot be read (No such file or directory)\n"
    run("identify", no_face, code=1, **there)
    out, _ = run("compare", query, two_people / "bob" / "pose-0.jpg", "--json", **there)
    assert json.loads(out)["same"] is True
    run("people", "split", "bob", "--faces", str(numbers[0]), "--into", "carl", **there)
    run("people", "merge", "bob", "carl", **there)
    out, _ = run("undo", "--list", "--json", **there)
    assert json.loads(out.splitlines()[0])["what"] == "carl was merged into bob (1 face)"
    _, said = run("undo", **there)
    assert said == "undone: carl was merged into bob (1 face)\n"
    run("undo", **there)
    run("people", "rename", "bob", "Bob", **there)
    run("people", "set", "Bob", "--expires", "2030-01-01", **there)
    photo = two_people / "bob" / "pose-0.jpg"
    out, _ = run("people", "reject", "Bob", photo, "--json", **there)
    assert json.loads(out)["taken_out"] == 1
    out, _ = run("people", "rejections", "--json", **there)
    assert json.loads(out)["photo"] == "pose-0.jpg"
    out, _ = run("review", "--json", **there)
    assert json.loads(out.splitlines()[-1])["kind"] == "fpir"
    out, _ = run("gallery", "info", "--json", **there)
    assert (json.loads(out)["folder"], json.loads(out)["people"]) == (service, 2)
    run("gallery", "audit", "--since", "2026-01-01", **there)
    run("people", "remove", "Bob", "--yes", "--purge", **there)
    _, said = run("people", "show", "Bob", code=7, **there)
    assert said == "error: Bob: nobody of this name is enrolled\n"


@pytest.mark.parametrize(
    "command",
    [
        ["cluster", "x.jpg"],
        ["gallery", "doctor"],
        ["gallery", "relink", "."],
        ["gallery", "export", "x.zip"],
        ["gallery", "reindex"],
        ["gallery", "set", "audit", "on"],
        ["serve"],
    ],
)
def test_what_does_not_apply_says_so(command: list[str]) -> None:
    _, said = run(*command, "--gallery", "http://localhost:1", code=6)
    reason = "is a service; run this command on the machine of the gallery"
    assert said == f"error: http://localhost:1: {reason}\n"


def test_a_service_that_is_not_there_or_not_ours(service: str) -> None:
    _, said = run("people", "list", "--gallery", "http://127.0.0.1:1", code=6)
    assert said.startswith("error: http://127.0.0.1:1: cannot be reached (")
    assert said.count("\n") == 1
    _, said = run("people", "list", "--gallery", service, code=3, FACESEARCH_TOKEN="")
    assert "a token is needed" in said
    assert "set FACESEARCH_TOKEN" in said
    _, said = run("people", "list", "--gallery", service, "--model", "default", code=2)
    assert "a service chooses these itself" in said


def test_the_token_of_a_client_comes_from_the_environment(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("FACESEARCH_TOKEN_FILE", str(tmp_path / "token"))
    with Client(service) as client:
        assert client.info().folder == service
    with Client(service, "x" * 20) as client, pytest.raises(FacesearchError, match="token"):
        client.people()
    with Client("http://127.0.0.1:1") as client, pytest.raises(GalleryError, match="reached"):
        client.people()


def test_an_address_of_others_needs_a_token(tmp_path: Path) -> None:
    where = ("serve", "--gallery", tmp_path / "gallery", "--host", "0.0.0.0", "--port", "0")
    _, said = run(*where, code=3)
    assert said.startswith("error: 0.0.0.0: other machines could reach the service there; ")
    _, said = run(*where, code=3, FACESEARCH_TOKEN="short")
    assert "16 ASCII characters or more" in said
    assert not (tmp_path / "gallery").exists()


def test_what_is_wrong_is_said_before_it_starts(tmp_path: Path) -> None:
    gallery = ("serve", "--gallery", tmp_path / "gallery")
    _, said = run(*gallery, "--host", "192.0.2.1", code=3, FACESEARCH_TOKEN=TOKEN)
    assert said.startswith("error: 192.0.2.1 port 8000: cannot listen there (")
    _, said = run(*gallery, "--allow-import", "x", code=2)
    assert "give NAME=FOLDER with an existing folder" in said
    _, said = run(*gallery, "--certificate", "x", code=2)
    assert "give both --certificate and --key" in said
    _, said = run(*gallery, "--model", "none", code=8)
    assert said.count("\n") == 1
    (tmp_path / "gallery").mkdir(exist_ok=True)
    (tmp_path / "gallery" / "gallery.db").write_bytes(b"no database" * 1000)
    _, said = run(*gallery, "--port", "0", code=6)
    assert "not a gallery, or a damaged one" in said


@pytest.mark.slow
def test_several_workers_stop_together(people: Path, tmp_path: Path) -> None:
    """Requests that are under way when it stops are answered."""
    arguments = ("--gallery", tmp_path / "gallery", "--workers", "2")
    log = tmp_path / "log"
    with serving(log, *arguments) as (url, process):
        photo = people / "person-00" / "pose-0.jpg"
        with Client(url) as client:
            (done,) = client.enroll("Ada", photo)
            assert done.status == "enrolled"
            for _ in range(6):  # whoever answers knows of it
                (face,) = client.identify(photo, threshold=0.3)
                assert face.name == "Ada"
        text = httpx.get(f"{url}/metrics").text
        counted = re.findall(r'requests_total\{.*route="/v1/identify".*\} ([\d.]+)', text)
        assert [float(each) for each in counted] == [6.0], "of both together"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert "Traceback" not in log.read_text()
    assert "Ada" not in log.read_text()
    assert "pose-0" not in log.read_text()


@pytest.mark.slow
def test_it_stops_in_order_in_the_midst_of_requests(people: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with serving(log, "--gallery", tmp_path / "gallery") as (url, process):
        shots = sorted(people.rglob("*.jpg"))
        sent = [("photos", (f"{at}.jpg", shot.read_bytes())) for at, shot in enumerate(shots)]
        found: list[httpx.Response] = []
        asking = threading.Thread(
            target=lambda: found.append(
                httpx.post(
                    f"{url}/v1/people/All/faces", files=sent, data={"faces": "all"}, timeout=60
                )
            )
        )
        asking.start()
        while "facesearch_busy 1.0" not in httpx.get(f"{url}/metrics").text:
            assert asking.is_alive()
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        asking.join()
        assert found[0].status_code == 200
    with Gallery(tmp_path / "gallery") as gallery:
        assert gallery.info().photos == sum(
            row["status"] == "enrolled" for row in found[0].json()["results"]
        )


def test_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    make_certificate(certificate, key)
    arguments = ("--gallery", tmp_path / "gallery", "--certificate", certificate, "--key", key)
    log = tmp_path / "log"
    with serving(log, *arguments, FACESEARCH_TOKEN=TOKEN) as (url, _):
        assert url.startswith("https://")
        answer = httpx.post(
            f"{url}/v1/session",
            headers={"Authorization": f"Bearer {TOKEN}"},
            verify=False,
        )
        assert "Secure" in answer.headers["set-cookie"]
        with pytest.raises(httpx.TransportError):
            httpx.get(url.replace("https", "http"))


def make_certificate(certificate: Path, key: Path) -> None:
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def test_other_commands_do_not_import_the_service() -> None:
    code = """
import sys
import facesearch.cli, facesearch.gallery
heavy = {"fastapi", "uvicorn", "starlette", "httpx", "prometheus_client", "pydantic", "multipart"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
