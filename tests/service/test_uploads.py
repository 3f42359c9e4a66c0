"""Names of files and sizes of photos that are sent."""

from collections.abc import Iterator

import httpx
import pytest

from facesearch.core.uploads import bare
from tests.support.serving import Running


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


def test_too_many_bytes(narrow: Running) -> None:
    photo = [("photo", ("a.jpg", b"x" * 300_001))]
    assert narrow.post("/v1/identify", 413, files=photo)["detail"].startswith("a.jpg: larger than")
    photo = [("photo", ("a.jpg", b"x" * (1 << 20)))]
    assert narrow.post("/v1/identify", 413, files=photo)["detail"] == "a request of more than 1 MiB"

    def endless() -> Iterator[bytes]:  # without a length
        while True:
            yield b"x" * 65536

    try:
        status = httpx.post(f"{narrow.url}/v1/identify", content=endless()).status_code
    except httpx.TransportError:  # closed in the midst of it
        status = 413
    assert status == 413
    files = [("photos", (f"{number}.jpg", b"x")) for number in range(4)]
    assert narrow.post("/v1/people/x/faces", 413, files=files)["detail"].startswith("4 photos")
