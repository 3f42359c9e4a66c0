"""Encrypting a gallery, decrypting it, and giving it another passphrase or key file."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.gallery.reindex import forget
from facesearch.storage.database import Database
from facesearch.storage.journal import forget_all
from facesearch.storage.row_checksums import CHIPS, REJECTIONS
from facesearch.storage.schema import as_text, chips, face_checksum, faces, rejections, settings
from facesearch.storage.settings import KEY_RECORD, MILVUS_PREFIX, UNCLEAN, get_setting, set_setting
from facesearch.storage.vault import Secret, Vault, new_key, wrapped

ROWS_AT_ONCE = 1000  # rows in memory


def encrypt(database: Database, secret: Secret) -> None:
    """Seal all face data of a gallery, in one transaction, and overwrite what was there.

    Raises GalleryError if it is encrypted already, or for a damaged row. It also does if another
    program reads on for so long that what was there cannot be overwritten now; the gallery is
    encrypted then, and the rest is done when it is opened next.
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
        _rewrite(connection, database, Vault(key))
        set_setting(connection, KEY_RECORD, record)
        set_setting(connection, UNCLEAN, "encrypt")
    database.keep(record, Vault(key))
    _clean(database, "encrypted")


def decrypt(database: Database) -> None:
    """The contrary of `encrypt`. Raises GalleryError as it does, and without the key."""
    with database.write("decrypt", {}) as connection:
        _check_encrypted(database, connection)
        _rewrite(connection, database, Vault(None))
        connection.execute(settings.delete().where(settings.c.key == KEY_RECORD))
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


def _check_encrypted(database: Database, connection: sa.Connection) -> None:
    if get_setting(connection, KEY_RECORD) is None:
        raise GalleryError(f"{database.name}: not encrypted")


def _rewrite(connection: sa.Connection, database: Database, new: Vault) -> None:
    """Every sealed value as `new` seals it. Raises GalleryError for a damaged one."""
    stored = [faces.c.photo, faces.c.person, faces.c.agreement, faces.c.checksum]
    texts = [as_text(column).label(column.name) for column in (faces.c.box, faces.c.points)]
    for rows in _batches(connection, faces.c.id, faces.c.embedding, *stored, *texts):
        changes = []
        for row in rows:
            fields = row.photo, row.person, row.box, row.points, row.agreement
            if row.checksum != face_checksum(*fields, row.value):  # it would look sound afterwards
                raise GalleryError(
                    f"{database.name}: damaged: face {row.key} is not what was written; "
                    "`facesearch gallery doctor` says more"
                )
            value = new.seal(database.unsealed(row.value, "face"), "face")
            checksum = face_checksum(*fields, value)
            changes.append({"row": row.key, "value": value, "sum": checksum})
        change = faces.update().where(faces.c.id == sa.bindparam("row"))
        change = change.values(embedding=sa.bindparam("value"), checksum=sa.bindparam("sum"))
        connection.execute(change, changes)
    forget(connection)  # a reindex that was not finished: it is quicker to begin again
    forget_all(connection)  # and an enrolment
    for purpose, kind, column in (
        ("chip", CHIPS, chips.c.image),
        ("rejection", REJECTIONS, rejections.c.embedding),
    ):
        key = kind.key
        for rows in _batches(connection, key, column, *kind.stored()):
            for row in rows:
                kind.check(row)
            changes = [
                {
                    "row": row.key,
                    "value": new.seal(database.unsealed(row.value, purpose), purpose)
                    if row.value or purpose != "rejection"
                    else row.value,
                }
                for row in rows
            ]
            change = sa.update(column.table).where(key == sa.bindparam("row"))
            connection.execute(change.values({column.name: sa.bindparam("value")}), changes)


def _batches(
    connection: sa.Connection, key: sa.Column[Any], value: sa.Column[Any], *more: Any
) -> Iterator[Sequence[Any]]:
    query = (
        sa.select(key.label("key"), value.label("value"), *more).order_by(key).limit(ROWS_AT_ONCE)
    )
    after = None
    while True:
        asked = query if after is None else query.where(key > after)
        rows = connection.execute(asked).all()
        if not rows:
            return
        yield rows
        after = rows[-1].key


def _clean(database: Database, done: str) -> None:
    if not database.clean():
        raise GalleryError(
            f"{database.name}: {done}, but another program is reading, so that what was "
            "there before is not overwritten yet; opening the gallery without others does it"
        )
