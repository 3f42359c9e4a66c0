"""Checksums of rows; people who can be brought back; rejections, kept chips, the audit log."""

import sqlalchemy as sa
from alembic import op

from facesearch.storage.schema import (
    Checksum,
    PathBytes,
    face_checksum,
    person_checksum,
    photo_checksum,
)

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for name in ("removed", "expires", "consent"):
        op.add_column("people", sa.Column(name, sa.Text))
    for table in ("people", "photos", "faces"):
        op.add_column(table, sa.Column("checksum", Checksum, nullable=False, server_default="0"))
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
    integer, text, blob = sa.Integer, sa.Text, sa.LargeBinary
    people = sa.table("people", *(sa.column(n, t) for n, t in [("id", integer), ("name", text)]))
    for number, name in connection.execute(sa.select(people)).all():
        _set(connection, "people", number, person_checksum(number, name))
    photos = sa.table(
        "photos", sa.column("id", integer), sa.column("path", PathBytes), sa.column("sha256", text)
    )
    for number, path, sha256 in connection.execute(sa.select(photos)).all():
        _set(connection, "photos", number, photo_checksum(number, path, sha256))
    kinds = {"photo": integer, "person": integer, "box": text, "points": text}
    kinds |= {"agreement": sa.Float, "embedding": blob}
    faces = sa.table("faces", *(sa.column(n, t) for n, t in {"id": integer, **kinds}.items()))
    for number, *fields in connection.execute(sa.select(faces)).all():
        _set(connection, "faces", number, face_checksum(*fields))


def _set(connection: sa.Connection, table: str, number: int, checksum: int) -> None:
    connection.execute(
        sa.text(f"UPDATE {table} SET checksum = :checksum WHERE id = :id"),
        {"checksum": checksum, "id": number},
    )
