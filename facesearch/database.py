"""A gallery's SQLite file: opening, migrating, locking, transactions."""

import errno
import os
import re
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facesearch.errors import GalleryError
from facesearch.schema import SCHEMA, events, settings

LOCK_SECONDS = 60
# what a network file system says that has no locks
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
DAMAGED = "not a gallery, or a damaged one"


class Database:
    """One SQLite file. Every write is one transaction that also gives it a new revision."""

    def __init__(self, folder: Path, *, create: bool) -> None:
        """Open the gallery in `folder`, bringing an older one up to date.

        Raises GalleryError if it is missing and not to be created, damaged, or newer than this
        program.
        """
        self.path = folder / "gallery.db"
        exists = self.path.exists()
        # a file that lost its end may look as if nothing had ever been written into it
        self._may_be_new = not exists or not (
            0 < self.path.stat().st_size < 512 or any(folder.glob("*.faiss"))
        )
        if not self.path.exists():
            if not create:
                raise GalleryError(f"{folder}: no gallery here yet; enrol somebody first")
            _make_folder(folder)
        self.writable = os.access(folder, os.W_OK) and (
            not self.path.exists() or os.access(self.path, os.W_OK)
        )
        self._engine = sa.create_engine("sqlite://", creator=self.connect, poolclass=sa.NullPool)
        # sqlite3 itself begins no transaction before the first write, nor for CREATE TABLE
        sa.event.listen(self._engine, "begin", _begin)
        self._writing = self._engine.execution_options(writes=True)
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
            # a page or less: new, or left by a program that was killed while it made it
            new = connection.execute(sa.text("PRAGMA page_count")).scalar_one() <= 1
            new = new and self._may_be_new
        if version == SCHEMA:
            return
        if re.fullmatch("[0-9]{4}", version or ("0000" if new else "")) is None:
            raise GalleryError(f"{self.path}: {DAMAGED} (it does not say of which version it is)")
        if version is not None and version > SCHEMA:
            raise GalleryError(f"{self.path}: made by a newer facesearch; update this one")
        if not self.writable:
            raise GalleryError(f"{self.path}: needs an update, but cannot be written to")
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.explained(), self.lock():
            with closing(self.connect()) as plain:
                plain.execute("PRAGMA journal_mode = WAL")  # for good: it is kept in the file
            try:
                with self._engine.begin() as connection:
                    config.attributes["connection"] = connection
                    command.upgrade(config, "head")
            except CommandError as error:  # there never was such a version
                raise GalleryError(f"{self.path}: {DAMAGED} ({error})") from error

    def close(self) -> None:
        self._engine.dispose()

    def lock(self) -> AbstractContextManager[None]:
        """See `locked`."""
        return locked(self.path.parent)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Errors of SQLite and of the file system become a GalleryError."""
        try:
            yield
        except sa.exc.OperationalError as error:  # locked, full, no rights: the file may be sound
            message = f"{self.path}: cannot be read or written ({error.orig})"
            raise GalleryError(message) from error
        except (sa.exc.DatabaseError, sqlite3.Error, UnicodeDecodeError) as error:
            cause = error.orig if isinstance(error, sa.exc.DatabaseError) else error
            message = f"{self.path}: {DAMAGED} ({cause})"
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

    def check_sound(self, connection: sa.Connection) -> None:
        """Raises GalleryError if SQLite finds that pages of the file contradict each other."""
        said = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar_one()
        if said != "ok":
            raise GalleryError(
                f"{self.path}: damaged ({said.splitlines()[-1]}); "
                "`facesearch gallery doctor` says more"
            )

    def check_writable(self) -> None:
        """Raises GalleryError."""
        if not self.writable:
            raise GalleryError(f"{self.path.parent}: this gallery cannot be written to")

    @contextmanager
    def write(self, action: str, detail: dict[str, Any]) -> Iterator[sa.Connection]:
        """A transaction of the only writer; adds the event and a revision."""
        self.check_writable()
        with self.explained(), self.lock(), self._writing.begin() as connection:
            yield connection
            connection.execute(events.insert().values(at=now(), action=action, detail=detail))
            # drawn, not counted: a database that was put back must not look like a later one
            set_setting(connection, "revision", secrets.token_hex(8))


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """As the gallery's only writer. Raises GalleryError if another one goes on for too long."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock", timeout=LOCK_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise GalleryError(
            f"{folder}: another facesearch has been writing for {LOCK_SECONDS} "
            "seconds; try again when it is done"
        ) from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        raise GalleryError(
            f"{folder}: this file system does not lock files ({error.strerror}), so "
            "that two programs could write at once; keep the gallery on a local disk"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _begin(connection: sa.Connection) -> None:
    # a transaction that begins to write only later does not wait, but fails if it has to
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GalleryError(f"{folder}: no gallery can be made here ({error.strerror})") from error


def get_setting(connection: sa.Connection, key: str) -> str | None:
    query = sa.select(settings.c.value).where(settings.c.key == key)
    value = connection.execute(query).scalar()
    return None if value is None else str(value)


def set_setting(connection: sa.Connection, key: str, value: str) -> None:
    changed = connection.execute(settings.update().where(settings.c.key == key).values(value=value))
    if not changed.rowcount:
        connection.execute(settings.insert().values(key=key, value=value))


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
