"""The journal of an enrolment: entries come back as long as nothing about them changed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facesearch.storage import journal
from facesearch.storage.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "gallery", create=True)) as database:
        yield database


def test_entries_come_back_until_they_are_forgotten(database: Database) -> None:
    assert journal.recall(database, "one way", ["a", "b"]) == {}
    journal.keep(database, "one way", {"a": b"first", "b": b"second"})
    journal.keep(database, "one way", {"a": b"again"})
    journal.keep(database, "another", {"a": b"other"})
    assert journal.recall(database, "one way", ["a", "b", "c"]) == {"a": b"again", "b": b"second"}
    assert journal.recall(database, "another", ["a"]) == {"a": b"other"}
    journal.forget(database, ["b"])
    assert journal.recall(database, "one way", ["a", "b"]) == {"a": b"again"}
    with database.append() as connection:
        journal.forget_all(connection)
    assert journal.recall(database, "one way", ["a"]) == {}


def test_a_damaged_entry_is_left_out(database: Database) -> None:
    journal.keep(database, "way", {"a": b"first", "b": b"second"})
    with closing(sqlite3.connect(database.folder / "gallery.db", isolation_level=None)) as raw:
        raw.execute("UPDATE looked SET content = x'00' WHERE sha256 = 'a'")
    assert journal.recall(database, "way", ["a", "b"]) == {"b": b"second"}
