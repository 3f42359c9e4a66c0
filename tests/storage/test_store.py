"""The store keeps the faces that it was given, once each, whoever writes at the same time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from facesearch.core.errors import GalleryError
from facesearch.core.face import Box, Face
from facesearch.gallery.purge import purge
from facesearch.storage.records import ModelStamp
from facesearch.storage.store import Store
from tests.support.new_photos import MODEL, photo


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    """On either engine."""
    with closing(Store(where, create=True)) as store:
        yield store


def test_what_goes_in_comes_out(store: Store) -> None:
    assert store.model() is None
    store.add([photo("ann", 1), photo("ann", 2, faces=2), photo("bob", 3)], MODEL)
    assert store.model() == MODEL
    people = [(person.name, person.faces, person.photos) for person in store.people()]
    assert people == [("ann", 3, 2), ("bob", 1, 1)]
    _, people_of, vectors = store.vectors()
    assert people_of.tolist() == [1, 1, 1, 2]
    assert np.array_equal(vectors[0], photo("ann", 1).embeddings[0])
    assert np.array_equal(vectors[3], photo("bob", 3).embeddings[0])
    samples = store.person_faces([1, 2, 99])
    assert samples.keys() == {1, 2}
    assert samples[1].photos == [Path("/photos/1.jpg"), *[Path("/photos/2.jpg")] * 2]
    assert np.array_equal(samples[1].embeddings, vectors[:3])
    assert (samples[1].name, samples[1].flip_consistency) == ("ann", pytest.approx(0.92))
    (face,) = store.faces_of("bob")
    assert (face.name, face.photo, face.box) == ("bob", Path("/photos/3.jpg"), Box(1.5, 2, 30, 40))
    second = photo("ann", 2).sha256
    assert store.known([second, "0"]) == {second: {"ann"}}
    assert [face.number for face in store.faces_of("ann")] == [1, 2, 3]


def test_a_photo_is_enrolled_once(store: Store) -> None:
    store.add([photo("ann", 1)], MODEL)
    assert store.add([photo("bob", 1)], MODEL) == []
    fresh = store.add([photo("ann", 1), photo("ann", 2)], MODEL)
    assert [new.sha256 for new in fresh] == [photo("ann", 2).sha256]
    assert [person.name for person in store.people()] == ["ann"]


def test_faces_of_one_photo_are_enrolled_one_by_one(store: Store) -> None:
    first = photo("ann", 1)
    more = photo("bob", 1, faces=2)
    there, other = Face(Box(4, 3, 31, 40), (), 0.5), Face(Box(60, 2, 90, 40), (), 0.5)
    store.add([first], MODEL)
    (added,) = store.add([replace(more, faces=[there, other], chips=[b"a", b"b"])], MODEL)
    assert (added.faces, added.chips) == ([other], [b"b"])
    assert np.array_equal(added.embeddings, more.embeddings[1:])
    assert [face.box for face in store.faces_of("bob")] == [other.box]
    assert store.known([first.sha256]) == {first.sha256: {"ann", "bob"}}
    assert store.photo_count() == 1


def test_writers_who_race_for_a_face_enrol_it_once(where: Path | str) -> None:
    Store(where, create=True).close()
    together = Barrier(4)

    def enrol(name: str) -> int:
        with closing(Store(where, create=False)) as store:
            together.wait()
            return len(store.add([photo(name, number) for number in range(5)], MODEL))

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(enrol, ("ann", "bob", "carl", "dora")))
    assert sorted(counts) == [0, 0, 0, 5]
    with closing(Store(where, create=False)) as store:
        assert [person.faces for person in store.people()] == [5]


def test_paths_need_not_be_utf8(store: Store) -> None:
    odd = Path("/photos/caf\udce9.jpg")
    store.add([replace(photo("ann", 1), path=odd)], MODEL)
    assert store.faces_of("ann")[0].photo == odd


def test_two_models_do_not_mix(store: Store) -> None:
    store.add([photo("ann", 1)], MODEL)
    other = ModelStamp("other", "0" * 64, 64)
    with pytest.raises(GalleryError, match="another model, 'default'"):
        store.add([photo("bob", 2)], other)
    assert store.model() == MODEL
    store.remove("ann")
    assert store.model() == MODEL  # she can be brought back
    purge(store.database, "ann")
    assert store.model() is None
    store.add([photo("bob", 2)], other)  # nobody is left whose faces could be mixed up
    assert store.model() == other
