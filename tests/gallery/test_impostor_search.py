"""The strangers to a gallery, kept while it changes, are those that are counted from nothing."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.paths import COHORT
from facesearch.core.templates import templates
from facesearch.gallery.impostor_search import (
    NearestPeople,
    impostor_scores,
    impostor_scores_of,
)
from facesearch.index.local_index import LocalIndex
from facesearch.matching.cohort import Cohort
from facesearch.matching.thresholds import ImpostorScores
from facesearch.storage import cache_file
from facesearch.storage.records import ModelStamp
from facesearch.storage.store import Store
from robustness.flips import photo
from tests.support.crowd import cohort, crowd

MODEL = ModelStamp("default", "f" * 64, 32)


class Folder:
    """All that is asked of a model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder


def anew(store: Store, people: Cohort) -> ImpostorScores:
    _, owners, embeddings = store.vectors()
    _, numbers = np.unique(owners, return_inverse=True)
    return impostor_scores_of(
        people, templates(embeddings, numbers), store.enrolled_content_keys(people.photos)
    )


def test_the_nearest_is_that_of_brute_force() -> None:
    vectors, owners = crowd(300, 2, seed=1)
    enrolled = templates(vectors, owners)
    part = cohort(1500, 2, seed=2)
    found = impostor_scores_of(part, enrolled, np.empty(0, np.uint64))
    faces = part.embeddings[part.firsts]
    slow = np.array([np.linalg.norm(enrolled - face, axis=1).min() for face in faces])
    assert np.allclose(found.distances, slow, atol=1e-5)
    assert np.array_equal(found.populations, part.populations[part.firsts])


def test_kept_and_updated_they_are_those_counted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = cohort(200, 2, seed=3)
    model = Folder(tmp_path)
    part.save(tmp_path / COHORT)
    part = Cohort.load(tmp_path / COHORT)
    updated: list[int] = []
    update = NearestPeople.updated
    monkeypatch.setattr(
        NearestPeople, "updated", lambda *given: updated.append(1) or update(*given)
    )
    with closing(Store(tmp_path / "gallery", create=True)) as store:
        following = LocalIndex(store)
        store.add([photo(person, 0, 32) for person in range(40)], MODEL)
        known = replace(photo(50, 0, 32), sha256=f"{int(part.photos[7]):016x}".ljust(64, "0"))
        for step in (
            lambda: None,
            lambda: store.add([photo(person, 0, 32) for person in range(40, 50)], MODEL),
            lambda: store.add([photo(person, 1, 32) for person in range(0, 40, 3)], MODEL),
            lambda: [store.remove(f"Person {person}") for person in (1, 5, 44)],
            lambda: store.add([known], MODEL),
            lambda: store.rename("Person 2", "another"),
            lambda: store.remove("Person 50"),
        ):
            step()
            found = impostor_scores(store, following, model)  # type: ignore[arg-type]
            wanted = anew(store, part)
            assert np.allclose(found.distances, wanted.distances, atol=1e-6)
            assert np.array_equal(found.populations, wanted.populations)
            kept = impostor_scores(store, LocalIndex(store), model)  # type: ignore[arg-type]
            assert np.array_equal(found.distances, kept.distances)
        assert len(updated) == 6  # only the first was counted from nothing
        path = tmp_path / "gallery" / cache_file.STRANGERS
        content = bytearray(path.read_bytes())
        content[99] ^= 4
        path.write_bytes(content)
        again = impostor_scores(store, following, model)  # type: ignore[arg-type]
        assert np.allclose(again.distances, wanted.distances, atol=1e-6)
        assert len(updated) == 6
