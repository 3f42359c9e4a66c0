"""Sealing all face data of a gallery with another key, or with none."""

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from facesearch.storage.database import Database
from facesearch.storage.row_checksums import CHIPS, REJECTIONS, checked_faces
from facesearch.storage.schema import chips, face_checksum, face_rows, faces, rejections
from facesearch.storage.vault import Vault

ROWS_AT_ONCE = 1000  # in memory


def reseal(database: Database, connection: sa.Connection, new: Vault) -> None:
    """Replace every sealed value by what `new` seals. Raises GalleryError for a damaged row.

    A damaged row would look sound afterwards, since its checksum covers the sealed value.
    """
    _reseal_faces(database, connection, new)
    for purpose, kind, column in (
        ("chip", CHIPS, chips.c.image),
        ("rejection", REJECTIONS, rejections.c.embedding),
    ):
        change = sa.update(column.table).where(kind.key == sa.bindparam("row"))
        change = change.values({column.name: sa.bindparam("value")})
        for rows in _batches(connection, kind.key, kind.select()):
            values = []
            for row in kind.checked(rows):
                value = getattr(row, column.name)
                if value or purpose != "rejection":
                    value = new.seal(database.unsealed(value, purpose), purpose)
                values.append({"row": getattr(row, kind.key.name), "value": value})
            connection.execute(change, values)


def _reseal_faces(database: Database, connection: sa.Connection, new: Vault) -> None:
    change = faces.update().where(faces.c.id == sa.bindparam("row"))
    change = change.values(embedding=sa.bindparam("value"), checksum=sa.bindparam("sum"))
    for rows in _batches(connection, faces.c.id, face_rows().order_by(faces.c.id)):
        values = []
        for row in checked_faces(rows):
            value = new.seal(database.unsealed(row.embedding, "face"), "face")
            fields = row.photo, row.person, row.box, row.points, row.agreement
            values.append({"row": row.id, "value": value, "sum": face_checksum(*fields, value)})
        connection.execute(change, values)


def _batches(
    connection: sa.Connection, key: sa.Column[Any], query: sa.Select[Any]
) -> Iterator[Sequence[Any]]:
    """The rows of a query that is ordered by `key`, some at a time."""
    query = query.limit(ROWS_AT_ONCE)
    rows = connection.execute(query).all()
    while rows:
        yield rows
        last = getattr(rows[-1], key.name)
        rows = connection.execute(query.where(key > last)).all()
