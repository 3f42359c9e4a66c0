"""A gallery's SQLite file: opening, migrating, locking, transactions."""

import errno
import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facesearch import cache, history, private
from facesearch.errors import GalleryError
from facesearch.schema import SCHEMA, events, settings
from facesearch.vault import Keys, Kind, Tampered, Vault, from_environment, kind_of, unwrapped

LOCK_SECONDS = 60
LOCK = "lock"
RECORD = "vault"  # the setting with the wrapped key of an encrypted gallery
MIRROR = "milvus"  # the setting with what the gallery's collections in Milvus begin with
MIRROR_UNCLEAN = "milvus-unclean"  # the setting that says: they may hold what was purged
UNCLEAN = "unclean"  # the setting that says: what was freed is not overwritten yet
# what a network file system says that has no locks
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
DAMAGED = "not a gallery, or a damaged one"


class Database:
    """One SQLite file. Every write is one transaction that also gives it a new revision."""

    def __init__(self, folder: Path, *, create: bool, keys: Keys = from_environment) -> None:
        """Open the gallery in `folder`, bringing an older one up to date.

        keys: asked for what opens an encrypted gallery when face data is needed first. Raises
        GalleryError if it is missing and not to be created, damaged, or newer than this program.
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
        self._migrated = False
        self._keys = keys
        self._vaults: dict[str | None, Vault] = {None: cache.PLAIN}  # by the record of their key
        self._seen = threading.local()  # the record as of this thread's latest transaction
        self._tighten()
        self._engine = sa.create_engine(
            "sqlite://", creator=self.connect, poolclass=sa.NullPool, hide_parameters=True
        )
        # sqlite3 itself begins no transaction before the first write, nor for CREATE TABLE
        sa.event.listen(self._engine, "begin", _begin)
        self._writing = self._engine.execution_options(writes=True)
        self._migrate()
        with self.read() as connection:
            unclean = get_setting(connection, UNCLEAN)
        if unclean and self.writable:
            self.clean(wait=False)

    def _tighten(self) -> None:
        """The gallery's files are the owner's alone, those of an earlier facesearch too.

        Nobody's faces are shared by accident; whoever shares a gallery on purpose lets the others
        use the owner's account or a service. The folder stays as it was if we did not make it: it
        may be a project's, and its files are closed. SQLite gives its log the database's mode.
        """
        if not self.writable:
            return
        with self.explained():
            private.make(self.path)
        sides = [self.path.with_name(f"{self.path.name}{end}") for end in ("", "-wal", "-shm")]
        for path in [*sides, *(self.path.with_name(name) for name in (LOCK, *cache.NAMES))]:
            private.tighten(path)

    def connect(self) -> sqlite3.Connection:
        if self.writable:
            connection = sqlite3.connect(self.path, timeout=LOCK_SECONDS, isolation_level=None)
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA temp_store = MEMORY")  # nothing of it in temporary files
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
            self._migrated = True
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
        self._migrated = True

    def close(self) -> None:
        self._engine.dispose()

    def lock(self, *, wait: bool = True, name: str = LOCK) -> AbstractContextManager[None]:
        """See `locked`."""
        return locked(self.path.parent, LOCK_SECONDS if wait else 0, name)

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

    @property
    def vault(self) -> Vault:
        """What seals face data. Raises GalleryError without the key of an encrypted gallery."""
        if not hasattr(self._seen, "record"):
            with self.read():
                pass
        record: str | None = self._seen.record
        if record not in self._vaults:
            try:
                self._vaults[record] = Vault(unwrapped(record or "", self._keys))
            except GalleryError as error:
                raise GalleryError(f"{self.path.parent}: {error}") from error
        return self._vaults[record]

    def sealed(self, content: bytes, purpose: str) -> bytes:
        """Face data as it may be stored. purpose: "face", "chip" or "rejection".

        A rejection may have no embedding: nothing stays nothing.
        """
        if not content and purpose == "rejection":
            return content
        return self.vault.seal(content, purpose)

    def unsealed(self, content: bytes, purpose: str) -> bytes:
        """What `sealed` was given. Raises Tampered, or GalleryError as `vault` does."""
        try:
            if not content and purpose == "rejection":
                return content
            return self.vault.open(content, purpose)
        except Tampered as error:
            raise Tampered(
                f"{self.path}: damaged: {error}; `facesearch gallery doctor` says more"
            ) from error

    def encrypted_with(self) -> Kind | None:
        """What opens an encrypted gallery. Raises GalleryError if the record is damaged."""
        with self.read() as connection:
            record = get_setting(connection, RECORD)
        try:
            return None if record is None else kind_of(record)
        except Tampered as error:
            raise GalleryError(f"{self.path.parent}: {error}") from error

    def keep(self, record: str, vault: Vault) -> None:
        """Use the key of this record from now on, without asking for it."""
        self._vaults[record] = vault

    def clean(self, *, wait: bool = True) -> bool:
        """Overwrite what was freed, in the file and in the log, and remove the caches.

        False if other programs are in the way; then it is done when the gallery is opened next.
        """
        seconds = LOCK_SECONDS if wait else 0
        try:
            with self.explained(), self.lock(wait=wait), closing(self.connect()) as plain:
                cache.clear(self.path.parent)
                plain.execute(f"PRAGMA busy_timeout = {int(1000 * seconds)}")
                plain.execute("VACUUM")
                busy, _, _ = plain.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                if not busy:
                    plain.execute("DELETE FROM settings WHERE key = ?", [UNCLEAN])
                return not busy
        except GalleryError:
            if wait:
                raise
            return False

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self.explained(), self._engine.connect() as connection:
            self._look(connection)
            yield connection

    def _look(self, connection: sa.Connection) -> None:
        """Whether the gallery is encrypted as of this transaction: others may have done it."""
        if self._migrated:
            self._seen.record = get_setting(connection, RECORD)

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
        with self.append() as connection:
            yield connection
            connection.execute(events.insert().values(at=now(), action=action, detail=detail))
            renew(connection)

    @contextmanager
    def append(self) -> Iterator[sa.Connection]:
        """A transaction of the only writer that leaves the people as they are: no new revision."""
        self.check_writable()
        with self.explained(), self.lock(), self._writing.begin() as connection:
            self._look(connection)
            yield connection


@contextmanager
def locked(folder: Path, seconds: float | None = None, name: str = LOCK) -> Iterator[None]:
    """As the gallery's only writer, or the only one who holds the lock of another name.

    Raises GalleryError if another one goes on for too long.
    """
    seconds = LOCK_SECONDS if seconds is None else seconds
    from filelock import FileLock, Timeout

    lock = FileLock(folder / name, timeout=seconds, mode=private.FILE)
    try:
        lock.acquire()
    except Timeout as error:
        raise GalleryError(
            f"{folder}: another facesearch has been writing for {seconds} "
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
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=private.FOLDER, exist_ok=True)
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


def renew(connection: sa.Connection) -> None:
    """The transaction leads to another revision.

    It is drawn, not counted: a database that was put back must not look like a later one.
    """
    revision = secrets.token_hex(8)
    set_setting(connection, "revision", revision)
    history.record(connection, revision)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
