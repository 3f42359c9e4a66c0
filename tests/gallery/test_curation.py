"""Merging, splitting, removing, and the terms of people."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from facesearch.core.errors import PersonError
from facesearch.gallery.doctor import examine
from facesearch.gallery.gallery import Gallery
from facesearch.storage import schema
from facesearch.storage.schema import face_checksum, person_checksum, photo_checksum
from facesearch.storage.store import Store
from tests.support.curated import not_theirs, state
from tests.support.invented_photos import MODEL, photo


def test_a_merge_and_its_undoing(gallery: Gallery, store: Store) -> None:
    gallery.set_terms("ann", expires="2031-01-01", consent="on paper")
    gallery.set_terms("bob", expires="2030-01-01", consent="by mail")
    not_theirs(store, "bob", 77)
    before = state(gallery)
    assert gallery.merge("ann", "bob").faces == 2
    assert state(gallery) == {
        "people": {"ann": ([1, 2, 3, 4, 5], "2030-01-01", "on paper; by mail")},
        "rejected": [("ann", photo("", 77).sha256)],
    }
    assert gallery.info().people == 1
    assert store.known([photo("", 4).sha256]) == {photo("", 4).sha256: {"ann"}}
    change = gallery.undo()
    assert (change.action, change.line) == ("merge", "bob was merged into ann (2 faces)")
    assert state(gallery) == before


def test_a_split_and_its_undoing(gallery: Gallery) -> None:
    gallery.set_terms("ann", expires="2031-01-01")
    before = state(gallery)
    assert gallery.split("ann", [3, 1, 3], "carl").faces == 2
    after = state(gallery)["people"]
    assert after["ann"] == ([2], "2031-01-01", None)
    assert after["carl"] == ([1, 3], "2031-01-01", None)
    assert gallery.undo().line == "2 faces of ann became carl's"
    assert state(gallery) == before
    assert gallery.split("ann", [2], "bob").faces == 1
    assert state(gallery)["people"]["bob"][0] == [2, 4, 5]
    gallery.undo()
    assert state(gallery) == before
    gallery.split("ann", [1], "carl")  # the name of the one who was made and undone is free


@pytest.mark.parametrize(
    ("faces", "into", "words"),
    [
        ([1, 4], "carl", "ann: has no face 4"),
        ([99], "carl", "ann: has no face 99"),
        ([], "carl", "ann: no face was chosen"),
        ([1, 2, 3], "carl", "ann: these are all of their faces"),
        ([1], "ann", "ann: the faces are theirs already"),
        ([1], "", "must not be empty"),
    ],
)
def test_splits_that_are_none(
    gallery: Gallery, store: Store, faces: list[int], into: str, words: str
) -> None:
    before, revision = state(gallery), store.revision()
    with pytest.raises(PersonError, match=words):
        gallery.split("ann", faces, into)
    assert (state(gallery), store.revision()) == (before, revision)


def test_merges_that_are_none(gallery: Gallery) -> None:
    before = state(gallery)
    for pair in (("ann", "ann"), ("ann", "carl"), ("carl", "ann")):
        with pytest.raises(PersonError, match=r"themselves|nobody of this name"):
            gallery.merge(*pair)
    assert state(gallery) == before
    assert gallery.changes() == []


def test_removed_people_are_in_no_answer(gallery: Gallery, store: Store) -> None:
    before = store.vectors()[1].tolist()
    assert before == [1, 1, 1, 2, 2]
    assert gallery.remove("ann").faces == 3
    assert [person.name for person in store.people()] == ["bob"]
    assert store.vectors()[1].tolist() == [2, 2]
    assert store.person_faces([1, 2]).keys() == {2}
    assert store.known([photo("", 1).sha256]) == {}
    assert store.photo_count() == 2
    assert len(gallery) == 1
    for job in (
        lambda: gallery["ann"].faces,
        lambda: gallery.remove("ann"),
        lambda: gallery.merge("bob", "ann"),
        lambda: gallery.set_terms("ann", consent="x"),
        lambda: gallery["ann"],
        lambda: not_theirs(store, "ann", 4),
    ):
        with pytest.raises(PersonError, match="ann: nobody of this name is enrolled"):
            job()
    store.add([photo("ann", 1), photo("ann", 8)], MODEL)  # another ann, partly the same photos
    assert gallery.person("ann").faces == 2


@pytest.mark.parametrize(("name", "number"), [("ann", 4), ("bob", 1)])
def test_a_merge_against_a_rejection(
    gallery: Gallery, store: Store, name: str, number: int
) -> None:
    """Whichever of the two it names."""
    not_theirs(store, name, number)
    (pair,) = gallery.rejected_pairs()
    other = "bob" if name == "ann" else "ann"
    assert (pair.name, pair.face, pair.enrolled_as) == (name, number, other)
    before = state(gallery)
    for into, absorbed in (("ann", "bob"), ("bob", "ann")):
        words = rf"{name}: face {number} of {other} \(/photos/{number}.jpg\) was rejected as theirs"
        with pytest.raises(PersonError, match=words):
            gallery.merge(into, absorbed)
    assert state(gallery) == before
    gallery.merge("ann", "bob", force=True)
    assert state(gallery)["rejected"] == []
    assert gallery.person("ann").faces == 5
    gallery.undo()
    assert state(gallery) == before


def test_a_split_against_a_rejection(gallery: Gallery, store: Store) -> None:
    not_theirs(store, "bob", 1)
    before = state(gallery)
    with pytest.raises(PersonError, match=r"bob: face 1 of ann .* was rejected as theirs"):
        gallery.split("ann", [1, 2], "bob")
    assert gallery.split("ann", [2], "bob").faces == 1
    gallery.undo()
    gallery.split("ann", [1], "bob", force=True)
    assert state(gallery)["rejected"] == [("ann", photo("", 1).sha256)]
    gallery.undo()
    assert state(gallery) == before


def test_terms(gallery: Gallery) -> None:
    gallery.set_terms("ann", expires="20300102", consent="on paper, März")
    assert (gallery.person("ann").expires, gallery.person("ann").consent) == (
        "2030-01-02",
        "on paper, März",
    )
    gallery.set_terms("ann", consent="")
    assert (gallery.person("ann").expires, gallery.person("ann").consent) == ("2030-01-02", None)
    gallery.set_terms("ann", expires="")
    assert gallery.person("ann").expires is None
    for bad in ("tomorrow", "2030-02-30", "01.02.2030"):
        with pytest.raises(PersonError, match="is no date; write it as 2027-12-31"):
            gallery.set_terms("ann", expires=bad)
    for bad in ("red \x1b[31m", "two\nlines", "\x9b31m", "half \ud800"):
        with pytest.raises(PersonError, match=r"^ann: a note must not hold control or broken"):
            gallery.set_terms("ann", consent=bad)
    assert gallery.person("ann").consent is None


def test_the_log_holds_no_face_data_and_the_rows_stay_sound(gallery: Gallery, store: Store) -> None:
    not_theirs(store, "ann", 2)
    gallery.merge("ann", "bob")
    gallery.split("ann", [1, 4], "carl")
    gallery.remove("carl")
    gallery.undo()
    gallery.rename("ann", "anna")
    with store.database.read() as connection:
        details = connection.execute(sa.select(schema.events.c.detail)).scalars().all()
        for person in connection.execute(sa.select(schema.people)):
            assert person.checksum == person_checksum(person.id, person.name)
        for row in connection.execute(sa.select(schema.photos)):
            assert row.checksum == photo_checksum(row.id, row.path, row.sha256)
        rows = connection.execute(schema.face_rows()).all()
    assert len(rows) == 5
    for _, *fields, checksum in rows:
        assert checksum == face_checksum(*fields)
    for detail in details:
        for value in detail.values():
            if isinstance(value, list):
                assert all(each is None or isinstance(each, int) for each in value)


def test_one_change_is_one_event_and_one_revision(gallery: Gallery, store: Store) -> None:
    for change in (
        lambda: gallery.merge("ann", "bob"),
        lambda: gallery.undo(),
        lambda: gallery.split("ann", [1], "carl"),
        lambda: not_theirs(store, "ann", 2),
        lambda: gallery.forget(1),
        lambda: gallery.set_terms("ann", consent="yes"),
        lambda: gallery.remove("ann"),
    ):
        before, revision = events(store), store.revision()
        change()
        assert events(store) == before + 1
        assert store.revision() != revision


def events(store: Store) -> int:
    with store.database.read() as connection:
        return len(connection.execute(sa.select(schema.events.c.id)).all())


def test_the_doctor_finds_nothing_wrong_with_what_was_curated(
    gallery: Gallery, store: Store, where: Path | str
) -> None:
    gallery.merge("ann", "bob")
    gallery.split("ann", [1, 4], "carl")
    not_theirs(store, "ann", 2)
    gallery.remove("carl")
    gallery.undo()
    gallery.undo()
    gallery.rename("ann", "Zoë")
    gallery.purge("carl")
    kinds = {finding.kind for finding in examine(where)}
    assert kinds - {"mode"} == {"photo gone"}  # the photos are invented
