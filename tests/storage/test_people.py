"""Who is enrolled, under which name, with how many photos."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import GalleryError, PersonError
from facesearch.storage import people, schema
from facesearch.storage.store import Store
from tests.support.new_photos import MODEL, photo


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    """On either engine."""
    with closing(Store(where, create=True)) as store:
        yield store


def test_removed_people_are_in_no_answer_and_their_photos_are_free(store: Store) -> None:
    store.add([photo("ann", 1), photo("bob", 2)], MODEL)
    assert store.remove("ann").faces == 1
    assert store.vectors()[1].tolist() == [2]
    assert [person.name for person in store.people()] == ["bob"]
    assert store.enrolled_content_keys(np.zeros(1, np.uint64)).tolist() == [
        0
    ]  # the photo of one, not of both
    fresh = store.add([photo("ann", 1), photo("carl", 2)], MODEL)
    assert [new.sha256 for new in fresh] == [photo("ann", 1).sha256]
    assert store.person_faces([1, 2, 3]).keys() == {2, 3}


def test_names_are_kept_apart(store: Store) -> None:
    store.add([photo("ann", 1), photo("bob", 2)], MODEL)
    with pytest.raises(PersonError, match="bob: this name is taken"):
        store.rename("ann", "bob")
    with pytest.raises(PersonError, match="carl: nobody of this name"):
        store.rename("carl", "dora")
    with pytest.raises(PersonError, match="carl: nobody"):
        store.remove("carl")
    with pytest.raises(PersonError, match="carl: nobody"):
        store.faces_of("carl")
    assert [person.name for person in store.people()] == ["ann", "bob"]


def test_who_has_how_many_photos_and_faces(store: Store) -> None:
    store.add([photo("ann", 1, faces=2), photo("bob", 2), photo("bob", 3), photo("carl", 4)], MODEL)
    store.add([photo("dora", 5, faces=3)], MODEL)
    assert store.with_two_photos({"ann", "bob", "carl", "eve"}) == {"bob"}
    assert store.with_two_faces_count() == 3
    assert store.with_faces_count() == 4
    store.remove("dora")
    assert store.with_two_faces_count() == 2
    assert store.with_faces_count() == 3
    assert store.face_totals(after=0, limit=2) == {1: 2, 2: 2}
    assert store.face_totals(after=2, limit=2) == {3: 1}
    assert store.enrolled({"ann", "dora", "eve"}) == {"ann"}
    assert store.photo_count() == 4


def test_many_names_are_asked_for_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "MOST_VARIABLES", 2)
    names = [f"person {number}" for number in range(7)]
    store.add([photo(name, 2 * n + k) for n, name in enumerate(names) for k in (0, 1)], MODEL)
    assert store.enrolled([*names, "nobody"]) == set(names)
    assert store.with_two_photos([*names, "nobody"]) == set(names)


def test_the_folders_of_photos_that_are_files(store: Store) -> None:
    files = ("/a/1.jpg", "/a/2.jpg", "/b/c/3.jpg", "sent.jpg")
    store.add([replace(photo("ann", n), path=Path(path)) for n, path in enumerate(files)], MODEL)
    assert store.photo_folders() == ["/a/", "/b/c/"]


def test_photos_that_are_enrolled_are_known_by_their_content(store: Store) -> None:
    shas = ["00000000000000aa" + 48 * "0", "00000000000000bb" + 48 * "1"]
    store.add([replace(photo("ann", n), sha256=sha) for n, sha in enumerate(shas)], MODEL)
    asked = np.array([0xAA, 0xAB, 0xBB], np.uint64)
    assert store.enrolled_content_keys(asked).tolist() == [0xAA, 0xBB]
    assert store.enrolled_content_keys(asked[:0]).tolist() == []


def test_a_damaged_name_is_an_error(store: Store) -> None:
    store.add([photo("ann", 1), photo("bob", 2)], MODEL)
    with store.database.append() as connection:
        change = schema.people.update().where(schema.people.c.id == 2).values(name="bab")
        connection.execute(change)
    for asked in (
        store.people,
        lambda: store.person("bab"),
        lambda: store.known([photo("", 2).sha256]),
    ):
        with pytest.raises(GalleryError, match="damaged: person 2 is not what was written"):
            asked()
    assert store.person("ann").faces == 1
