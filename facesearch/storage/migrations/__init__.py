"""The versions of a gallery's tables, and what they share."""

from alembic import op


def make_trigger(name: str, table: str, when: str, steps: list[str]) -> None:
    """After each row of which `when` is done. steps: SQL that SQLite and PostgreSQL share."""
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
