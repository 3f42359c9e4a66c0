"""Checksums of the rows that have none, and from where on a face is a copy of a rejected one."""

import sqlalchemy as sa
from alembic import op

from facesearch.storage.migrations import CHECKSUM, Guarded

revision = "0005"
down_revision = "0004"

GUARDED = (
    Guarded("people", "id", ("created", "removed", "expires", "consent"), "terms_checksum"),
    Guarded("chips", "face", ("image",)),
    Guarded("rejections", "id", ("person", "sha256", "box", "embedding", "at", "near")),
    Guarded("settings", "key", ("value",)),
    Guarded("events", "id", ("at", "action", "detail")),
    Guarded("searches", "id", ("at", "detail")),
)


def upgrade() -> None:
    op.add_column("rejections", sa.Column("near", sa.Float))
    for rows in GUARDED:
        op.add_column(rows.table, sa.Column(rows.checksum, CHECKSUM))
        rows.guard()
        rows.fill()
