"""The truth about a gallery: people, photos, faces, events. The only door to SQLAlchemy."""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from facesearch.errors import GalleryError, PersonError
from facesearch.face import Box, Face
from facesearch.model import Embeddings

SCHEMA = "0002"  # the newest migration
LOCK_SECONDS = 60


class _Path(sa.types.TypeDecorator[Path]):
    """Paths as the bytes that they are; not every path is UTF-8."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Path | None, dialect: sa.Dialect) -> bytes | None:
        return None if value is None else os.fsencode(value)

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> Path | None:
        return None if value is None else Path(os.fsdecode(value))


_tables = sa.MetaData()
_people = sa.Table(
    "people",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("created", sa.Text),
)
_photos = sa.Table(
    "photos",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("path", _Path),
    sa.Column("sha256", sa.Text),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("added", sa.Text),
)
_faces = sa.Table(
    "faces",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("photo", sa.Integer),
    sa.Column("person", sa.Integer),
    sa.Column("box", sa.JSON),
    sa.Column("points", sa.JSON),
    sa.Column("score", sa.Float),
    sa.Column("embedding", sa.LargeBinary),
    sa.Column("agreement", sa.Float),
)
_settings = sa.Table(
    "settings",
    _tables,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text),
)
_events = sa.Table(
    "events",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Text),
    sa.Column("action", sa.Text),
    sa.Column("detail", sa.JSON),
)


@dataclass(frozen=True, slots=True)
class Person:
    """An enrolled person and how much is known of them."""

    name: str
    faces: int
    photos: int
    created: str  # ISO 8601, UTC


@dataclass(frozen=True, slots=True)
class ModelStamp:
    """The model that the embeddings of a gallery are made with."""

    name: str
    fingerprint: str
    dimension: int


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """A photo about to be enrolled, with the faces that are the person's."""

    name: str
    path: Path
    sha256: str
    width: int
    height: int
    faces: list[Face]
    embeddings: Embeddings  # (len(faces), D)
    agreements: list[float]  # of each face with its mirror image


@dataclass(frozen=True, slots=True)
class StoredFace:
    """An enrolled face."""

    number: int
    name: str
    photo: Path
    box: Box


@dataclass(frozen=True, slots=True)
class Samples:
    """The enrolled faces of a person, to compare with."""

    name: str
    photos: list[Path]
    embeddings: Embeddings  # (len(photos), D)
    agreement: float  # of the best face with its mirror image


