"""The settings of a gallery: short texts under fixed names, each with its checksum."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from facesearch.storage.row_checksums import SETTINGS
from facesearch.storage.schema import settings

# names of settings; those that users choose are in `preferences`
KEY_RECORD = "vault"  # the wrapped key of an encrypted gallery
MILVUS_PREFIX = "milvus"  # the first part of the names of the gallery's collections in Milvus
MILVUS_UNCLEAN = "milvus-unclean"  # set while those collections may hold purged faces
UNCLEAN = "unclean"  # set while deleted rows are not overwritten yet
REVISION = "revision"  # drawn anew by every change
CACHE_NAME = "identity"  # names the folder of the caches of a gallery in PostgreSQL


def get_setting(connection: sa.Connection, key: str) -> str | None:
    """The value of a setting, or None.

    Raises Damaged if its row is damaged. A missing setting may be one whose name is damaged: then
    every row is checked.
    """
    rows = _settings(connection)
    for row in [rows[key]] if key in rows else rows.values():
        SETTINGS.check(row)
    return str(rows[key].value) if key in rows else None


def stored_setting(connection: sa.Connection, key: str) -> str | None:
    """The value of a setting as it is stored, without a check for damage."""
    row = _settings(connection).get(key)
    return None if row is None else str(row.value)


def set_setting(connection: sa.Connection, key: str, value: str) -> None:
    """Write a setting, in place of its former value if it has one."""
    changed = connection.execute(settings.update().where(settings.c.key == key).values(value=value))
    if not changed.rowcount:
        connection.execute(settings.insert().values(key=key, value=value))


def delete_settings(connection: sa.Connection, *keys: str) -> None:
    """Delete settings; those that do not exist are passed over."""
    connection.execute(settings.delete().where(settings.c.key.in_(keys)))


def now() -> str:
    """The present time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _settings(connection: sa.Connection) -> dict[str, Any]:
    # most transactions read settings, hence plain SQL; there are a dozen rows at most
    rows = connection.exec_driver_sql("SELECT key, value, checksum FROM settings").all()
    return {row.key: row for row in rows}
