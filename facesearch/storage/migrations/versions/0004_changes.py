"""Which people changed since when, noted by the database itself: no writer can forget it."""

import sqlalchemy as sa
from alembic import op

from facesearch.storage.migrations import make_trigger

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("person", sa.Integer, nullable=False),
        sa.Column("checksum", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "totals",
        sa.Column("person", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("faces", sa.Integer, nullable=False),
        sa.Column("numbers", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "revisions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("revision", sa.Text, nullable=False, unique=True),
        sa.Column("change", sa.Integer, nullable=False),
    )
    op.execute("CREATE INDEX several ON totals (person) WHERE faces > 1")
    op.execute("CREATE INDEX removed_people ON people (id) WHERE removed IS NOT NULL")
    op.execute("INSERT INTO totals SELECT person, count(*), sum(id) FROM faces GROUP BY person")
    op.execute(
        "INSERT INTO revisions (revision, change) "
        "SELECT value, 0 FROM settings WHERE key = 'revision'"
    )
    for name, table, when, steps in _triggers():
        make_trigger(name, table, when, steps)


# SQL that SQLite and PostgreSQL share


COUNTED = (
    "INSERT INTO totals (person, faces, numbers) VALUES (NEW.person, 1, NEW.id) "
    "ON CONFLICT (person) DO UPDATE "
    "SET faces = totals.faces + 1, numbers = totals.numbers + excluded.numbers"
)
FEWER = "UPDATE totals SET faces = faces - 1, numbers = numbers - OLD.id WHERE person = OLD.person"
NONE_LEFT = "DELETE FROM totals WHERE person = OLD.person AND faces = 0"


def _changed(person: str) -> str:
    next_one = "(coalesce(max(id), 0) + 1)"
    # a flipped bit of either number makes another checksum
    checksum = (
        f"(CAST({next_one} AS BIGINT) * 1000003 + CAST({person} AS BIGINT) * 8191) % 2147483647"
    )
    return (
        f"INSERT INTO changes (id, person, checksum) SELECT {next_one}, {person}, {checksum} "
        "FROM changes"
    )


def _triggers() -> list[tuple[str, str, str, list[str]]]:
    """Name, table, when, and what is done."""
    moved = [FEWER, NONE_LEFT, COUNTED, _changed("OLD.person"), _changed("NEW.person")]
    return [
        ("face_added", "faces", "INSERT", [COUNTED, _changed("NEW.person")]),
        ("face_gone", "faces", "DELETE", [FEWER, NONE_LEFT, _changed("OLD.person")]),
        ("face_moved", "faces", "UPDATE OF person", moved),
        ("face_embedded", "faces", "UPDATE OF embedding", [_changed("NEW.person")]),
        ("person_added", "people", "INSERT", [_changed("NEW.id")]),
        ("person_gone", "people", "DELETE", [_changed("OLD.id")]),
        ("person_hidden", "people", "UPDATE OF removed", [_changed("NEW.id")]),
    ]
