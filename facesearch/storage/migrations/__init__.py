"""The versions of a gallery's tables, and what their migrations share.

A migration imports nothing from the rest of facesearch: it has to do the same to an old gallery
whatever the program has become since.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic import op

# 32 bits without a sign; SQLite's whole numbers have 64 anyway
CHECKSUM = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

JSON = {"box", "points", "detail", "result"}  # the columns of this type
ROWS = 500  # in memory


def make_trigger(name: str, table: str, when: str, steps: list[str]) -> None:
    """Run SQL after each row of `table` for which `when` happens.

    steps: statements that SQLite and PostgreSQL share.
    """
    body = "".join(f"{step}; " for step in steps)
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"CREATE TRIGGER {name} AFTER {when} ON {table} BEGIN {body}END")
        return
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN {body}RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {name} AFTER {when} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
    )


@dataclass(frozen=True, slots=True)
class Guarded:
    """A table with a checksum over some of its columns."""

    table: str
    key: str
    covered: tuple[str, ...]
    checksum: str = "checksum"

    def guard(self) -> None:
        """Have the database empty the checksum of a row when one of its covered columns changes."""
        table, key, column = self.table, self.key, self.checksum
        op.execute(f"CREATE INDEX {table}_unsummed ON {table} ({key}) WHERE {column} IS NULL")
        empty = f"UPDATE {table} SET {column} = NULL WHERE {key} = NEW.{key}"
        make_trigger(f"{table}_changed", table, f"UPDATE OF {', '.join(self.covered)}", [empty])

    def fill(self) -> None:
        """Compute all empty checksums: the rows as they are now are taken to be right."""
        key: sa.ColumnClause[Any] = sa.column(self.key)
        column: sa.ColumnClause[int] = sa.column(self.checksum)
        fields = [
            sa.cast(sa.column(name), sa.Text) if name in JSON else sa.column(name)
            for name in self.covered
        ]
        table = sa.table(self.table, key, column)
        query = sa.select(key, *fields).select_from(table).where(column.is_(None)).order_by(key)
        change = sa.update(table).where(key == sa.bindparam("row"))
        change = change.values({self.checksum: sa.bindparam("sum")})
        connection = op.get_bind()
        while some := connection.execute(query.limit(ROWS)).all():
            connection.execute(change, [{"row": row[0], "sum": checksum(*row)} for row in some])


def checksum(key: object, *covered: object) -> int:
    """The checksum of a row, as the database stores its columns; JSON is text there."""
    total = zlib.crc32(_text(key))
    for value in covered:
        content = value if isinstance(value, bytes) else _text(value)
        total = zlib.crc32(content, zlib.crc32(b"\x1f", total))
    return total


def _text(value: object) -> bytes:
    return repr(value).encode("utf-8", "surrogatepass")
