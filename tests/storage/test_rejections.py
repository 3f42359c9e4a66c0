"""The rows of rejections, and the events that tell of them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.face import Box
from facesearch.storage import events, rejections
from facesearch.storage.people import person_number
from facesearch.storage.store import Store
from tests.support.invented_photos import MODEL, photo

PLACE = Box(1.5, 2, 30, 40)


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    """ann and bob, each with a face; a face rejected as ann's."""
    with closing(Store(where, create=True)) as store:
        store.add([photo("ann", 1), photo("bob", 2)], MODEL)
        with store.database.write("reject", {"rejection": 1, "rejections": [1, 7]}) as connection:
            number = rejections.add(
                store.database,
                connection,
                person=person_number(connection, "ann"),
                sha256=photo("", 1).sha256,
                box=PLACE,
                embedding=photo("", 1).embeddings[0],
                at="2026-01-01",
                near=None,
            )
            assert number == 1
        yield store


def test_a_rejection_comes_back_as_it_was_added(store: Store) -> None:
    with store.database.read() as connection:
        (said,) = rejections.of_enrolled(store.database, connection)
        assert rejections.of_person(store.database, connection, 2) == []
        assert rejections.numbers(connection, 1) == [1]
        assert rejections.photo_paths(connection) == {said.sha256: Path("/photos/1.jpg")}
        (place,) = rejections.places(connection)
        assert rejections.have_embedding(connection) == {1: True}
    assert (said.number, said.person, said.name, said.box) == (1, 1, "ann", PLACE)
    assert (said.at, said.near) == ("2026-01-01", None)
    assert np.array_equal(said.embedding, photo("", 1).embeddings[0])
    assert (place.path, place.box) == (Path("/photos/1.jpg"), PLACE)


def test_rejections_of_removed_people_are_those_of_nobody_enrolled(store: Store) -> None:
    store.remove("ann")
    with store.database.read() as connection:
        assert rejections.of_enrolled(store.database, connection) == []
        assert len(rejections.of_everybody(store.database, connection)) == 1


def test_a_rejection_is_given_changed_and_dropped(store: Store) -> None:
    with store.database.write("merge", {}) as connection:
        rejections.give(connection, [1], 2)
        rejections.set_embedding(store.database, connection, 1, np.empty(0, np.float32), 0.25)
    with store.database.read() as connection:
        (said,) = rejections.of_person(store.database, connection, 2)
    assert (said.name, said.near, len(said.embedding)) == ("bob", 0.25, 0)
    with store.database.write("forget", {}) as connection:
        assert not rejections.drop(connection, 7)
        assert rejections.drop(connection, 1)
    with store.database.read() as connection:
        (event,) = events.logged(connection, ["reject"])
        assert rejections.of_everybody(store.database, connection) == []
    assert event.detail == {"rejection": None, "rejections": [7]}  # 1 may be given again
