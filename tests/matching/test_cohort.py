"""The people behind a calibration: who is taken, joined, kept, and known again."""

from pathlib import Path

import numpy as np
import pytest

from facesearch.core.arrays import content_key
from facesearch.core.errors import ModelError
from facesearch.matching import cohort as module
from facesearch.matching.cohort import Cohort
from tests.support.crowd import cohort


def test_nobody_speaks_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PEOPLE", 3)
    found = cohort(people=5, photos=9, seed=0)
    assert np.bincount(found.people).tolist() == [4, 4, 4]
    assert np.bincount(found.photo_people).tolist() == [9, 9, 9]  # every photo is known again
    assert found.people[found.firsts].tolist() == [0, 1, 2]


def test_joined_populations_stay_apart() -> None:
    both = cohort(4, 2, seed=1, name="a").joined(cohort(3, 2, seed=2, name="b"))
    assert both.names == ("a", "b")
    assert np.bincount(both.populations).tolist() == [8, 6]
    assert len(both.firsts) == 7
    assert len(set(both.photo_people.tolist())) == 7
    part = both.of(1)
    assert np.array_equal(part.embeddings, cohort(3, 2, seed=2).embeddings)
    assert part.people.tolist() == [0, 0, 1, 1, 2, 2]
    assert sorted(part.photos.tolist()) == list(range(2000, 2006))


def test_a_population_of_the_same_name_is_replaced() -> None:
    old = cohort(4, 2, seed=1, name="a").joined(cohort(3, 2, seed=2, name="b"))
    new = old.joined(cohort(5, 1, seed=3, name="a"))
    assert new.names == ("b", "a")
    assert np.bincount(new.populations).tolist() == [6, 5]
    assert np.array_equal(new.of(0).embeddings, old.of(1).embeddings)
    assert new.people.tolist() == [0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7]


def test_it_survives_the_disk(tmp_path: Path) -> None:
    before = cohort(4, 3, seed=1, name="a b").joined(cohort(3, 2, seed=2, name="é"))
    path = tmp_path / "cohort.safetensors"
    before.save(path)
    after = Cohort.load(path)
    assert np.abs(after.embeddings - before.embeddings).max() < 1e-3
    assert np.allclose(np.linalg.norm(after.embeddings, axis=1), 1, atol=1e-6)
    for part in ("people", "populations", "photos", "photo_people"):
        assert np.array_equal(getattr(after, part), getattr(before, part))
    assert after.names == ("a b", "é")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ModelError, match="damaged"):
        Cohort.load(path)
    with pytest.raises(ModelError, match="missing"):
        Cohort.load(tmp_path / "nowhere")


def test_content_keys_fit_in_64_bits() -> None:
    assert content_key("f" * 64) == 2**64 - 1
    assert content_key("0" * 15 + "1" + "f" * 48) == 1
