"""Every row has a checksum, whoever writes it; a row that was damaged from outside does not fit."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from facesearch.storage import row_checksums
from facesearch.storage.row_checksums import EVERY, SETTINGS, Damaged
from facesearch.storage.schema import settings
from facesearch.storage.store import Store


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    with closing(Store(where, create=True)) as store:
        yield store


def stored(store: Store, key: str) -> int | None:
    with store.database.read() as connection:
        query = sa.select(settings.c.checksum).where(settings.c.key == key)
        checksum: int | None = connection.execute(query).scalar_one()
    return checksum


def test_a_row_is_summed_when_it_is_added_and_changed(store: Store) -> None:
    with store.database.append() as connection:
        connection.execute(settings.insert().values(key="audit", value="on"))
    first = stored(store, "audit")
    with store.database.append() as connection:
        # past every function of ours: the database itself empties the checksum
        connection.execute(sa.text("UPDATE settings SET value = 'off' WHERE key = 'audit'"))
    second = stored(store, "audit")
    assert None not in (first, second)
    assert first != second
    with store.database.read() as connection:
        assert [list(row_checksums.damaged(connection, rows)) for rows in EVERY] == [[]] * len(
            EVERY
        )


def test_a_damaged_row_is_found(store: Store) -> None:
    with store.database.append() as connection:
        for key in ("audit", "search"):
            connection.execute(settings.insert().values(key=key, value="on"))
    with store.database.append() as connection:
        connection.execute(settings.update().where(settings.c.key == "audit").values(checksum=7))
    with store.database.read() as connection:
        (row,) = row_checksums.damaged(connection, SETTINGS)
        assert row.key == "audit"
        with pytest.raises(Damaged, match="damaged: the setting audit is not what was written"):
            SETTINGS.check(row)


def test_more_rows_than_are_held_at_once(store: Store) -> None:
    with store.database.append() as connection:
        rows = [{"key": f"{number}", "value": "on"} for number in range(2 * SETTINGS.page + 1)]
        connection.execute(settings.insert(), rows)
    with store.database.read() as connection:
        assert list(row_checksums.damaged(connection, SETTINGS)) == []


def test_every_table_is_covered() -> None:
    """But for the rows that `schema` has checksums of, and numbers that the triggers count."""
    guarded = {rows.table.name for rows in EVERY}
    others = {"people", "photos", "faces", "changes", "totals", "revisions"}
    assert guarded | others == set(settings.metadata.tables)
