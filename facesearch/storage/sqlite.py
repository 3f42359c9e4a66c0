"""The engine of a gallery in a folder: one SQLite file."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import sqlalchemy as sa

from facesearch.core import secure_files
from facesearch.core.errors import GalleryError
from facesearch.storage import cache_file
from facesearch.storage.engine import NOT_A_GALLERY
from facesearch.storage.folder_lock import claimed, locked

FILE = "gallery.db"
CLAIMS = "claims"  # a folder of locks
ALONE = "AUTOCOMMIT"


# SQLite's primary codes of errors that say nothing about the file's content
OUTSIDE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}


def is_outside(error: Exception) -> bool:
    """Whether an error of SQLite says nothing about the file's content: no space, no rights..."""
    code = getattr(error, "sqlite_errorcode", None)
    # a file that is too short is damaged
    return code is not None and code & 0xFF in OUTSIDE and code != sqlite3.SQLITE_IOERR_SHORT_READ


class Sqlite:
    """See `Engine`."""

    def __init__(self, folder: Path, *, create: bool, seconds: float) -> None:
        """seconds: how long to wait for other programs. Raises GalleryError as `Database` does."""
        self.folder = folder
        self.path = folder / FILE
        self.name = str(folder)
        self._seconds = seconds
        exists = is_file_there(folder)
        # a file that lost its end can look like an empty database
        self._may_be_new = not exists or not (
            0 < self.path.stat().st_size < 512 or any(folder.glob("*.faiss"))
        )
        if not exists:
            if not create:
                raise GalleryError(f"{folder}: no gallery here yet; enroll somebody first")
            _make_folder(folder)
        self.writable = os.access(folder, os.W_OK) and (
            not self.path.exists() or os.access(self.path, os.W_OK)
        )
        self._tighten()
        self._single = self._pooled(sa.NullPool)
        self._many = self._pooled(sa.QueuePool)
        self._busy, self._turn = 0, threading.Lock()

    @property
    def _engine(self) -> sa.Engine:
        return self._many if self._busy else self._single

    def _pooled(self, pool: type[sa.Pool]) -> sa.Engine:
        more = {"max_overflow": -1} if pool is sa.QueuePool else {}
        engine = sa.create_engine(
            "sqlite://", creator=self._connect, poolclass=pool, hide_parameters=True, **more
        )
        # sqlite3 itself begins no transaction before the first write, nor for CREATE TABLE
        sa.event.listen(engine, "begin", _begin)
        return engine

    def close(self) -> None:
        self._many.dispose()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keep connections open while many transactions follow one another.

        Otherwise every transaction opens the file again, and so notices when it was replaced.
        """
        with self._turn:
            self._busy += 1
        try:
            yield
        finally:
            with self._turn:
                self._busy -= 1
                if not self._busy:
                    self._many.dispose()

    def _tighten(self) -> None:
        """Let only their owner read the gallery's files, so that no faces leak by accident.

        To share a gallery, let others use a service. A folder that was there before keeps its mode:
        it may belong to a project. SQLite gives its log the mode of the database.
        """
        if not self.writable:
            return
        with self.translate_errors():
            secure_files.make(self.path)
        sides = [self.path.with_name(f"{self.path.name}{end}") for end in ("", "-wal", "-shm")]
        for path in [*sides, *(self.path.with_name(name) for name in ("lock", *cache_file.NAMES))]:
            secure_files.tighten(path)

    def _connect(self) -> sqlite3.Connection:
        if self.writable:
            connection = sqlite3.connect(
                self.path, timeout=self._seconds, isolation_level=None, check_same_thread=False
            )
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA temp_store = MEMORY")  # no temporary files
        else:
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            log = self.path.with_name(f"{self.path.name}-wal")
            if not (log.exists() and log.stat().st_size):
                uri += "&immutable=1"  # else SQLite wants to create files beside it
            connection = sqlite3.connect(
                uri, uri=True, isolation_level=None, check_same_thread=False
            )
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    # Transactions

    def reading(self) -> sa.Connection:
        """See `Engine`."""
        return self._engine.connect()

    @contextmanager
    def writing(self, seconds: float) -> Iterator[sa.Connection]:
        """See `Engine`."""
        writing = self._engine.execution_options(writes=True)
        with locked(self.folder, seconds), writing.begin() as connection:
            yield connection

    @contextmanager
    def alone(self, seconds: float) -> Iterator[sa.Connection]:
        """See `Engine`."""
        alone = self._engine.execution_options(isolation_level=ALONE)
        with locked(self.folder, seconds), alone.connect() as connection:
            yield connection

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """See `Engine`."""
        with claimed(self._claim(name)) as mine:
            yield mine

    def drop_claim(self, name: str) -> None:
        """See `Engine`."""
        self._claim(name).unlink(missing_ok=True)

    def _claim(self, name: str) -> Path:
        return self.folder / CLAIMS / f"{name}.lock"

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """See `Engine`."""
        try:
            yield
        except sa.exc.OperationalError as error:  # the file may be sound
            full = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
            hint = "; is the disk full?" if full else ""
            message = f"{self.path}: cannot be read or written ({error.orig}{hint})"
            raise GalleryError(message) from error
        except (sa.exc.DatabaseError, sqlite3.Error, UnicodeDecodeError) as error:
            cause = error.orig if isinstance(error, sa.exc.DatabaseError) else error
            message = f"{self.path}: {NOT_A_GALLERY} ({cause})"
            raise GalleryError(message) from error
        except OSError as error:
            raise GalleryError(f"{self.path}: {error.strerror}") from error

    # The life of a gallery

    def is_new(self, connection: sa.Connection) -> bool:
        """Whether the file is empty, or was left so by a program that was killed."""
        pages = connection.execute(sa.text("PRAGMA page_count")).scalar_one()
        return bool(pages <= 1) and self._may_be_new

    def prepare(self, seconds: float) -> None:
        """See `Engine`."""
        with locked(self.folder, seconds), closing(self._connect()) as plain:
            plain.execute("PRAGMA journal_mode = WAL")  # the file remembers it

    def made(self, connection: sa.Connection) -> None:
        """See `Engine`; nothing to do here."""

    def update_templates(self, connection: sa.Connection) -> None:
        """See `Engine`; there are no templates in the file."""

    def templates(self) -> None:
        """See `Engine`; the index lies outside of the file."""
        return

    def check_sound(self, connection: sa.Connection) -> None:
        """Raises GalleryError if SQLite finds that the pages of the file are inconsistent."""
        said = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar_one()
        if said != "ok":
            raise GalleryError(
                f"{self.path}: damaged ({said.splitlines()[-1]}); "
                "`facesearch gallery doctor` says more"
            )

    def as_stored(self, connection: sa.Connection) -> None:
        """See `Engine`."""
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.text_factory = lambda text: text.decode(errors="replace")

    def free_bytes(self) -> int:
        """See `Engine`."""
        return shutil.disk_usage(self.folder).free

    def unused_share(self, connection: sa.Connection) -> tuple[int, float]:
        """See `Engine`."""
        asked = ("freelist_count", "page_count", "page_size")
        unused, pages, size = (
            int(connection.execute(sa.text(f"PRAGMA {name}")).scalar_one()) for name in asked
        )
        return unused * size, unused / pages

    def overwrite(self, connection: sa.Connection, seconds: float) -> bool:
        """Rewrite the file without what was deleted, and empty its log; see `Engine`."""
        connection.execute(sa.text(f"PRAGMA busy_timeout = {int(1000 * seconds)}"))
        connection.execute(sa.text("VACUUM"))
        busy, _, _ = connection.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)")).one()
        return not busy


def is_file_there(folder: Path) -> bool:
    """Whether there is a gallery in a folder. Raises GalleryError if it cannot be read."""
    try:
        return (folder / FILE).exists()
    except OSError as error:
        raise GalleryError(f"{folder}: cannot be read ({error.strerror})") from error


def _begin(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") != ALONE:
        # a transaction that reads before it writes would fail where it should wait
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


def _make_folder(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=secure_files.FOLDER, exist_ok=True)
    except OSError as error:
        raise GalleryError(f"{folder}: no gallery can be made here ({error.strerror})") from error
