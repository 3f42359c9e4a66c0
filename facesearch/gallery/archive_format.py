"""A gallery as one file that any program can read.

A zip file of these members and no others: manifest.json; people.jsonl, photos.jsonl, faces.jsonl
and rejections.jsonl, one JSON object a line, which refer to each other by line, counted from 0;
embeddings.f32 and rejections.f32, little-endian float32, a row for each face and for each rejection
that says it has one; chips.bin, image files one after the other. The manifest says the version of
the format, the model, how many there are of everything, and the size and SHA-256 of every member.
docs/operations/gallery.md lists the fields.
"""

import hashlib
import io
import json
import math
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

import numpy as np

from facesearch.core.errors import FacesearchError, GalleryError, PersonError, PhotoError
from facesearch.core.names import clean_name, is_clean
from facesearch.storage.records import ModelStamp
from facesearch.vision.stored_chips import read_kept

FORMAT, VERSION = "facesearch gallery", 1
MANIFEST = "manifest.json"
PEOPLE, PHOTOS, FACES, REJECTIONS = (
    f"{noun}.jsonl" for noun in ("people", "photos", "faces", "rejections")
)
EMBEDDINGS, REJECTED, CHIPS = "embeddings.f32", "rejections.f32", "chips.bin"
MEMBERS = (PEOPLE, PHOTOS, FACES, REJECTIONS, EMBEDDINGS, REJECTED)  # and CHIPS, where kept

# what no archive of ours comes near, and what no other is read beyond
MOST_MANIFEST = 65_536  # bytes
MOST_DIRECTORY = 16_384  # bytes of the zip file's own list of members
MOST_LINE = 1 << 23  # bytes
MOST_CHIP = 4_000_000  # bytes
MOST_ROWS = 100_000_000
MOST_BYTES = 1 << 38  # all members together, unpacked
MOST_RATIO = 100  # of unpacked to packed, of members over a megabyte
MOST_TEXT = 1_000_000  # letters

UNIT = 1e-3  # how far the length of an embedding may lie from 1
CHUNK = 1 << 20

# whatever zipfile, zlib and json raise for bytes that nobody wrote
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,  # RecursionError among them
    ValueError,
    EOFError,
    LookupError,
    OverflowError,
    MemoryError,
)

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Contents:
    """How much an archive holds."""

    people: int
    photos: int
    faces: int
    rejections: int
    chips: int


@dataclass(frozen=True, slots=True)
class ArchivedPerson:
    name: str
    created: str
    expires: str | None
    consent: str | None


@dataclass(frozen=True, slots=True)
class ArchivedPhoto:
    path: Path
    sha256: str
    width: int
    height: int
    added: str


@dataclass(frozen=True, slots=True)
class ArchivedFace:
    photo: int  # which line of photos.jsonl
    person: int
    box: list[float]
    points: list[list[float]]
    score: float
    agreement: float
    embedding: bytes
    chip: bytes | None


@dataclass(frozen=True, slots=True)
class ArchivedRejection:
    person: int
    sha256: str
    box: list[float]
    at: str
    embedding: bytes  # empty where the face could not be recognised
    near: float | None  # the distance within which another is a copy; None in earlier archives


