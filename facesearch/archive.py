"""A gallery as one file that any program can read, and what such a file adds to another gallery.

A zip file of these members and no others: manifest.json; people.jsonl, photos.jsonl, faces.jsonl
and rejections.jsonl, one JSON object a line, which refer to each other by line, counted from 0;
embeddings.f32 and rejections.f32, little-endian float32, a row for each face and for each rejection
that says it has one; chips.bin, image files one after the other. The manifest says the version of
the format, the model, how many there are of everything, and the size and SHA-256 of every member.
docs/gallery.md lists the fields.
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
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, TypeVar

import numpy as np
import sqlalchemy as sa

from facesearch import __version__
from facesearch.database import Database, get_setting, now, set_setting
from facesearch.errors import FacesearchError, GalleryError, PersonError, PhotoError
from facesearch.face import Box
from facesearch.kept import read_kept
from facesearch.names import clean_name
from facesearch.schema import (
    chips,
    face_checksum,
    faces,
    people,
    person_checksum,
    photo_checksum,
    photos,
    rejections,
)
from facesearch.store import ModelStamp, Store, keep_chip, new_person

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
MOST_LINE = 65_536  # bytes
MOST_CHIP = 4_000_000  # bytes
MOST_ROWS = 100_000_000
MOST_BYTES = 1 << 38  # all members together, unpacked
MOST_RATIO = 100  # of unpacked to packed, of members over a megabyte
MOST_TEXT = 10_000  # letters

SAME = 0.5  # the least overlap of two boxes of one face, found by the same model
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
class Refused:
    """A face of an archive that contradicts the gallery, and is not taken over."""

    photo: Path
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What a gallery took over from an archive, and what it had."""

    people_added: int
    people_joined: int
    photos_added: int
    photos_known: int
    faces_added: int
    faces_known: int
    rejections_added: int
    rejections_known: int
    chips_added: int
    refused: list[Refused]


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


# Writing


def export(store: Store, file: Path, *, chips: bool = False, force: bool = False) -> Contents:
    """Write everything that is enrolled to one archive, as it is at one moment.

    chips: with the kept chips. force: in place of a file that is there. Removed people, the event
    log and settings other than the model stay behind; what is encrypted in the gallery is not in
    the archive, which only its owner may read. Raises GalleryError.
    """
    partial = file.with_name(f"{file.name}.partial")
    _check_free(file, force)
    try:
        try:
            with (
                os.fdopen(_opened_new(partial), "wb") as raw,
                store.database.read() as connection,
            ):
                try:
                    contents = _Writer(store.database, connection, raw).write(chips)
                    raw.flush()
                    os.fsync(raw.fileno())
                except OSError as error:  # of this file, not of the database
                    raise _unwritten(file, error) from error
            _check_free(file, force)
            partial.replace(file)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritten(file, error) from error
    return contents


def _unwritten(file: Path, error: OSError) -> GalleryError:
    return GalleryError(f"{file}: cannot be written ({error.strerror})")


def _check_free(file: Path, force: bool) -> None:
    if os.path.lexists(file) and not force:
        raise GalleryError(f"{file}: is there already; replace it with --force")


def _opened_new(path: Path) -> int:
    path.unlink(missing_ok=True)  # of a killed run
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)


