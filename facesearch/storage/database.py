"""A gallery's database: migrations, transactions, events, keys; the same on both engines."""

import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.storage import cache_file, change_log, events, row_checksums
from facesearch.storage.events import Event
from facesearch.storage.row_checksums import SETTINGS, Damaged
from facesearch.storage.schema import SCHEMA, settings
from facesearch.storage.sqlite import DAMAGED, Sqlite, is_file_there
from facesearch.storage.vault import (
    Keys,
    Kind,
    Tampered,
    Vault,
    from_environment,
    kind_of,
    unwrapped,
)

if TYPE_CHECKING:
    from facesearch.storage.postgres import Postgres

LOCK_SECONDS = 60
RECORD = "vault"  # the setting with the wrapped key of an encrypted gallery
MIRROR = "milvus"  # the setting with what the gallery's collections in Milvus begin with
MIRROR_UNCLEAN = "milvus-unclean"  # the setting that says: they may hold what was purged
UNCLEAN = "unclean"  # the setting that says: what was freed is not overwritten yet


class Database:
    """One gallery's tables. Every write is one transaction that also gives it a new revision."""

    def __init__(self, where: Path | str, *, create: bool, keys: Keys = from_environment) -> None:
        """Open the gallery in a folder, or at a PostgreSQL URL, bringing an older one up to date.

        keys: asked for what opens an encrypted gallery when face data is needed first. Raises
        GalleryError if it is missing and not to be created, damaged, or newer than this program.
        """
        self._keys = keys
        self._vaults: dict[str | None, Vault] = {
            None: cache_file.PLAIN
        }  # by the record of their key
        self._seen = threading.local()  # the record as of this thread's latest transaction
        self._migrated = False
        self.engine = _engine(where, create=create)
        self.name = self.engine.name  # as messages call it: its folder, or its URL without secrets
        try:
            self._migrate()
            self.folder = self.engine.folder  # of the caches
            with self.read() as connection:
                unclean = stored_setting(connection, UNCLEAN)
            if unclean and self.writable:
                self.clean(wait=False)
        except BaseException:
            self.close()
            raise

    @property
    def writable(self) -> bool:
        return self.engine.writable

    def _migrate(self) -> None:
        with self.read() as connection:
            known = sa.inspect(connection).has_table("alembic_version")
            version = (
                connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
                if known
                else None
            )
            new = self.engine.is_new(connection)
        if version == SCHEMA:
            self._migrated = True
            return
        if re.fullmatch("[0-9]{4}", version or ("0000" if new else "")) is None:
            raise GalleryError(f"{self.name}: {DAMAGED} (it does not say of which version it is)")
        if version is not None and version > SCHEMA:
            raise GalleryError(f"{self.name}: made by a newer facesearch; update this one")
        if not self.writable:
            raise GalleryError(f"{self.name}: needs an update, but cannot be written to")
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.translate_errors():
            self.engine.prepare(LOCK_SECONDS)
            try:
                with self.engine.writing(LOCK_SECONDS) as connection:
                    config.attributes["connection"] = connection
                    command.upgrade(config, "head")
                    self.engine.made(connection)
                    row_checksums.fill_checksums(connection)
            except CommandError as error:  # there never was such a version
                raise GalleryError(f"{self.name}: {DAMAGED} ({error})") from error
        self._migrated = True

    def close(self) -> None:
        self.engine.close()

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Errors of the database and of the file system become a GalleryError."""
        try:
            with self.engine.translate_errors():
                yield
        except Damaged as error:
            raise GalleryError(f"{self.name}: {error}") from error

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
                raise GalleryError(f"{self.name}: {error}") from error
        return self._vaults[record]

    @property
    def unlocked(self) -> bool:
        """Whether face data can be read without asking for a key, which may be missing."""
        with self.read():
            return self._seen.record in self._vaults

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
                f"{self.name}: damaged: {error}; `facesearch gallery doctor` says more"
            ) from error

    def encrypted_with(self) -> Kind | None:
        """What opens an encrypted gallery. Raises GalleryError if the record is damaged."""
        with self.read() as connection:
            record = stored_setting(connection, RECORD)
        try:
            return None if record is None else kind_of(record)
        except Tampered as error:
            raise GalleryError(f"{self.name}: {error}") from error

    def keep(self, record: str, vault: Vault) -> None:
        """Use the key of this record from now on, without asking for it."""
        self._vaults[record] = vault

    def clean(self, *, wait: bool = True) -> bool:
        """Overwrite what was freed, see the engine's `overwrite`, and remove the caches.

        False if other programs are in the way; then it is done when the gallery is opened next.
        """
        seconds = LOCK_SECONDS if wait else 0
        try:
            with self.translate_errors(), self.engine.alone(seconds) as connection:
                cache_file.clear(self.folder)
                done = self.engine.overwrite(connection, seconds)
                if done:
                    connection.execute(settings.delete().where(settings.c.key == UNCLEAN))
                return done
        except GalleryError:
            if wait:
                raise
            return False

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        with self.translate_errors(), self.engine.reading() as connection:
            self._look(connection)
            yield connection

    def _look(self, connection: sa.Connection) -> None:
        """Whether the gallery is encrypted as of this transaction: others may have done it."""
        if self._migrated:
            self._seen.record = stored_setting(connection, RECORD)

    def check_writable(self) -> None:
        """Raises GalleryError."""
        if not self.writable:
            raise GalleryError(f"{self.name}: this gallery cannot be written to")

    @contextmanager
    def write(self, action: str, detail: dict[str, Any]) -> Iterator[sa.Connection]:
        """A transaction of the only writer; adds an event to the log, and a new revision."""
        with self.write_event(Event(action, detail)) as connection:
            yield connection

    @contextmanager
    def write_event(self, event: Event) -> Iterator[sa.Connection]:
        """The same for an event that the caller holds: it has its number and time afterwards."""
        with self.append() as connection:
            yield connection
            event.at = now()
            events.append(connection, event)
            new_revision(connection)
            self.engine.update_templates(connection)

    @contextmanager
    def append(self) -> Iterator[sa.Connection]:
        """A transaction of the only writer that leaves the people as they are: no new revision."""
        self.check_writable()
        with self.translate_errors(), self.engine.writing(LOCK_SECONDS) as connection:
            self._look(connection)
            yield connection
            row_checksums.fill_checksums(connection)


def is_there(where: Path | str) -> bool:
    """Whether there is a gallery in a folder, or at a URL. Raises GalleryError."""
    if isinstance(where, Path):
        return is_file_there(where)
    engine = _engine(where, create=True)
    try:
        with engine.translate_errors(), engine.reading() as connection:
            return not engine.is_new(connection)
    finally:
        engine.close()


def _engine(where: Path | str, *, create: bool) -> "Sqlite | Postgres":
    if isinstance(where, Path):
        return Sqlite(where, create=create, seconds=LOCK_SECONDS)
    from facesearch.storage.postgres import Postgres

    return Postgres(where, create=create)


def get_setting(connection: sa.Connection, key: str) -> str | None:
    """Raises Damaged; also where there is none, but one whose key may have been this one."""
    rows = _settings(connection)
    for row in [rows[key]] if key in rows else rows.values():
        SETTINGS.check(row)
    return str(rows[key].value) if key in rows else None


def stored_setting(connection: sa.Connection, key: str) -> str | None:
    """As it is there, damaged or not."""
    row = _settings(connection).get(key)
    return None if row is None else str(row.value)


def _settings(connection: sa.Connection) -> dict[str, Any]:
    """Asked in most transactions, and so in plain SQL; there are a dozen at most."""
    rows = connection.exec_driver_sql("SELECT key, value, checksum FROM settings").all()
    return {row.key: row for row in rows}


def set_setting(connection: sa.Connection, key: str, value: str) -> None:
    changed = connection.execute(settings.update().where(settings.c.key == key).values(value=value))
    if not changed.rowcount:
        connection.execute(settings.insert().values(key=key, value=value))


def new_revision(connection: sa.Connection) -> None:
    """The transaction leads to another revision.

    It is drawn, not counted: a database that was put back must not look like a later one.
    """
    revision = secrets.token_hex(8)
    set_setting(connection, "revision", revision)
    change_log.record(connection, revision)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
