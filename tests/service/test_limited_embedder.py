"""Photos with too many pixels or faces, and what is no photo."""

import struct
import zlib
from pathlib import Path

from tests.support.serving import Running, photos


def test_a_bomb_of_pixels(narrow: Running) -> None:
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
    problem = narrow.post("/v1/identify", 413, files=[("photo", ("bomb.png", bomb))])
    assert problem["detail"].startswith("bomb.png: 60000 x 60000 pixels, more than the 1 million")
    told = narrow.post("/v1/people/x/faces", files=[("photos", ("bomb.png", bomb))])
    assert told["results"][0]["status"] == "skipped"


def test_what_is_no_photo(narrow: Running, people: Path) -> None:
    whole = (people / "person-00" / "pose-0.jpg").read_bytes()
    for content, status in [(b"%PDF-1.4", 415), (b"", 415), (whole[:2000], 422)]:
        narrow.post("/v1/identify", status, files=[("photo", ("a.jpg", content))])
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    narrow.post("/v1/identify", 415, files=[("photo", ("a.jpg", eps))])


def test_too_many_faces(narrow: Running, group_photo: Path) -> None:
    shot = photos(group_photo, field="photo")
    told = narrow.post("/v1/people/z/faces", files=photos(group_photo), data={"faces": "all"})
    assert told["results"][0]["reason"].startswith("3 faces, more than the 2 allowed")
    problem = narrow.post("/v1/people/z/reject", 422, files=shot)
    assert problem["detail"].startswith("group.jpg: 3 faces")