class _Writer:
    """One archive, member by member, from one state of the database."""

    def __init__(self, database: Database, connection: sa.Connection, raw: IO[bytes]) -> None:
        self.database = database
        self.connection = connection
        self.zip = zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.members: dict[str, dict[str, Any]] = {}
        self.here = people.c.removed.is_(None)

    def write(self, with_chips: bool) -> Contents:
        with self.zip:
            model = {
                key: get_setting(self.connection, key) or ""
                for key in ("model", "fingerprint", "dimension")
            }
            person_lines = self._people()
            photo_lines = self._photos()
            face_lines, kept = self._faces(person_lines, photo_lines, with_chips)
            self._embeddings(face_lines)
            if with_chips:
                self._chips(face_lines)
            rejected = self._rejections(person_lines)
            contents = Contents(
                len(person_lines), len(photo_lines), len(face_lines), rejected, kept
            )
            manifest = {
                "format": FORMAT,
                "version": VERSION,
                "program": f"facesearch {__version__}",
                "created": now(),
                "model": {
                    "name": model["model"],
                    "fingerprint": model["fingerprint"],
                    "dimension": int(model["dimension"] or 0),
                },
                "counts": asdict(contents),
                "members": self.members,
            }
            self.zip.writestr(_entry(MANIFEST), json.dumps(manifest, indent=1))
        return contents

    @contextmanager
    def _member(self, name: str, *, packed: bool) -> Iterator[Callable[[bytes], None]]:
        """Takes the bytes of a member; its size and SHA-256 go into the manifest."""
        digest, size = hashlib.sha256(), 0
        with self.zip.open(_entry(name, packed=packed), "w", force_zip64=True) as member:

            def write(content: bytes) -> None:
                nonlocal size
                digest.update(content)
                size += len(content)
                member.write(content)

            yield write
        self.members[name] = {"size": size, "sha256": digest.hexdigest()}

    def _people(self) -> dict[int, int]:
        """The line of each person by their number."""
        lines: dict[int, int] = {}
        fields = people.c.name, people.c.created, people.c.expires, people.c.consent
        query = sa.select(people.c.id, people.c.checksum, *fields).where(self.here)
        with self._member(PEOPLE, packed=True) as write:
            for row in self.connection.execute(query.order_by(people.c.id)):
                self._check(row.checksum == person_checksum(row.id, row.name), "person", row.id)
                lines[row.id] = len(lines)
                write(_line({field.name: getattr(row, field.name) for field in fields}))
        return lines

    def _photos(self) -> dict[int, int]:
        """The line of each photo by its number."""
        lines: dict[int, int] = {}
        used = sa.select(faces.c.photo).join(people, people.c.id == faces.c.person)
        query = sa.select(photos).where(photos.c.id.in_(used.where(self.here)))
        with self._member(PHOTOS, packed=True) as write:
            for row in self.connection.execute(query.order_by(photos.c.id)):
                sound = row.checksum == photo_checksum(row.id, row.path, row.sha256)
                self._check(sound, "photo", row.id)
                lines[row.id] = len(lines)
                fields = {"sha256": row.sha256, "width": row.width, "height": row.height}
                write(_line(_path_fields(row.path) | fields | {"added": row.added}))
        return lines

    def _faces(
        self, person_lines: dict[int, int], photo_lines: dict[int, int], with_chips: bool
    ) -> tuple[dict[int, int], int]:
        """The line of each face by its number, and how many have a chip."""
        lines: dict[int, int] = {}
        kept = 0
        query = (
            sa.select(
                faces.c.id,
                faces.c.photo,
                faces.c.person,
                sa.type_coerce(faces.c.box, sa.Text).label("box"),
                sa.type_coerce(faces.c.points, sa.Text).label("points"),
                faces.c.score,
                faces.c.agreement,
                faces.c.embedding,
                faces.c.checksum,
                chips.c.image if with_chips else sa.null().label("image"),
            )
            .join(people, people.c.id == faces.c.person)
            .outerjoin(chips, chips.c.face == faces.c.id)
            .where(self.here)
        )
        with self._member(FACES, packed=True) as write:
            for row in self.connection.execute(query.order_by(faces.c.id)):
                covered = row.photo, row.person, row.box, row.points, row.agreement, row.embedding
                self._check(row.checksum == face_checksum(*covered), "face", row.id)
                lines[row.id] = len(lines)
                fields: dict[str, Any] = {
                    "photo": photo_lines[row.photo],
                    "person": person_lines[row.person],
                    "box": json.loads(row.box),
                    "points": json.loads(row.points),
                    "score": row.score,
                    "agreement": row.agreement,
                }
                if with_chips:
                    chip = None if row.image is None else len(self.database.unsealed(row.image))
                    kept += chip is not None
                    fields["chip"] = chip
                write(_line(fields))
        return lines, kept

    def _embeddings(self, lines: dict[int, int]) -> None:
        query = sa.select(faces.c.id, faces.c.embedding).order_by(faces.c.id)
        with self._member(EMBEDDINGS, packed=False) as write:
            for number, sealed in self.connection.execute(query):
                if number in lines:
                    write(self.database.unsealed(sealed))

    def _chips(self, lines: dict[int, int]) -> None:
        query = sa.select(chips.c.face, chips.c.image).order_by(chips.c.face)
        with self._member(CHIPS, packed=False) as write:
            for number, sealed in self.connection.execute(query):
                if number in lines:
                    write(self.database.unsealed(sealed))

    def _rejections(self, person_lines: dict[int, int]) -> int:
        """How many there are."""
        query = sa.select(rejections).order_by(rejections.c.id)
        rows = [row for row in self.connection.execute(query) if row.person in person_lines]
        vectors = [self.database.unsealed(row.embedding) for row in rows]
        with self._member(REJECTIONS, packed=True) as write:
            for row, vector in zip(rows, vectors, strict=True):
                fields = {"person": person_lines[row.person], "sha256": row.sha256, "box": row.box}
                write(_line(fields | {"at": row.at, "embedding": bool(vector)}))
        with self._member(REJECTED, packed=False) as write:
            for vector in vectors:
                write(vector)
        return len(rows)

    def _check(self, sound: bool, what: str, number: int) -> None:
        if not sound:
            raise GalleryError(
                f"{self.database.path}: damaged: {what} {number} is not what was written; "
                "`facesearch gallery doctor` says more"
            )