class Store:
    """One SQLite file. Every write is one transaction that also gives it a new revision."""

    def __init__(self, folder: Path, *, create: bool) -> None:
        """Open the gallery in `folder`, bringing an older one up to date.

        Raises GalleryError if it is missing and not to be created, damaged, or newer than this
        program.
        """
        self._path = folder / "gallery.db"
        if not self._path.exists():
            if not create:
                raise GalleryError(f"{folder}: no gallery here yet; enrol somebody first")
            _make_folder(folder)
        self.writable = os.access(folder, os.W_OK) and (
            not self._path.exists() or os.access(self._path, os.W_OK)
        )
        self._engine = sa.create_engine("sqlite://", creator=self._connect, poolclass=sa.NullPool)
        # sqlite3 itself begins no transaction before the first write, nor for CREATE TABLE
        sa.event.listen(self._engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
        self._migrate()

    def _connect(self) -> sqlite3.Connection:
        if self.writable:
            connection = sqlite3.connect(self._path, timeout=LOCK_SECONDS, isolation_level=None)
            connection.execute("PRAGMA secure_delete = ON")
        else:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            log = self._path.with_name(f"{self._path.name}-wal")
            if not (log.exists() and log.stat().st_size):
                uri += "&immutable=1"  # SQLite could not make the files beside it that WAL needs
            connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _migrate(self) -> None:
        with self._read() as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            version = (
                connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
                if known
                else None
            )
        if version == SCHEMA:
            return
        if version is not None and version > SCHEMA:
            raise GalleryError(f"{self._path}: made by a newer facesearch; update this one")
        if not self.writable:
            raise GalleryError(f"{self._path}: needs an update, but cannot be written to")
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._explained(), self._lock():
            with closing(self._connect()) as plain:
                plain.execute("PRAGMA journal_mode = WAL")  # for good: it is kept in the file
            with self._engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        try:
            with FileLock(self._path.with_name("lock"), timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise GalleryError(
                f"{self._path.parent}: another facesearch has been writing for {LOCK_SECONDS} "
                "seconds; try again when it is done"
            ) from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Errors of SQLite and of the file system become a GalleryError."""
        try:
            yield
        except sa.exc.OperationalError as error:  # locked, full, no rights: the file may be sound
            message = f"{self._path}: cannot be read or written ({error.orig})"
            raise GalleryError(message) from error
        except (sa.exc.DatabaseError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, sa.exc.DatabaseError) else error
            message = f"{self._path}: not a gallery, or a damaged one ({cause})"
            raise GalleryError(message) from error
        except OSError as error:
            raise GalleryError(f"{self._path}: {error.strerror}") from error

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with self._explained(), self._engine.connect() as connection:
            yield connection

    def check_writable(self) -> None:
        """Raises GalleryError."""
        if not self.writable:
            raise GalleryError(f"{self._path.parent}: this gallery cannot be written to")

    @contextmanager
    def _write(self, action: str, detail: dict[str, Any]) -> Iterator[sa.Connection]:
        """A transaction of the only writer; adds the event and a revision."""
        self.check_writable()
        with self._explained(), self._lock(), self._engine.begin() as connection:
            yield connection
            connection.execute(_events.insert().values(at=_now(), action=action, detail=detail))
            # drawn, not counted: a database that was put back must not look like a later one
            _set(connection, "revision", secrets.token_hex(8))

    # Reading

    def revision(self) -> str:
        """Changes with every write."""
        with self._read() as connection:
            return _get(connection, "revision") or ""

    def model(self) -> ModelStamp | None:
        """None as long as there are no embeddings."""
        with self._read() as connection:
            return _model(connection)

    def known(self, hashes: list[str]) -> dict[str, set[str]]:
        """Which of these photos, by SHA-256, are enrolled, and under which names."""
        query = (
            sa.select(_photos.c.sha256, _people.c.name)
            .join(_faces, _faces.c.photo == _photos.c.id)
            .join(_people, _people.c.id == _faces.c.person)
            .where(_photos.c.sha256.in_(hashes))
        )
        found: dict[str, set[str]] = {}
        with self._read() as connection:
            for sha256, name in connection.execute(query):
                found.setdefault(sha256, set()).add(name)
        return found

    def vectors(self) -> tuple[str, NDArray[np.int64], Embeddings]:
        """The revision; of all faces the numbers of their people (N,) and the embeddings (N, D)."""
        with self._read() as connection:
            revision = _get(connection, "revision") or ""
            rows = connection.execute(
                sa.select(_faces.c.person, _faces.c.embedding).order_by(_faces.c.id)
            ).all()
            dimension = int(_get(connection, "dimension") or 0)
        people = np.array([row.person for row in rows], np.int64)
        return revision, people, _joined([row.embedding for row in rows], dimension)

    def samples(self, people: list[int]) -> dict[int, Samples]:
        """The faces of people by their numbers, in the order of their enrolment."""
        query = (
            sa.select(
                _people.c.id,
                _people.c.name,
                _photos.c.path,
                _faces.c.embedding,
                _faces.c.agreement,
            )
            .join(_people, _people.c.id == _faces.c.person)
            .join(_photos, _photos.c.id == _faces.c.photo)
            .where(_people.c.id.in_(people))
            .order_by(_faces.c.id)
        )
        grouped: dict[int, list[Any]] = {}
        with self._read() as connection:
            dimension = int(_get(connection, "dimension") or 0)
            for row in connection.execute(query):
                grouped.setdefault(row.id, []).append(row)
        return {
            person: Samples(
                rows[0].name,
                [row.path for row in rows],
                _joined([row.embedding for row in rows], dimension),
                max(row.agreement for row in rows),
            )
            for person, rows in grouped.items()
        }

    def hashes(self) -> list[str]:
        """The SHA-256 of every photo, in hexadecimal."""
        with self._read() as connection:
            return list(connection.execute(sa.select(_photos.c.sha256)).scalars())

    def photo_count(self) -> int:
        with self._read() as connection:
            query = sa.select(sa.func.count()).select_from(_photos)
            return int(connection.execute(query).scalar_one())

    def people(self) -> list[Person]:
        """Everybody, by name."""
        query = (
            sa.select(
                _people.c.name,
                sa.func.count(_faces.c.id),
                sa.func.count(sa.distinct(_faces.c.photo)),
                _people.c.created,
            )
            .outerjoin(_faces, _faces.c.person == _people.c.id)
            .group_by(_people.c.id)
            .order_by(_people.c.name)
        )
        with self._read() as connection:
            return [Person(*row) for row in connection.execute(query)]

    def faces_of(self, name: str) -> list[StoredFace]:
        """The faces of a person in the order of their enrolment. Raises PersonError."""
        query = (
            sa.select(_faces.c.id, _photos.c.path, _faces.c.box)
            .join(_photos, _photos.c.id == _faces.c.photo)
            .order_by(_faces.c.id)
        )
        with self._read() as connection:
            person = _person(connection, name)
            found = connection.execute(query.where(_faces.c.person == person))
            return [StoredFace(number, name, path, Box(*box)) for number, path, box in found]

    # Writing

    def add(self, photos: list[NewPhoto], model: ModelStamp) -> list[NewPhoto]:
        """Enrol the faces of photos; people are made as need be.

        Photos that another writer enrolled in the meantime are left alone; returns the others.
        model: of the embeddings. Raises GalleryError if those of the gallery are of another.
        """
        with self._write("enroll", {"photos": len(photos)}) as connection:
            bound = _model(connection)
            if bound is not None and bound.fingerprint != model.fingerprint:
                raise GalleryError(
                    f"{self._path.parent}: somebody began to enrol with another model, "
                    f"{bound.name!r}, in the meantime"
                )
            _set(connection, "model", model.name)
            _set(connection, "fingerprint", model.fingerprint)
            _set(connection, "dimension", str(model.dimension))
            taken = set(
                connection.execute(
                    sa.select(_photos.c.sha256).where(
                        _photos.c.sha256.in_([photo.sha256 for photo in photos])
                    )
                ).scalars()
            )
            fresh = [photo for photo in photos if photo.sha256 not in taken]
            for photo in fresh:
                person = connection.execute(
                    sa.select(_people.c.id).where(_people.c.name == photo.name)
                ).scalar()
                if person is None:
                    inserted = _people.insert().values(name=photo.name, created=_now())
                    person = _new_id(connection.execute(inserted))
                inserted = _photos.insert().values(
                    path=photo.path,
                    sha256=photo.sha256,
                    width=photo.width,
                    height=photo.height,
                    added=_now(),
                )
                number = _new_id(connection.execute(inserted))
                rows = [
                    {
                        "photo": number,
                        "person": person,
                        "box": [face.box.left, face.box.top, face.box.right, face.box.bottom],
                        "points": face.points,
                        "score": face.score,
                        "embedding": np.asarray(embedding, "<f4").tobytes(),
                        "agreement": agreement,
                    }
                    for face, embedding, agreement in zip(
                        photo.faces, photo.embeddings, photo.agreements, strict=True
                    )
                ]
                connection.execute(_faces.insert(), rows)
        return fresh

    def rename(self, old: str, new: str) -> None:
        """Raises PersonError if `old` is unknown or `new` is taken."""
        with self._write("rename", {}) as connection:
            person = _person(connection, old)
            try:
                connection.execute(_people.update().where(_people.c.id == person).values(name=new))
            except sa.exc.IntegrityError as error:
                raise PersonError(f"{new}: this name is taken") from error

    def remove(self, name: str) -> int:
        """Remove a person, their faces, and photos of nobody else; returns the number of faces.

        What was freed is overwritten. Raises PersonError, and GalleryError if another program
        reads on for so long that it cannot be overwritten now.
        """
        with self._write("remove", {}) as connection:
            person = _person(connection, name)
            mine = _faces.c.person == person
            count = int(connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one())
            connection.execute(_faces.delete().where(mine))
            connection.execute(_people.delete().where(_people.c.id == person))
            used = sa.select(_faces.c.photo)
            connection.execute(_photos.delete().where(_photos.c.id.not_in(used)))
        with self._explained(), self._lock(), closing(self._connect()) as plain:
            # nor may it stay in the log
            busy, _, _ = plain.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise GalleryError(
                f"{self._path.parent}: {name} is removed, but another program is reading, so that "
                "what was removed is not overwritten yet; the next removal does it"
            )
        return count


def _joined(embeddings: list[bytes], dimension: int) -> Embeddings:
    """Stored embeddings as an array, (N, D)."""
    return np.frombuffer(b"".join(embeddings), "<f4").reshape(-1, max(1, dimension))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GalleryError(f"{folder}: no gallery can be made here ({error.strerror})") from error


def _model(connection: sa.Connection) -> ModelStamp | None:
    if connection.execute(sa.select(_faces.c.id).limit(1)).first() is None:
        return None
    name, fingerprint, dimension = (
        _get(connection, key) or "" for key in ("model", "fingerprint", "dimension")
    )
    return ModelStamp(name, fingerprint, int(dimension))


def _person(connection: sa.Connection, name: str) -> int:
    found = connection.execute(sa.select(_people.c.id).where(_people.c.name == name)).scalar()
    if found is None:
        raise PersonError(f"{name}: nobody of this name is enrolled")
    return int(found)


def _new_id(result: sa.CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def _get(connection: sa.Connection, key: str) -> str | None:
    query = sa.select(_settings.c.value).where(_settings.c.key == key)
    value: str | None = connection.execute(query).scalar()
    return value


def _set(connection: sa.Connection, key: str, value: str) -> None:
    changed = connection.execute(
        _settings.update().where(_settings.c.key == key).values(value=value)
    )
    if not changed.rowcount:
        connection.execute(_settings.insert().values(key=key, value=value))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
