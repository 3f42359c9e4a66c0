"""Checksums of rows; people who can be brought back; rejections, kept chips, the audit log."""

import os
import zlib
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import op

from facesearch.storage.migrations import CHECKSUM

revision = "0003"
down_revision = "0002"

NONE = -1  # the checksum of a field that is not of its type, and so was never written


def upgrade() -> None:
    for name in ("removed", "expires", "consent"):
        op.add_column("people", sa.Column(name, sa.Text))
    for table in ("people", "photos", "faces"):
        op.add_column(table, sa.Column("checksum", CHECKSUM, nullable=False, server_default="0"))
    face = sa.ForeignKey("faces.id", ondelete="CASCADE")
    op.create_table(
        "chips",
        sa.Column("face", sa.Integer, face, primary_key=True),
        sa.Column("image", sa.LargeBinary, nullable=False),
    )
    person = sa.ForeignKey("people.id", ondelete="CASCADE")
    op.create_table(
        "rejections",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("person", sa.Integer, person, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("box", sa.JSON, nullable=False),
        sa.Column("embedding", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    op.create_index("rejections_by_person", "rejections", ["person"])
    op.create_table(
        "searches",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    _sum_up(op.get_bind())


def _sum_up(connection: sa.Connection) -> None:
    """The rows as they are now are taken to be right."""
    for number, name in connection.execute(sa.text("SELECT id, name FROM people")).all():
        _set(connection, "people", number, _checksum(number, name))
    for row in connection.execute(sa.text("SELECT id, path, sha256 FROM photos")).all():
        stored = row.path if isinstance(row.path, bytes) else b""  # else damaged
        path = os.fsencode(Path(os.fsdecode(stored)))  # as the program reads it
        _set(connection, "photos", row.id, _checksum(row.id, path, row.sha256))
    for row in connection.execute(sa.text(FACES)).all():
        _set(connection, "faces", row.id, _face_checksum(row))


FACES = (  # JSON is text, as it is stored
    "SELECT id, photo, person, CAST(box AS TEXT) AS box, CAST(points AS TEXT) AS points, "
    "agreement, embedding FROM faces"
)


def _face_checksum(row: Any) -> int:
    if not isinstance(row.embedding, bytes) or not isinstance(row.agreement, float | int):
        return NONE
    fields = row.photo, row.person, row.box, row.points, float(row.agreement)
    return zlib.crc32(row.embedding, _checksum(*fields))


def _checksum(*fields: object) -> int:
    return zlib.crc32("\x1f".join(map(repr, fields)).encode("utf-8", "surrogatepass"))


def _set(connection: sa.Connection, table: str, number: int, checksum: int) -> None:
    connection.execute(
        sa.text(f"UPDATE {table} SET checksum = :checksum WHERE id = :id"),
        {"checksum": checksum, "id": number},
    )
