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
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from facesearch.core.errors import FacesearchError, GalleryError, PersonError, PhotoError
from facesearch.gallery.archive_records import (
    MOST_BYTES,
    MOST_LINE,
    ArchivedFace,
    ArchivedPerson,
    ArchivedPhoto,
    ArchivedRejection,
    Header,
    Manifest,
    reason_of,
)
from facesearch.storage.records import ModelStamp
from facesearch.vision.stored_chips import read_kept

FORMAT, VERSION = "facesearch gallery", 1
MANIFEST = "manifest.json"
PEOPLE, PHOTOS, FACES, REJECTIONS = (
    f"{noun}.jsonl" for noun in ("people", "photos", "faces", "rejections")
)
EMBEDDINGS, REJECTED, CHIPS = "embeddings.f32", "rejections.f32", "chips.bin"
MEMBERS = (PEOPLE, PHOTOS, FACES, REJECTIONS, EMBEDDINGS, REJECTED)  # and CHIPS, where kept

# what no archive of ours comes near, and what no other is read beyond; see also archive_records
MOST_MANIFEST = 65_536  # bytes
MOST_DIRECTORY = 16_384  # bytes of the zip file's own list of members
MOST_RATIO = 100  # of unpacked to packed, of members over a megabyte

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

Record = TypeVar("Record", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FaceInArchive:
    """A face with its embedding and its chip."""

    record: ArchivedFace
    embedding: bytes
    chip: bytes | None


@dataclass(frozen=True, slots=True)
class RejectionInArchive:
    """A rejection with its embedding."""

    record: ArchivedRejection
    embedding: bytes  # empty where the face could not be recognised


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
        """The people, in the order of their lines. Raises GalleryError for a bad record."""
        seen: set[str] = set()
        for person in self._records(PEOPLE, self.contents.people, ArchivedPerson):
            with self._explained(f"{PEOPLE}, line {len(seen) + 1}"):
                if person.name in seen:
                    raise ValueError("a name that is there twice")
            seen.add(person.name)
            yield person

    def photos(self) -> Iterator[ArchivedPhoto]:
        """The photos, as `people`."""
        seen: set[bytes] = set()
        for photo in self._records(PHOTOS, self.contents.photos, ArchivedPhoto):
            digest = bytes.fromhex(photo.sha256)
            with self._explained(f"{PHOTOS}, line {len(seen) + 1}"):
                if digest in seen:
                    raise ValueError("a photo that is there twice")
            seen.add(digest)
            yield photo

    def faces(self) -> Iterator[FaceInArchive]:
        """The faces, as `people`."""
        left = self.contents.chips
        with self._member(EMBEDDINGS) as vectors, self._member(CHIPS) as images:
            records = self._records(FACES, self.contents.faces, ArchivedFace)
            for line, record in enumerate(records, 1):
                with self._explained(f"{FACES}, line {line}"):
                    _check_line("photo", record.photo, self.contents.photos)
                    _check_line("person", record.person, self.contents.people)
                    chip = None
                    if record.chip is not None:
                        left -= 1
                        chip = _exactly(images, record.chip)
                        read_kept(chip)
                    embedding = self._vector(vectors)
                yield FaceInArchive(record, embedding, chip)
            with self._explained(f"{FACES} does not fit {EMBEDDINGS} and {CHIPS}"):
                if left or vectors.read(1) or images.read(1):
                    raise ValueError("some are left over")

    def rejections(self) -> Iterator[RejectionInArchive]:
        """The rejections, as `people`."""
        with self._member(REJECTED) as vectors:
            records = self._records(REJECTIONS, self.contents.rejections, ArchivedRejection)
            for line, record in enumerate(records, 1):
                with self._explained(f"{REJECTIONS}, line {line}"):
                    _check_line("person", record.person, self.contents.people)
                    embedding = self._vector(vectors) if record.embedding else b""
                yield RejectionInArchive(record, embedding)
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
            content = member.read(MOST_MANIFEST + 1)
        header = Header.model_validate_json(content)
        if header.format != FORMAT:
            raise ValueError("its manifest is another format's")
        if header.version != VERSION:
            raise ValueError("it is of another version of the format; update facesearch")
        manifest = Manifest.model_validate_json(content)
        self.contents, model = manifest.counts, manifest.model
        if self.contents.faces and not model.fingerprint:
            raise ValueError("its manifest does not say which model the embeddings are of")
        self.model = ModelStamp(model.name, model.fingerprint, model.dimension)
        self._declared = {
            name: (member.size, member.sha256) for name, member in manifest.members.items()
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

    def _records(self, name: str, count: int, kind: type[Record]) -> Iterator[Record]:
        """The lines of a member, each of them checked; exactly `count`."""
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
                    found = kind.model_validate_json(line)
                yield found

    def _vector(self, member: IO[bytes]) -> bytes:
        content = _exactly(member, 4 * self.model.dimension)
        vector = np.frombuffer(content, "<f4").astype(np.float64)
        if not content or not abs(float(np.linalg.norm(vector)) - 1) <= UNIT:
            raise ValueError("its embedding is no unit vector")
        return content

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turn what is wrong with the file into a GalleryError."""
        try:
            yield
        except (PersonError, PhotoError) as error:
            raise GalleryError(f"{self.file}: {what}: {error}") from error
        except FacesearchError:
            raise
        except OSError as error:
            reason = error.strerror or "it cannot be read"
            raise GalleryError(f"{self.file}: {what}: {reason}") from error
        except ValidationError as error:
            raise GalleryError(f"{self.file}: {what}: {_printable(reason_of(error))}") from error
        except BROKEN as error:
            reason = _printable(str(error)) if type(error) is ValueError else "it is damaged"
            raise GalleryError(f"{self.file}: {what}: {reason}") from error


def _printable(text: str) -> str:
    """One line of no more than a hundred letters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:100]


def _exactly(member: IO[bytes], size: int) -> bytes:
    content = member.read(size) if size else b""
    if len(content) != size:
        raise ValueError("it ends too early")
    return content


def _check_line(what: str, line: int, count: int) -> None:
    """Raises ValueError for a line that another member does not have."""
    if line >= count:
        raise ValueError(f"{what}: line {line} of {count}, counted from 0")
