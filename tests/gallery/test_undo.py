"""What is done to people can be undone, as far as nothing since is in the way."""

from pathlib import Path

import pytest

from facesearch.core.errors import PersonError
from facesearch.gallery import curation
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.rejections import reject
from facesearch.storage.store import Store
from tests.support.curated import not_theirs, state
from tests.support.invented_photos import MODEL, photo


def test_terms_set_after_a_merge_survive_its_undoing(gallery: Gallery) -> None:
    gallery.merge("ann", "bob")
    gallery.set_terms("ann", expires="2032-02-02")
    gallery.undo()
    assert gallery.person("ann").expires == "2032-02-02"


def test_faces_that_came_since_stay_when_a_split_is_undone(gallery: Gallery, store: Store) -> None:
    gallery.split("ann", [1], "carl")
    store.add([photo("carl", 6)], MODEL)
    gallery.undo()
    people = state(gallery)["people"]
    assert (people["ann"][0], people["carl"][0]) == ([1, 2, 3], [6])


def test_everything_is_undone_in_its_order(gallery: Gallery, store: Store) -> None:
    states = [state(gallery)]
    for change in (
        lambda: gallery.rename("ann", "Zoë"),
        lambda: gallery.merge("Zoë", "bob"),
        lambda: gallery.split("Zoë", [1, 4], "bob"),
        lambda: not_theirs(store, "bob", 4),
        lambda: gallery.remove("Zoë"),
        lambda: store.add([photo("Zoë", 6)], MODEL),
        lambda: gallery.rename("Zoë", "ann"),
    ):
        change()
        states.append(state(gallery))
    assert [change.action for change in gallery.changes()] == [
        "rename",
        "remove",
        "reject",
        "split",
        "merge",
        "rename",
    ]
    gallery.undo()
    assert state(gallery) == states[6]
    with pytest.raises(PersonError, match="cannot be undone: Zoë was removed: Zoë: this name is"):
        gallery.undo()
    assert state(gallery) == states[6]
    gallery.rename("Zoë", "another")
    gallery.remove("another")
    remove = gallery.changes()[2]
    assert gallery.undo(remove.event).line == "Zoë was removed"
    for before in (states[3], states[2], states[1], states[0]):
        gallery.undo(gallery.changes()[2].event)
        assert state(gallery) == before
    assert [change.line for change in gallery.changes()] == [
        "another was removed",
        "Zoë became another",
    ]


def test_nothing_to_undo(gallery: Gallery) -> None:
    with pytest.raises(PersonError, match="nothing to undo"):
        gallery.undo()
    gallery.rename("ann", "anna")
    with pytest.raises(PersonError, match="event 999: nothing to undo"):
        gallery.undo(999)
    event = gallery.undo().event
    with pytest.raises(PersonError, match="nothing to undo"):
        gallery.undo(event)
    assert state(gallery)["people"].keys() == {"ann", "bob"}


def test_undoing_in_another_order_says_what_is_in_the_way(gallery: Gallery) -> None:
    gallery.merge("ann", "bob")
    gallery.split("ann", [4], "carl")
    gallery.rename("carl", "carla")
    gallery.remove("carla")
    remove, rename, split, merge = (change.event for change in gallery.changes())
    before = state(gallery)
    for event, words in (
        (rename, "the person has been removed since"),
        (merge, "face 4 went elsewhere since"),
    ):
        with pytest.raises(PersonError, match=words):
            gallery.undo(event)
        assert state(gallery) == before
    gallery.undo(split)  # the faces of somebody removed are there
    assert state(gallery)["people"]["ann"][0] == [1, 2, 3, 4, 5]
    gallery.undo(remove)
    gallery.rename("carla", "carola")
    with pytest.raises(PersonError, match="carla is called carola now"):
        gallery.undo(rename)
    gallery.undo(merge)
    assert state(gallery)["people"]["bob"][0] == [4, 5]


def test_a_face_is_never_there_twice(gallery: Gallery, store: Store) -> None:
    """Who was removed does not come back with a photo that is somebody else's now."""
    gallery.remove("bob")
    store.add([photo("carl", 4, path=Path("/elsewhere/4.jpg"))], MODEL)
    assert gallery["carl"].faces[0].photo == Path("/elsewhere/4.jpg")
    with pytest.raises(
        PersonError, match=r"bob was removed: /elsewhere/4\.jpg is enrolled as carl"
    ):
        gallery.undo()
    gallery.remove("carl")
    gallery.undo(gallery.changes()[1].event)
    assert state(gallery)["people"]["bob"][0] == [4, 5]


def test_a_rejected_face_that_was_enrolled_anew_does_not_come_back(
    gallery: Gallery, store: Store
) -> None:
    not_theirs(store, "ann", 2)
    store.add([photo("bob", 2)], MODEL)
    with pytest.raises(PersonError, match=r"photos/2\.jpg is enrolled as bob since"):
        gallery.undo()
    assert gallery.person("bob").faces == 3
    assert gallery.rejected_pairs()[0].enrolled_as == "bob"


def test_each_change_tells_the_event_that_undoes_it(gallery: Gallery, store: Store) -> None:
    database, seen = store.database, photo("", 2)
    told = [
        curation.rename(store, "ann", "Zoë"),
        curation.merge(database, "Zoë", "bob"),
        curation.split(database, "Zoë", [1, 4], "carl"),
        reject(database, "Zoë", seen.sha256, seen.faces[0].box, seen.embeddings[0], face=7),
        curation.remove(store, "carl"),
    ]
    assert [(change.action, change.faces) for change in told] == [
        ("rename", 0),
        ("merge", 2),
        ("split", 2),
        ("reject", 1),
        ("remove", 2),
    ]
    listed = [(each.event, each.at, each.line, each.faces) for each in gallery.changes()]
    assert listed == [(each.event, each.at, each.line, each.faces) for each in reversed(told)]
    before = gallery.undo(told[4].event)
    assert before == told[4]
    assert [change.event for change in gallery.changes()] == [
        each.event for each in reversed(told[:4])
    ]
