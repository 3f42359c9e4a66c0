"""Settings keep what they were given, and a damaged one is noticed, even by its absence."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facesearch.core.errors import GalleryError
from facesearch.storage.schema import settings
from facesearch.storage.settings import delete_settings, get_setting, set_setting, stored_setting
from facesearch.storage.store import Store


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    with closing(Store(where, create=True)) as store:
        yield store


def test_they_are_written_over_and_deleted(store: Store) -> None:
    with store.database.append() as connection:
        set_setting(connection, "audit", "on")
        set_setting(connection, "audit", "off")
        set_setting(connection, "search", "local")
    with store.database.read() as connection:
        assert get_setting(connection, "audit") == "off"
        assert get_setting(connection, "none") is None
    with store.database.append() as connection:
        delete_settings(connection, "audit", "none")
    with store.database.read() as connection:
        assert get_setting(connection, "audit") is None
        assert get_setting(connection, "search") == "local"


@pytest.mark.parametrize("column", ["key", "value"])
def test_damage_is_noticed(store: Store, column: str) -> None:
    with store.database.append() as connection:
        set_setting(connection, "audit", "on")
    with store.database.append() as connection:
        mine = settings.c.key == "audit"
        row = connection.execute(settings.select().where(mine)).one()
        damaged = row._asdict() | {column: "audiu"}
        connection.execute(settings.delete().where(mine))
        connection.execute(settings.insert().values(damaged))
    with store.database.read() as connection:
        kept = stored_setting(connection, "audit")
        assert kept == (None if column == "key" else "audiu")
    with (
        pytest.raises(GalleryError, match=r"damaged: the setting audi[tu] is not what was written"),
        store.database.read() as connection,
    ):
        get_setting(connection, "audit")