def _entry(name: str, *, packed: bool = True) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    entry.external_attr = 0o600 << 16
    return entry


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, allow_nan=False).encode() + b"\n"


def _path_fields(path: Path) -> dict[str, str]:
    """A path as text, or where it is no UTF-8 as hexadecimal bytes."""
    content = os.fsencode(path)
    try:
        return {"path": content.decode()}
    except UnicodeDecodeError:
        return {"path_bytes": content.hex()}


# Reading


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
            with self._explained("not an archive of a gallery"):
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
            return ArchivedPerson(
                name,
                _moment(fields["created"]),
                None if expires is None else date.fromisoformat(_string(expires, 10)).isoformat(),
                None if consent is None else _string(consent, MOST_TEXT),
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


# Merging


def merge(store: Store, archive: Archive) -> Merged:
    """Add to a gallery what an archive holds and it does not, in one transaction.

    People of one name are one person; those who are there keep their own dates and notes. A face
    is known already if its photo has one in the same place. Raises GalleryError if the embeddings
    are of another model than the gallery's.
    """
    database = store.database
    with database.write("import", {"faces": archive.contents.faces}) as connection:
        _check_model(store, connection, archive)
        return _Merge(database, connection, archive).run()


def _check_model(store: Store, connection: sa.Connection, archive: Archive) -> None:
    if not archive.contents.faces:
        return
    has_faces = connection.execute(sa.select(faces.c.id).limit(1)).first() is not None
    if has_faces:
        mine = get_setting(connection, "fingerprint") or ""
        if mine != archive.model.fingerprint:
            name = get_setting(connection, "model")
            raise GalleryError(
                f"{archive.file}: made with --model {archive.model.name} "
                f"({archive.model.fingerprint[:12]}), the gallery with --model {name} "
                f"({mine[:12]}); give both the same model with `facesearch gallery reindex`, or "
                "import into another gallery with --gallery"
            )
        return
    set_setting(connection, "model", archive.model.name)
    set_setting(connection, "fingerprint", archive.model.fingerprint)
    set_setting(connection, "dimension", str(archive.model.dimension))


class _Merge:
    def __init__(self, database: Database, connection: sa.Connection, archive: Archive) -> None:
        self.database = database
        self.connection = connection
        self.archive = archive
        mine = get_setting(connection, "fingerprint")
        self.same_model = mine == archive.model.fingerprint
        self.last_face = self._last(faces)
        self.last_photo = self._last(photos)

    def run(self) -> Merged:
        names: list[str] = []
        persons: list[int] = []
        people_added = 0
        for person in self.archive.people():
            number, new = self._person(person)
            names.append(person.name)
            persons.append(number)
            people_added += new
        here = [self._photo(photo) for photo in self.archive.photos()]
        rejected = self._rejections_here()
        known = added = chips_added = 0
        refused: list[Refused] = []
        for face in self.archive.faces():
            photo = here[face.photo]
            reason = self._refusal(face, photo, persons[face.person], names[face.person], rejected)
            if reason is None:
                number = self._add_face(face, photo, persons[face.person])
                added += 1
                if face.chip is not None:
                    keep_chip(self.connection, number, self.database.sealed(face.chip))
                    chips_added += 1
            elif reason:
                refused.append(Refused(self._path(photo), names[face.person], reason))
            else:
                known += 1
        photos_added = self._drop_unused_photos()
        said = [self._add_rejection(one, persons, rejected) for one in self.archive.rejections()]
        return Merged(
            people_added,
            len(persons) - people_added,
            photos_added,
            sum(number <= self.last_photo for number in here),
            added,
            known,
            sum(said),
            len(said) - sum(said),
            chips_added,
            refused,
        )

    def _last(self, table: sa.Table) -> int:
        return int(self.connection.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0)

    def _person(self, person: ArchivedPerson) -> tuple[int, bool]:
        """The number of a person, and whether they are new."""
        query = sa.select(people.c.id).where(people.c.name == person.name)
        there = self.connection.execute(query).scalar()
        if there is not None:
            return int(there), False
        number = new_person(self.connection, person.name)
        values = {
            "created": person.created,
            "expires": person.expires,
            "consent": person.consent,
        }
        self.connection.execute(people.update().where(people.c.id == number).values(values))
        return number, True

    def _photo(self, photo: ArchivedPhoto) -> int:
        query = sa.select(photos.c.id).where(photos.c.sha256 == photo.sha256)
        there = self.connection.execute(query).scalar()
        if there is not None:
            return int(there)
        values = asdict(photo) | {"path": photo.path, "checksum": 0}
        number = _made(self.connection.execute(photos.insert().values(values)))
        checksum = photo_checksum(number, photo.path, photo.sha256)
        changed = photos.update().where(photos.c.id == number)
        self.connection.execute(changed.values(checksum=checksum))
        return number

    def _refusal(
        self,
        face: ArchivedFace,
        photo: int,
        person: int,
        name: str,
        rejected: dict[str, list[tuple[int, Box]]],
    ) -> str | None:
        """Why a face is not added; empty if it is here already; None if it is to be added."""
        box = Box(*face.box)
        if rejected:
            query = sa.select(photos.c.sha256).where(photos.c.id == photo)
            sha256 = self.connection.execute(query).scalar_one()
            for whose, where in rejected.get(sha256, []):
                if whose == person and where.overlap(box) >= SAME:
                    return f"it was rejected here as {name}'s"
        if photo > self.last_photo:
            return None
        query = (
            sa.select(faces.c.box, people.c.id, people.c.name)
            .join(people, people.c.id == faces.c.person)
            .where(faces.c.photo == photo, faces.c.id <= self.last_face)
            .where(people.c.removed.is_(None))
        )
        for there, whose, other in self.connection.execute(query):
            if Box(*there).overlap(box) >= SAME:
                return "" if whose == person else f"this face is enrolled here as {other}"
        return None

    def _add_face(self, face: ArchivedFace, photo: int, person: int) -> int:
        sealed = self.database.sealed(face.embedding)
        texts = json.dumps(face.box), json.dumps(face.points)
        values = {
            "photo": photo,
            "person": person,
            "box": face.box,
            "points": face.points,
            "score": face.score,
            "embedding": sealed,
            "agreement": face.agreement,
            "checksum": face_checksum(photo, person, *texts, face.agreement, sealed),
        }
        return _made(self.connection.execute(faces.insert().values(values)))

    def _path(self, photo: int) -> Path:
        query = sa.select(photos.c.path).where(photos.c.id == photo)
        path: Path = self.connection.execute(query).scalar_one()
        return path

    def _drop_unused_photos(self) -> int:
        """Photos were added before it was known whether a face of theirs is; returns the rest."""
        new = photos.c.id > self.last_photo
        used = sa.select(faces.c.photo)
        self.connection.execute(photos.delete().where(new, photos.c.id.not_in(used)))
        query = sa.select(sa.func.count()).select_from(photos).where(new)
        return int(self.connection.execute(query).scalar_one())

    def _rejections_here(self) -> dict[str, list[tuple[int, Box]]]:
        """By the photo's SHA-256 whose the face in a place is not."""
        found: dict[str, list[tuple[int, Box]]] = {}
        query = sa.select(rejections.c.sha256, rejections.c.person, rejections.c.box)
        for sha256, person, box in self.connection.execute(query):
            found.setdefault(sha256, []).append((person, Box(*box)))
        return found

    def _add_rejection(
        self,
        rejection: ArchivedRejection,
        persons: list[int],
        here: dict[str, list[tuple[int, Box]]],
    ) -> bool:
        """Whether it was new."""
        person, box = persons[rejection.person], Box(*rejection.box)
        for whose, where in here.get(rejection.sha256, []):
            if whose == person and where.overlap(box) >= SAME:
                return False
        values = {
            "person": person,
            "sha256": rejection.sha256,
            "box": rejection.box,
            "embedding": self.database.sealed(rejection.embedding if self.same_model else b""),
            "at": rejection.at,
        }
        self.connection.execute(rejections.insert().values(values))
        return True


def _made(result: sa.CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])
