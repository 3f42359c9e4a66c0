"""Checksums of the rows that have none, and from where on a face is a copy of a rejected one."""

import sqlalchemy as sa
from alembic import op

from facesearch.storage import row_checksums
from facesearch.storage.migrations import make_trigger
from facesearch.storage.schema import Checksum

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("rejections", sa.Column("near", sa.Float))
    for rows in row_checksums.EVERY:
        table, key, column = rows.table.name, rows.key.name, rows.checksum.name
        op.add_column(table, sa.Column(column, Checksum))
        op.execute(f"CREATE INDEX {table}_unsummed ON {table} ({key}) WHERE {column} IS NULL")
        when = f"UPDATE OF {', '.join(each.name for each in rows.covered)}"
        empty = f"UPDATE {table} SET {column} = NULL WHERE {key} = NEW.{key}"
        make_trigger(f"{table}_changed", table, when, [empty])
    row_checksums.fill_checksums(op.get_bind())  # the rows as they are now are taken to be right
