"""The event log: every write has a number that its writer learns."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facesearch.core.errors import GalleryError
from facesearch.storage import events
from facesearch.storage.database import Database
from facesearch.storage.events import Event


@pytest.fixture
def database(where: Path | str) -> Iterator[Database]:
    with closing(Database(where, create=True)) as database:
        yield database


def test_an_event_has_its_number_and_time_when_it_is_written(database: Database) -> None:
    first, second = Event("merge", {"faces": [3, 4]}), Event("undo", {})
    for event in (first, second):
        with database.write_event(event) as connection:
            assert (event.number, event.at) == (0, "")
            event.detail["said"] = connection is not None
    assert (first.number, second.number) == (1, 2)
    with database.read() as connection:
        (found,) = events.logged(connection, ["merge"])
        assert found == Event("merge", {"faces": [3, 4], "said": True}, 2, 1, first.at)


def test_what_fails_has_no_number(database: Database) -> None:
    event = Event("merge", {})
    with pytest.raises(ZeroDivisionError), database.write_event(event):
        _ = 1 / 0
    assert event.number == 0
    with database.read() as connection:
        assert events.logged(connection, ["merge"]) == []


def test_which_events_were_undone(database: Database) -> None:
    for action, detail in (("merge", {}), ("undo", {"event": 1}), ("undo", {})):
        with database.write(action, detail):
            pass
    with database.read() as connection:
        assert events.undone(connection) == {1, 0}


def test_a_damaged_event_is_told(database: Database) -> None:
    with database.write("merge", {"faces": [1]}):
        pass
    with database.append() as connection:
        events.set_detail(connection, 1, {"faces": []})
    with database.read() as connection:
        (found,) = events.logged(connection, ["merge"])
        assert found.faces == 0
    with database.engine.writing(5) as connection:  # past facesearch, which sums what it changes
        connection.exec_driver_sql("UPDATE events SET checksum = checksum + 1")
    with database.read() as connection, pytest.raises(GalleryError, match="damaged: event 1"):
        events.logged(connection, ["merge"])