class Archive:
    """An archive that was checked: its manifest, every checksum, every row."""

    def __init__(self, file: Path) -> None:
        """Raises GalleryError for a file that is missing or is not a whole archive."""
        self.file = file
        try:
            if not file.is_file() and file.exists():
                raise GalleryError(f"{file}: not a file")
            self._raw = file.open("rb")
        except OSError as error:
            raise GalleryError(f"{file}: cannot be read ({error.strerror})") from error
        try:
            with self._explained("no archive of a gallery"):
                self._check_directory()
                self._zip = zipfile.ZipFile(self._raw)
                self._read_manifest()
            for name in self._declared:
                with self._explained(f"{name} is damaged"):
                    self._check_member(name)
            for rows in (self.people(), self.photos(), self.faces(), self.rejections()):
                for _ in rows:
                    pass
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> "Archive":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()
        self._raw.close()

    def people(self) -> Iterator[ArchivedPerson]:
        """In the order of their lines, as all others. Raises GalleryError for a bad row."""
        seen: set[str] = set()

        def row(fields: dict[str, Any]) -> ArchivedPerson:
            name = _string(fields["name"], MOST_TEXT)
            if clean_name(name) != name or name in seen:
                raise ValueError("a name that is not clean, or there twice")
            seen.add(name)
            expires, consent = fields.get("expires"), fields.get("consent")
            if consent is not None and not is_clean(_string(consent, MOST_TEXT)):
                raise ValueError("a note with control characters")
            return ArchivedPerson(
                name,
                _moment(fields["created"]),
                None if expires is None else date.fromisoformat(_string(expires, 10)).isoformat(),
                consent,
            )

        yield from self._rows(PEOPLE, self.contents.people, row)

    def photos(self) -> Iterator[ArchivedPhoto]:
        seen: set[bytes] = set()

        def row(fields: dict[str, Any]) -> ArchivedPhoto:
            sha256 = _digest(fields["sha256"])
            if bytes.fromhex(sha256) in seen:
                raise ValueError("a photo that is there twice")
            seen.add(bytes.fromhex(sha256))
            width, height = _whole(fields["width"], 1 << 32), _whole(fields["height"], 1 << 32)
            return ArchivedPhoto(_path(fields), sha256, width, height, _moment(fields["added"]))

        yield from self._rows(PHOTOS, self.contents.photos, row)

    def faces(self) -> Iterator[ArchivedFace]:
        left = self.contents.chips
        with self._member(EMBEDDINGS) as vectors, self._member(CHIPS) as images:

            def row(fields: dict[str, Any]) -> ArchivedFace:
                nonlocal left
                size = fields.get("chip")
                chip = None
                if size is not None:
                    left -= 1
                    chip = _exactly(images, _whole(size, MOST_CHIP))
                    read_kept(chip)
                return ArchivedFace(
                    _whole(fields["photo"], self.contents.photos - 1),
                    _whole(fields["person"], self.contents.people - 1),
                    _box(fields["box"]),
                    _points(fields["points"]),
                    _number(fields["score"]),
                    _number(fields["agreement"]),
                    self._vector(vectors),
                    chip,
                )

            yield from self._rows(FACES, self.contents.faces, row)
            with self._explained(f"{FACES} does not fit {EMBEDDINGS} and {CHIPS}"):
                if left or vectors.read(1) or images.read(1):
                    raise ValueError("some are left over")

    def rejections(self) -> Iterator[ArchivedRejection]:
        with self._member(REJECTED) as vectors:

            def row(fields: dict[str, Any]) -> ArchivedRejection:
                if not isinstance(fields["embedding"], bool):
                    raise ValueError("embedding is true or false")
                return ArchivedRejection(
                    _whole(fields["person"], self.contents.people - 1),
                    _digest(fields["sha256"]),
                    _box(fields["box"]),
                    _moment(fields["at"]),
                    self._vector(vectors) if fields["embedding"] else b"",
                    None if fields.get("near") is None else _number(fields["near"]),
                )

            yield from self._rows(REJECTIONS, self.contents.rejections, row)
            with self._explained(f"{REJECTIONS} does not fit {REJECTED}"):
                if vectors.read(1):
                    raise ValueError("some are left over")

    def _check_directory(self) -> None:
        """The list of members must be short before it is read into memory."""
        size = self._raw.seek(0, os.SEEK_END)
        tail_length = min(size, 22 + 20 + 56)  # end, locator and end of the large format
        self._raw.seek(size - tail_length)
        tail = self._raw.read(tail_length)
        self._size = size
        if len(tail) < 22 or tail[-22:-18] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
            raise ValueError("no zip file")
        sizes = [struct.unpack("<I", tail[-10:-6])[0]]
        if tail[-42:-38] == b"PK\x06\x07":
            if len(tail) < 98 or tail[:4] != b"PK\x06\x06":
                raise ValueError("no zip file")
            sizes = [struct.unpack("<Q", tail[40:48])[0]]
        if max(sizes) > MOST_DIRECTORY:
            raise ValueError("too many members")

    def _read_manifest(self) -> None:
        entries = self._zip.infolist()
        names = [entry.filename for entry in entries]
        if MANIFEST not in names:
            raise ValueError("it has no manifest")
        for entry in entries:
            if entry.filename not in (MANIFEST, *MEMBERS, CHIPS):
                raise ValueError("it has a member that does not belong there")
            if names.count(entry.filename) > 1:
                raise ValueError(f"{entry.filename} is there twice")
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{entry.filename} is packed in an unknown way")
            if entry.flag_bits & 1:
                raise ValueError(f"{entry.filename} is encrypted")
            packed, whole = entry.compress_size, entry.file_size
            if packed > self._size or (whole > CHUNK and whole > MOST_RATIO * packed):
                raise ValueError(f"{entry.filename} unpacks to more than it may")
        if self._zip.getinfo(MANIFEST).file_size > MOST_MANIFEST:
            raise ValueError("its manifest is too long")
        with self._zip.open(MANIFEST) as member:
            manifest = _object(json.loads(member.read(MOST_MANIFEST + 1)))
        if manifest.get("format") != FORMAT:
            raise ValueError("its manifest is another format's")
        if manifest.get("version") != VERSION:
            raise ValueError("it is of another version of the format; update facesearch")
        counts = _object(manifest["counts"])
        self.contents = Contents(
            *(_whole(counts[field], MOST_ROWS) for field in Contents.__dataclass_fields__)
        )
        model = _object(manifest["model"])
        self.model = ModelStamp(
            _string(model["name"], MOST_TEXT),
            _digest(model["fingerprint"]) if self.contents.faces or model["fingerprint"] else "",
            _whole(model["dimension"], 65_536),
        )
        self._declared = {
            name: (_whole(_object(said)["size"], MOST_BYTES), _digest(said["sha256"]))
            for name, said in _object(manifest["members"]).items()
        }
        if sorted(self._declared) != sorted(set(names) - {MANIFEST}):
            raise ValueError("its manifest lists other members than it has")
        if not set(MEMBERS) <= self._declared.keys():
            raise ValueError("a member is missing")
        if sum(size for size, _ in self._declared.values()) > MOST_BYTES:
            raise ValueError("it unpacks to more than it may")
        expected = 4 * self.model.dimension * self.contents.faces
        if self._declared[EMBEDDINGS][0] != expected:
            raise ValueError(f"{EMBEDDINGS} is not as long as its manifest says")
        if self.contents.faces and not self.model.dimension:
            raise ValueError("its embeddings have no dimension")

    def _check_member(self, name: str) -> None:
        """Its size and SHA-256 against the manifest."""
        size, expected = self._declared[name]
        if self._zip.getinfo(name).file_size != size:
            raise ValueError("its size is another")
        digest, length = hashlib.sha256(), 0
        with self._zip.open(name) as member:
            while chunk := member.read(CHUNK):
                digest.update(chunk)
                length += len(chunk)
                if length > size:
                    raise ValueError("it is longer than its size")
        if length != size or digest.hexdigest() != expected:
            raise ValueError("its checksum is another")

    @contextmanager
    def _member(self, name: str) -> Iterator[IO[bytes]]:
        """A member to read from; an empty one where there are no chips."""
        with self._explained(f"{name} is damaged"):
            member: IO[bytes] | None = None
            if name in self._declared:
                member = self._zip.open(name)
        if member is None:
            member = io.BytesIO()
        with member:
            yield member

    def _rows(self, name: str, count: int, row: Callable[[dict[str, Any]], Row]) -> Iterator[Row]:
        """The lines of a member, each made into a row; exactly `count` of them."""
        with self._member(name) as member:
            for number in range(count + 1):
                with self._explained(f"{name}, line {number + 1}"):
                    line = member.readline(MOST_LINE + 1)
                    if number == count:
                        if line:
                            raise ValueError("more lines than its manifest says")
                        return
                    if not line.endswith(b"\n") or len(line) > MOST_LINE:
                        raise ValueError("no whole line")
                    found = row(_object(json.loads(line)))
                yield found

    def _vector(self, member: IO[bytes]) -> bytes:
        content = _exactly(member, 4 * self.model.dimension)
        vector = np.frombuffer(content, "<f4").astype(np.float64)
        if not content or not abs(float(np.linalg.norm(vector)) - 1) <= UNIT:
            raise ValueError("its embedding is no unit vector")
        return content

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """What is wrong with the file becomes a GalleryError."""
        try:
            yield
        except (PersonError, PhotoError) as error:
            raise GalleryError(f"{self.file}: {what}: {error}") from error
        except FacesearchError:
            raise
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise GalleryError(f"{self.file}: {what}: {reason}") from error
        except BROKEN as error:
            reason = _printable(str(error)) if type(error) is ValueError else "it is damaged"
            reason = "a field is missing" if isinstance(error, KeyError) else reason
            raise GalleryError(f"{self.file}: {what}: {reason}") from error
        except TypeError as error:
            raise GalleryError(f"{self.file}: {what}: a field of the wrong kind") from error


