"""The rows of people and faces that curation and its undoing ask for and change."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facesearch.storage import curation
from facesearch.storage.curation import PersonRow, Terms
from facesearch.storage.faces import face_numbers
from facesearch.storage.store import Store
from tests.support.invented_photos import MODEL, photo


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    """ann with faces 1 to 5, bob with face 6."""
    with closing(Store(where, create=True)) as store:
        store.add([photo("ann", number) for number in range(1, 6)] + [photo("bob", 6)], MODEL)
        yield store


def test_faces_beside_those_that_come_back(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: a query takes some at a time."""
    store.remove("ann")
    store.add([photo("carl", 4, faces=2)], MODEL)
    monkeypatch.setattr(curation, "MOST_VARIABLES", 2)
    with store.database.read() as connection:
        numbers = face_numbers(connection, 1)
        back, others = curation.beside(connection, numbers)
        assert [face.number for face in back] == numbers == [1, 2, 3, 4, 5]
        assert [(face.number, face.name) for face in others] == [(7, "carl"), (8, "carl")]
        assert {face.photo for face in others} == {back[3].photo}
        assert curation.beside(connection, []) == ([], [])
        assert curation.face_counts(connection, {1, 2, 3, 99}) == {1: 5, 2: 1, 3: 2}
        assert curation.face_counts(connection, set()) == {}


def test_people_are_found_by_number_and_by_name(store: Store) -> None:
    store.remove("ann")
    with store.database.read() as connection:
        assert curation.person_row(connection, 2) == PersonRow("bob", removed=False)
        hidden = curation.person_row(connection, 1)
        assert hidden is not None
        assert hidden.removed
        assert curation.person_row(connection, 9) is None
        assert curation.number_of(connection, "bob") == 2
        assert curation.number_of(connection, "ann") is None
        assert curation.names(connection) == {1: hidden.name, 2: "bob"}


def test_terms_are_those_that_were_set(store: Store) -> None:
    with store.database.write("terms", {}) as connection:
        assert curation.terms(connection, 2) == Terms(None, None)
        curation.set_terms(connection, 2, Terms("2031-01-01", "on paper"))
    assert (store.person("bob").expires, store.person("bob").consent) == ("2031-01-01", "on paper")
