"""A gallery's database: transactions, events and the key, the same on both engines."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.storage import cache_file, events, old_spool, row_checksums
from facesearch.storage.change_log import new_revision
from facesearch.storage.engine import Engine
from facesearch.storage.events import Event
from facesearch.storage.postgres import Postgres
from facesearch.storage.row_checksums import Damaged
from facesearch.storage.settings import KEY_RECORD, UNCLEAN, delete_settings, now, stored_setting
from facesearch.storage.sqlite import Sqlite, is_file_there
from facesearch.storage.upgrade import upgrade
from facesearch.storage.vault import (
    Keys,
    Kind,
    Tampered,
    Vault,
    from_environment,
    kind_of,
    unwrapped,
)

LOCK_SECONDS = 60


class Database:
    """The tables of one gallery. Every change is a transaction and gives it a new revision."""

    def __init__(self, where: Path | str, *, create: bool, keys: Keys = from_environment) -> None:
        """Open the gallery in a folder or at a PostgreSQL URL; update the tables of an older one.

        create: make a gallery where there is none. keys: called for the passphrase or key file of
        an encrypted gallery when face data is needed for the first time. Raises GalleryError if
        there is no gallery and none is to be made, or if it is damaged or newer than this program.
        """
        self._keys = keys
        # by the record of the wrapped key
        self._vaults: dict[str | None, Vault] = {None: cache_file.PLAIN}
        self._seen = threading.local()  # the record in this thread's latest transaction
        self.engine = _engine(where, create=create)
        self.name = self.engine.name  # for messages: its folder, or its URL without secrets
        try:
            with self.translate_errors():
                upgrade(self.engine, LOCK_SECONDS)
            self.folder = self.engine.folder  # of the caches
            self._adopt_spool()
            with self.read() as connection:
                unclean = stored_setting(connection, UNCLEAN)
            if unclean and self.writable:
                self.clean(wait=False)
        except BaseException:
            self.close()
            raise

    def _adopt_spool(self) -> None:
        """Bring along the jobs that an earlier facesearch kept in the folder."""
        if not (self.writable and old_spool.is_there(self.folder)):
            return
        with self.append() as connection:
            old_spool.adopt(connection, self.folder)
        old_spool.remove(self.folder)

    @property
    def writable(self) -> bool:
        """Whether this program may change the gallery."""
        return self.engine.writable

    def close(self) -> None:
        """Close all connections."""
        self.engine.close()

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turn errors of the database and of the file system into GalleryError."""
        try:
            with self.engine.translate_errors():
                yield
        except Damaged as error:
            raise GalleryError(f"{self.name}: {error}") from error

    @property
    def vault(self) -> Vault:
        """What encrypts face data. Raises GalleryError without the key of an encrypted gallery."""
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
        """Whether face data can be read without calling `keys`, which may fail."""
        with self.read():
            return self._seen.record in self._vaults

    def sealed(self, content: bytes, purpose: str) -> bytes:
        """Face data in the form in which it is stored.

        purpose: "face", "chip", "rejection" or "spool". The embedding of a rejection may be empty,
        and stays so. Raises GalleryError as `vault` does.
        """
        if not content and purpose == "rejection":
            return content
        return self.vault.seal(content, purpose)

    def unsealed(self, content: bytes, purpose: str) -> bytes:
        """What was given to `sealed`.

        Raises Tampered if it was changed since, and GalleryError as `vault` does.
        """
        try:
            if not content and purpose == "rejection":
                return content
            return self.vault.open(content, purpose)
        except Tampered as error:
            raise Tampered(
                f"{self.name}: damaged: {error}; `facesearch gallery doctor` says more"
            ) from error

    def encrypted_with(self) -> Kind | None:
        """Whether a passphrase or a key file opens the gallery; None if it is not encrypted.

        Raises GalleryError if the record of the key is damaged.
        """
        with self.read() as connection:
            record = stored_setting(connection, KEY_RECORD)
        try:
            return None if record is None else kind_of(record)
        except Tampered as error:
            raise GalleryError(f"{self.name}: {error}") from error

    def keep(self, record: str, vault: Vault) -> None:
        """Use this vault for this record from now on, without calling `keys`."""
        self._vaults[record] = vault

    def clean(self, *, wait: bool = True) -> bool:
        """Remove the caches, and overwrite what was deleted from the database.

        wait: raise GalleryError if another program is busy for long, rather than return False.
        Returns False if other programs are in the way; opening the gallery later tries again.
        """
        seconds = LOCK_SECONDS if wait else 0
        try:
            with self.translate_errors(), self.engine.alone(seconds) as connection:
                cache_file.clear(self.folder)
                done = self.engine.overwrite(connection, seconds)
                if done:
                    delete_settings(connection, UNCLEAN)
                return done
        except GalleryError:
            if wait:
                raise
            return False

    def compact(self) -> None:
        """Rewrite the database without its unused space, unless other programs are in the way."""
        with suppress(GalleryError), self.translate_errors(), self.engine.alone(0) as connection:
            self.engine.overwrite(connection, 0)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the gallery. Raises GalleryError."""
        with self.translate_errors(), self.engine.reading() as connection:
            self._look(connection)
            yield connection

    def _look(self, connection: sa.Connection) -> None:
        """Note the record of the key; another program may have encrypted the gallery."""
        self._seen.record = stored_setting(connection, KEY_RECORD)

    def check_writable(self) -> None:
        """Raises GalleryError if this program may not change the gallery."""
        if not self.writable:
            raise GalleryError(f"{self.name}: this gallery cannot be written to")

    @contextmanager
    def write(self, action: str, detail: dict[str, Any]) -> Iterator[sa.Connection]:
        """A transaction of the only writer, which adds an event and gives a new revision."""
        with self.write_event(Event(action, detail)) as connection:
            yield connection

    @contextmanager
    def write_event(self, event: Event) -> Iterator[sa.Connection]:
        """Like `write`, for an event of the caller, which has its number and time afterwards."""
        with self.append() as connection:
            yield connection
            event.at = now()
            events.append(connection, event)
            new_revision(connection)
            self.engine.update_templates(connection)

    @contextmanager
    def append(self) -> Iterator[sa.Connection]:
        """A transaction of the only writer that changes no people, and so gives no new revision."""
        self.check_writable()
        with self.translate_errors(), self.engine.writing(LOCK_SECONDS) as connection:
            self._look(connection)
            yield connection
            row_checksums.fill_checksums(connection)


def is_there(where: Path | str) -> bool:
    """Whether there is a gallery in a folder or at a URL. Raises GalleryError."""
    if isinstance(where, Path):
        return is_file_there(where)
    engine = _engine(where, create=True)
    try:
        with engine.translate_errors(), engine.reading() as connection:
            return not engine.is_new(connection)
    finally:
        engine.close()


def _engine(where: Path | str, *, create: bool) -> Engine:
    if isinstance(where, Path):
        return Sqlite(where, create=create, seconds=LOCK_SECONDS)
    return Postgres(where, create=create)
