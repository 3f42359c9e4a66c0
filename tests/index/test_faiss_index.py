"""The nearest templates are those of a slow comparison; codes find most of them, and keep."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.index import faiss_index
from facesearch.index.faiss_index import IvfPqIndex, nearest, sampled
from facesearch.storage.state import State

STATE = State("aa", 7)


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    found = np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32)
    unit: NDArray[np.float32] = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("queries", [1, 5, 40])
@pytest.mark.parametrize("threads", [1, 8])
def test_the_nearest_are_those_of_a_slow_comparison(
    vectors: NDArray[np.float32], queries: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faiss_index, "ROWS_PER_THREAD", 7)
    monkeypatch.setattr("faiss.omp_get_max_threads", lambda: threads)
    asked = vectors[:queries]
    squared, rows = nearest(asked, vectors[50:], 20)
    slow = np.linalg.norm(asked[:, None] - vectors[None, 50:], axis=2) ** 2
    assert np.array_equal(rows, np.argsort(slow, axis=1)[:, :20])
    assert np.allclose(squared, np.sort(slow, axis=1)[:, :20], atol=1e-5)
    assert nearest(asked, vectors, 0)[1].shape == (queries, 0)


@pytest.fixture
def codes(vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch) -> IvfPqIndex:
    """Of people 1000 to 1399, with all cells looked into."""
    monkeypatch.setattr(faiss_index, "CELLS", 4)
    monkeypatch.setattr(faiss_index, "CELLS_SHARE", 1)
    monkeypatch.setattr(faiss_index, "CANDIDATES", 64)
    blocks = [vectors[at : at + 90] for at in range(0, 400, 90)]
    return IvfPqIndex.build(vectors, 1000 + np.arange(400), blocks)


def test_codes_find_candidates(codes: IvfPqIndex, vectors: NDArray[np.float32]) -> None:
    found = codes.candidates(vectors[:100])
    assert found.shape == (100, 64)
    own = (found == 1000 + np.arange(100)[:, None]).any(axis=1)
    assert own.mean() > 0.95
    assert codes.drop(np.array([1000, 1001, 5])) == 2, "one never was there"
    assert not np.isin([1000, 1001], codes.candidates(vectors[:100])).any()


def test_codes_are_kept_in_a_file(
    codes: IvfPqIndex, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    path = tmp_path / "codes.faiss"
    assert IvfPqIndex.load(path) is None
    codes.save(path, STATE)
    found = IvfPqIndex.load(path)
    assert found is not None
    assert found[1] == STATE
    assert np.array_equal(found[0].candidates(vectors[:9]), codes.candidates(vectors[:9]))
    path.write_bytes(path.read_bytes()[:-600])
    assert IvfPqIndex.load(path) is None


def test_codes_are_learned_from_the_same_people_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_index, "TRAINED_ON", 10)
    people = np.arange(0, 900, 9)
    drawn = sampled(people)
    assert len(drawn) == 10
    assert np.isin(drawn, people).all()
    assert np.array_equal(drawn, np.sort(drawn))
    assert np.array_equal(drawn, sampled(people))
