"""The audit log holds the searches that were made while it was on, and notices damage."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from facesearch.core.errors import GalleryError
from facesearch.storage import audit_log, preferences, settings
from facesearch.storage.audit_log import Search
from facesearch.storage.schema import searches
from facesearch.storage.store import Store


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    with closing(Store(where, create=True)) as store:
        yield store


def test_searches_are_recorded_if_that_was_chosen(store: Store) -> None:
    database = store.database
    audit_log.record(database, "identify", 1, ["ann"])
    assert audit_log.searched(database) == []
    preferences.prefer(database, "audit", "on")
    revision = store.revision()
    audit_log.record(database, "identify", 3, ["bob", "ann", "bob"])
    audit_log.record(database, "search", 1, [])
    assert store.revision() == revision, "people are as they were"
    first, second = audit_log.searched(database)
    assert first == Search(first.at, "identify", 3, ["ann", "bob"])
    assert second == Search(second.at, "search", 1, [])


def test_later_ones_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    preferences.prefer(store.database, "audit", "on")
    for hour in (8, 9, 10):
        monkeypatch.setattr(audit_log, "now", lambda hour=hour: f"2026-01-01T{hour:02}:00:00+00:00")
        audit_log.record(store.database, "identify", hour, [])
    east = timezone(timedelta(hours=1))
    for since in (
        datetime(2026, 1, 1, 9),
        datetime(2026, 1, 1, 9, tzinfo=UTC),
        datetime(2026, 1, 1, 10, tzinfo=east),
    ):
        found = audit_log.searched(store.database, since)
        assert [search.faces for search in found] == [9, 10]


def test_a_search_that_could_not_be_recorded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    preferences.prefer(store.database, "audit", "on")
    audit_log.check_recordable(store.database)
    monkeypatch.setattr(store.database.engine, "writable", False)
    with pytest.raises(GalleryError, match="cannot be written to; nothing was searched"):
        audit_log.check_recordable(store.database)


def test_a_damaged_row(store: Store) -> None:
    preferences.prefer(store.database, "audit", "on")
    audit_log.record(store.database, "identify", 1, ["ann"])
    with store.database.append() as connection:
        values = {"checksum": 7}
        connection.execute(searches.update().values(values))
    with pytest.raises(GalleryError, match="damaged: search 1 is not what was written"):
        audit_log.searched(store.database)


def test_the_time_is_utc_to_the_second() -> None:
    told = datetime.fromisoformat(settings.now())
    assert told.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - told) < timedelta(seconds=60)