def _printable(text: str) -> str:
    """One line of no more than a hundred letters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:100]


def _exactly(member: IO[bytes], size: int) -> bytes:
    content = member.read(size) if size else b""
    if len(content) != size:
        raise ValueError("it ends too early")
    return content


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value


def _string(value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ValueError("a text is missing or too long")
    value.encode()  # a lone surrogate is no text
    return value


def _whole(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError("a whole number is missing or out of its range")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) <= 1e9:
        raise ValueError("a number is missing or out of its range")
    return float(value)


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError("no SHA-256")
    return value


def _moment(value: Any) -> str:
    datetime.fromisoformat(_string(value, 40))
    return str(value)


def _box(value: Any) -> list[float]:
    left, top, right, bottom = (_number(side) for side in _list(value, 4))
    if not (left < right and top < bottom):
        raise ValueError("a box without an inside")
    return [left, top, right, bottom]


def _points(value: Any) -> list[list[float]]:
    found = [[_number(side) for side in _list(point, 2)] for point in _list(value, 5)]
    (ax, ay), (bx, by) = found[:2]
    if math.hypot(bx - ax, by - ay) < 1e-3:
        raise ValueError("eyes in one place")
    return found


def _list(value: Any, length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError("a list is missing or of another length")
    return value


def _path(fields: dict[str, Any]) -> Path:
    """A photo's path: kept, and never opened here."""
    if "path_bytes" in fields:
        content = bytes.fromhex(_string(fields["path_bytes"], MOST_LINE))
    else:
        content = _string(fields["path"], MOST_LINE).encode()
    if not content or b"\0" in content:
        raise ValueError("no path")
    return Path(os.fsdecode(content))
