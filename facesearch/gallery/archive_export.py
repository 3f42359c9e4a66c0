"""Writing a gallery to one archive, whose form `archive_format` describes."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from facesearch.core.errors import GalleryError
from facesearch.core.names import visible
from facesearch.core.version import __version__
from facesearch.gallery.archive_format import (
    CHIPS,
    EMBEDDINGS,
    FACES,
    FORMAT,
    MANIFEST,
    PEOPLE,
    PHOTOS,
    REJECTED,
    REJECTIONS,
    VERSION,
    Archive,
)
from facesearch.gallery.archive_records import Contents
from facesearch.storage import archive_rows
from facesearch.storage.connection import Connection
from facesearch.storage.database import Database
from facesearch.storage.settings import get_setting, now
from facesearch.storage.store import Store


def export(store: Store, file: Path, *, chips: bool = False, force: bool = False) -> Contents:
    """Write everything that is enrolled to one archive, as it is at one moment.

    chips: with the kept chips. force: in place of a file that is there. Removed people, the event
    log and settings other than the model stay behind; what is encrypted in the gallery is not in
    the archive, which only its owner may read. It is read again before it gets its name. Raises
    GalleryError.
    """
    folder = store.database.folder.resolve()
    if file.parent.resolve().is_relative_to(folder):
        raise GalleryError(f"{file}: lies in the gallery's own folder; choose another")
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
            with Archive(partial):  # what is kept can be read again
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

    def __init__(self, database: Database, connection: Connection, raw: IO[bytes]) -> None:
        self.database = database
        self.connection = connection
        self.zip = zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.members: dict[str, dict[str, Any]] = {}

    def write(self, with_chips: bool) -> Contents:
        with self.zip:
            model = {
                key: get_setting(self.connection, key) or ""
                for key in ("model", "fingerprint", "dimension")
            }
            person_lines = self._people()
            photo_lines = self._photos()
            face_count, kept = self._faces(person_lines, photo_lines, with_chips)
            self._embeddings()
            if with_chips:
                self._chips()
            rejected = self._rejections(person_lines)
            contents = Contents(len(person_lines), len(photo_lines), face_count, rejected, kept)
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
        """Write the people; returns the line of each by their number."""
        lines: dict[int, int] = {}
        with self._member(PEOPLE, packed=True) as write:
            for person in archive_rows.person_rows(self.connection):
                lines[person.number] = len(lines)
                fields = asdict(person)
                del fields["number"]
                if person.consent is not None:  # earlier versions took any
                    fields["consent"] = visible(person.consent)
                write(_line(fields))
        return lines

    def _photos(self) -> dict[int, int]:
        """Write the photos; returns the line of each by its number."""
        lines: dict[int, int] = {}
        with self._member(PHOTOS, packed=True) as write:
            for photo in archive_rows.photo_rows(self.connection):
                lines[photo.number] = len(lines)
                fields = {"sha256": photo.sha256, "width": photo.width, "height": photo.height}
                write(_line(_path_fields(photo.path) | fields | {"added": photo.added}))
        return lines

    def _faces(
        self, person_lines: dict[int, int], photo_lines: dict[int, int], with_chips: bool
    ) -> tuple[int, int]:
        """Write the faces; returns how many there are, and how many have a chip."""
        count = kept = 0
        rows = archive_rows.enrolled_face_rows(
            self.database, self.connection, with_chips=with_chips
        )
        with self._member(FACES, packed=True) as write:
            for face in rows:
                fields: dict[str, Any] = {
                    "photo": photo_lines[face.photo],
                    "person": person_lines[face.person],
                    "box": face.box,
                    "points": face.points,
                    "score": face.score,
                    "agreement": face.flip_consistency,
                }
                if with_chips:
                    fields["chip"] = face.chip_size
                    kept += face.chip_size is not None
                write(_line(fields))
                count += 1
        return count, kept

    def _embeddings(self) -> None:
        with self._member(EMBEDDINGS, packed=False) as write:
            for embedding in archive_rows.embeddings(self.database, self.connection):
                write(embedding)

    def _chips(self) -> None:
        with self._member(CHIPS, packed=False) as write:
            for image in archive_rows.chip_images(self.database, self.connection):
                write(image)

    def _rejections(self, person_lines: dict[int, int]) -> int:
        """Write the rejections; returns how many there are."""
        rows = archive_rows.rejection_rows(self.database, self.connection)
        with self._member(REJECTIONS, packed=True) as write:
            for row in rows:
                fields = {"person": person_lines[row.person], "sha256": row.sha256}
                fields |= {"box": row.box, "at": row.at, "near": row.near}
                write(_line(fields | {"embedding": bool(row.embedding)}))
        with self._member(REJECTED, packed=False) as write:
            for row in rows:
                write(row.embedding)
        return len(rows)


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
