"""Encrypting a gallery, decrypting it, and changing its passphrase or key file."""

from facesearch.core.errors import GalleryError
from facesearch.storage import job_spool, journal, reembedded
from facesearch.storage.connection import Connection
from facesearch.storage.database import Database
from facesearch.storage.resealing import reseal
from facesearch.storage.settings import (
    KEY_RECORD,
    MILVUS_PREFIX,
    UNCLEAN,
    delete_settings,
    get_setting,
    set_setting,
)
from facesearch.storage.vault import Secret, Vault, new_key, wrapped


def encrypt(database: Database, secret: Secret) -> None:
    """Seal all face data of a gallery, in one transaction, and overwrite the plain data.

    Raises GalleryError if the gallery is encrypted already, if its data is in Milvus, or for a
    damaged row. It also does if another program reads on for so long that the plain data cannot be
    overwritten now; then the gallery is encrypted, and the rest is done when it is opened next.
    """
    for beside in sorted(database.folder.glob("gallery.db.damaged*")):
        raise GalleryError(f"{beside}: holds face data that would stay plain; move it elsewhere")
    key = new_key()
    record = wrapped(key, secret.kind, secret.content)
    with database.write("encrypt", {"with": secret.kind}) as connection:
        if get_setting(connection, KEY_RECORD) is not None:
            raise GalleryError(
                f"{database.name}: encrypted already; `facesearch gallery rekey` gives it "
                "another passphrase or key file"
            )
        if get_setting(connection, MILVUS_PREFIX) is not None:
            raise GalleryError(
                f"{database.name}: its face data is in Milvus, in plain; take it out there "
                "first with `facesearch gallery leave-milvus`"
            )
        _reseal(database, connection, Vault(key))
        set_setting(connection, KEY_RECORD, record)
        set_setting(connection, UNCLEAN, "encrypt")
    database.keep(record, Vault(key))
    _clean(database, "encrypted")


def decrypt(database: Database) -> None:
    """Make all face data plain again.

    Raises GalleryError without the key, for a damaged row, and as `encrypt` does while others read.
    """
    with database.write("decrypt", {}) as connection:
        _check_encrypted(database, connection)
        _reseal(database, connection, Vault(None))
        delete_settings(connection, KEY_RECORD)
        set_setting(connection, UNCLEAN, "decrypt")
    _clean(database, "decrypted")


def rekey(database: Database, secret: Secret) -> None:
    """Let another passphrase or key file open a gallery; the face data stays as it is.

    Raises GalleryError as `decrypt` does.
    """
    with database.append() as connection:
        _check_encrypted(database, connection)
        vault = database.vault
        assert vault.key is not None
        record = wrapped(vault.key, secret.kind, secret.content)
        set_setting(connection, KEY_RECORD, record)
        set_setting(connection, UNCLEAN, "rekey")  # the old one must open nothing any more
    database.keep(record, vault)
    _clean(database, "opened by the new key")


def _check_encrypted(database: Database, connection: Connection) -> None:
    if get_setting(connection, KEY_RECORD) is None:
        raise GalleryError(f"{database.name}: not encrypted")


def _reseal(database: Database, connection: Connection, new: Vault) -> None:
    """Seal all face data with `new`. Raises GalleryError for a damaged row."""
    reembedded.forget(connection)  # a reindex that is unfinished: it is quicker to begin again
    journal.forget_all(connection)  # and an enrolment
    reseal(database, connection, new)
    job_spool.reseal(database, connection, new)


def _clean(database: Database, done: str) -> None:
    if not database.clean():
        raise GalleryError(
            f"{database.name}: {done}, but another program is reading, so that what was "
            "there before is not overwritten yet; opening the gallery without others does it"
        )
