"""A gallery written to one archive; `facesearch.archive` says of what form."""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

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
    Contents,
)
from facesearch.storage import row_checksums
from facesearch.storage.database import Database
from facesearch.storage.schema import (
    chips,
    face_is_sound,
    face_rows,
    faces,
    people,
    person_checksum,
    photo_checksum,
    photos,
)
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
        query = row_checksums.TERMS.select().add_columns(people.c.name, people.c.checksum)
        with self._member(PEOPLE, packed=True) as write:
            for row in self.connection.execute(query.where(self.here)):
                self._check(row.checksum == person_checksum(row.id, row.name), "person", row.id)
                row_checksums.TERMS.check(row)
                lines[row.id] = len(lines)
                person = {field.name: getattr(row, field.name) for field in fields}
                if row.consent is not None:  # earlier versions took any
                    person["consent"] = visible(row.consent)
                write(_line(person))
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
            face_rows(faces.c.score, chips.c.image if with_chips else sa.null().label("image"))
            .join(people, people.c.id == faces.c.person)
            .outerjoin(chips, chips.c.face == faces.c.id)
            .where(self.here)
        )
        with self._member(FACES, packed=True) as write:
            for row in self.connection.execute(query.order_by(faces.c.id)):
                self._check(face_is_sound(row), "face", row.id)
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
                    chip = (
                        None
                        if row.image is None
                        else len(self.database.unsealed(row.image, "chip"))
                    )
                    kept += chip is not None
                    fields["chip"] = chip
                write(_line(fields))
        return lines, kept

    def _embeddings(self, lines: dict[int, int]) -> None:
        query = sa.select(faces.c.id, faces.c.embedding).order_by(faces.c.id)
        with self._member(EMBEDDINGS, packed=False) as write:
            for number, sealed in self.connection.execute(query):
                if number in lines:
                    write(self.database.unsealed(sealed, "face"))

    def _chips(self, lines: dict[int, int]) -> None:
        with self._member(CHIPS, packed=False) as write:
            for row in self.connection.execute(row_checksums.CHIPS.select()):
                if row.face in lines:
                    row_checksums.CHIPS.check(row)
                    write(self.database.unsealed(row.image, "chip"))

    def _rejections(self, person_lines: dict[int, int]) -> int:
        """How many there are."""
        every = self.connection.execute(row_checksums.REJECTIONS.select())
        rows = [row for row in every if row.person in person_lines]
        for row in rows:
            row_checksums.REJECTIONS.check(row)
        vectors = [self.database.unsealed(row.embedding, "rejection") for row in rows]
        with self._member(REJECTIONS, packed=True) as write:
            for row, vector in zip(rows, vectors, strict=True):
                fields = {"person": person_lines[row.person], "sha256": row.sha256}
                fields |= {"box": json.loads(row.box), "at": row.at, "near": row.near}
                write(_line(fields | {"embedding": bool(vector)}))
        with self._member(REJECTED, packed=False) as write:
            for vector in vectors:
                write(vector)
        return len(rows)

    def _check(self, sound: bool, what: str, number: int) -> None:
        if not sound:
            raise GalleryError(
                f"{self.database.name}: damaged: {what} {number} is not what was written; "
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
