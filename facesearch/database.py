"""A gallery's SQLite file: opening, migrating, locking, transactions."""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facesearch.errors import GalleryError
from facesearch.schema import SCHEMA, events, settings

LOCK_SECONDS = 60


class Database:
    """One SQLite file. Every write is one transaction that also gives it a new revision."""

    def __init__(self, folder: Path, *, create: bool) -> None:
        """Open the gallery in `folder`, bringing an older one up to date.

        Raises GalleryError if it is missing and not to be created, damaged, or newer than this
        program.
        """
        self.path = folder / "gallery.db"
        if not self.path.exists():
            if not create:
                raise GalleryError(f"{folder}: no gallery here yet; enrol somebody first")
            _make_folder(folder)
        self.writable = os.access(folder, os.W_OK) and (
            not self.path.exists() or os.access(self.path, os.W_OK)
        )
        self._engine = sa.create_engine("sqlite://", creator=self.connect, poolclass=sa.NullPool)
        # sqlite3 itself begins no transaction before the first write, nor for CREATE TABLE
        sa.event.listen(self._engine, "begin", lambda c: c.exec_driver_sql("BEGIN"))
        self._migrate()

    def connect(self) -> sqlite3.Connection:
        if self.writable:
            connection = sqlite3.connect(self.path, timeout=LOCK_SECONDS, isolation_level=None)
            connection.execute("PRAGMA secure_delete = ON")
        else:
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            log = self.path.with_name(f"{self.path.name}-wal")
            if not (log.exists() and log.stat().st_size):
                uri += "&immutable=1"  # SQLite could not make the files beside it that WAL needs
            connection = sqlite3.connect(uri, uri=True, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _migrate(self) -> None:
        with self.read() as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            version = (
                connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
                if known
                else None
            )
        if version == SCHEMA:
            return
        if version is not None and version > SCHEMA:
            raise GalleryError(f"{self.path}: made by a newer facesearch; update this one")
        if not self.writable:
            raise GalleryError(f"{self.path}: needs an update, but cannot be written to")
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.explained(), self.lock():
            with closing(self.connect()) as plain:
                plain.execute("PRAGMA journal_mode = WAL")  # for good: it is kept in the file
            with self._engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def lock(self) -> Iterator[None]:
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.path.with_name("lock"), timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            raise GalleryError(
                f"{self.path.parent}: another facesearch has been writing for {LOCK_SECONDS} "
                "seconds; try again when it is done"
            ) from error

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors of SQLite and of the file system become a GalleryError."""
        try:
            yield
        except sa.exc.OperationalError as error:  # locked, full, no rights: the file may be sound
            message = f"{self.path}: cannot be read or written ({error.orig})"
            raise GalleryError(message) from error
        except (sa.exc.DatabaseError, sqlite3.Error) as error:
            cause = error.orig if isinstance(error, sa.exc.DatabaseError) else error
            message = f"{self.path}: not a gallery, or a damaged one ({cause})"
            raise GalleryError(message) from error
        except OSError as error:
            raise GalleryError(f"{self.path}: {error.strerror}") from error

    def sealed(self, content: bytes) -> bytes:
        """Face data as it may be stored."""
        return content

    def unsealed(self, content: bytes) -> bytes:
        """What `sealed` was given."""
        return content

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self.explained(), self._engine.connect() as connection:
            yield connection

    def check_writable(self) -> None:
        """Raises GalleryError."""
        if not self.writable:
            raise GalleryError(f"{self.path.parent}: this gallery cannot be written to")

    @contextmanager
    def write(self, action: str, detail: dict[str, Any]) -> Iterator[sa.Connection]:
        """A transaction of the only writer; adds the event and a revision."""
        self.check_writable()
        with self.explained(), self.lock(), self._engine.begin() as connection:
            yield connection
            connection.execute(events.insert().values(at=now(), action=action, detail=detail))
            # drawn, not counted: a database that was put back must not look like a later one
            set_setting(connection, "revision", secrets.token_hex(8))

    @contextmanager
    def write_aside(self) -> Iterator[sa.Connection]:
        """A transaction for what is no part of the gallery's state yet: no event, no revision."""
        self.check_writable()
        with self.explained(), self.lock(), self._engine.begin() as connection:
            yield connection


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GalleryError(f"{folder}: no gallery can be made here ({error.strerror})") from error


def get_setting(connection: sa.Connection, key: str) -> str | None:
    query = sa.select(settings.c.value).where(settings.c.key == key)
    value: str | None = connection.execute(query).scalar()
    return value


def set_setting(connection: sa.Connection, key: str, value: str) -> None:
    changed = connection.execute(settings.update().where(settings.c.key == key).values(value=value))
    if not changed.rowcount:
        connection.execute(settings.insert().values(key=key, value=value))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
