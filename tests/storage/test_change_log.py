"""Who changed since a state of the gallery, or that nobody can tell."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from facesearch.storage import change_log
from facesearch.storage.schema import changes, revisions
from facesearch.storage.state import State
from facesearch.storage.store import Store
from tests.support.new_photos import MODEL, photo


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    """Ann, Bob and Carl are persons 1, 2 and 3."""
    with closing(Store(where, create=True)) as store:
        store.add([photo("ann", 1), photo("bob", 2), photo("carl", 3)], MODEL)
        yield store


def changed(store: Store, since: State) -> list[int] | None:
    with store.database.read() as connection:
        found = change_log.changed(connection, since)
    if found is None:
        return None
    assert found.state == store.state()
    return found.people


def test_whoever_got_or_lost_faces_changed(store: Store) -> None:
    first = store.state()
    assert changed(store, first) == []
    store.rename("ann", "anna")
    assert changed(store, first) == [], "a name is no face"
    second = store.state()
    store.add([photo("bob", 4)], MODEL)
    assert changed(store, second) == [2]
    store.remove("anna")
    assert changed(store, first) == changed(store, second) == [1, 2]
    assert changed(store, store.state()) == []


@pytest.mark.parametrize("state", [State("", 0), State("0" * 16, 3)])
def test_a_state_of_another_gallery(store: Store, state: State) -> None:
    assert changed(store, state) is None
    assert changed(store, State(store.state().revision, 1)) is None


def test_a_state_that_is_too_old(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_log, "KEPT", 3)
    first = store.state()
    for number in range(4, 7):
        store.add([photo("ann", number)], MODEL)
    assert changed(store, first) is None
    last = store.state()
    store.add([photo("bob", 9)], MODEL)
    assert changed(store, last) == [2]


@pytest.mark.parametrize("damage", ["a number", "a person", "a gap", "the newest state"])
def test_damage_makes_it_unknown(store: Store, damage: str) -> None:
    since = store.state()
    for number in (4, 5, 6):
        store.add([photo("ann", number)], MODEL)
    assert changed(store, since) == [1]
    with store.database.append() as connection:
        last = since.change + 2
        connection.execute(
            {
                "a number": changes.update().where(changes.c.id == last + 1).values(id=99),
                "a person": changes.update().where(changes.c.id == last).values(person=2),
                "a gap": changes.delete().where(changes.c.id == last),
                "the newest state": revisions.delete().where(
                    revisions.c.revision == store.state().revision
                ),
            }[damage]
        )
    assert changed(store, since) is None
