"""Search is exact; the file is a cache that is only believed when it is whole and current."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.cache import State
from facesearch.index import PersonIndex

STATE = State("aa", 7)


@pytest.fixture
def vectors() -> NDArray[np.float32]:
    found = np.random.default_rng(0).normal(size=(50, 128)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_search_agrees_with_brute_force(vectors: NDArray[np.float32]) -> None:
    numbers = np.arange(50) * 3 + 7
    index = PersonIndex(numbers, vectors)
    query = vectors[:5] + 0.05
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    found, distances = index.search(query, 10)
    slow = np.linalg.norm(query[:, None] - vectors[None], axis=2)
    order = np.argsort(slow, axis=1)[:, :10]
    assert np.array_equal(found, numbers[order])
    assert np.allclose(distances, np.take_along_axis(slow, order, axis=1), atol=1e-3)


def test_more_neighbours_than_people(vectors: NDArray[np.float32]) -> None:
    found, distances = PersonIndex(np.arange(3), vectors[:3]).search(vectors[:2], 10)
    assert found.shape == distances.shape == (2, 3)
    empty = PersonIndex(np.empty(0, np.int64), np.empty((0, 128), np.float32))
    assert empty.search(vectors[:2], 10)[0].shape == (2, 0)


def test_the_file_is_believed_only_if_whole(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    path = tmp_path / "vectors.faiss"
    assert PersonIndex.load(path) is None
    PersonIndex(np.arange(50), vectors).save(path, STATE)
    assert [entry.name for entry in tmp_path.iterdir()] == ["vectors.faiss"]
    found = PersonIndex.load(path)
    assert found is not None
    assert found[1] == STATE
    assert np.array_equal(found[0].templates, vectors)
    assert found[0].search(vectors[4:5], 1)[0][0, 0] == 4
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], b"", b"x" * 1000, whole[1:]):
        path.unlink()
        path.write_bytes(damaged)
        assert PersonIndex.load(path) is None
    for at in np.random.default_rng(0).integers(len(whole.rstrip()), size=50).tolist():
        flipped = bytearray(whole)
        flipped[at] ^= 1 << at % 8
        path.unlink()
        path.write_bytes(flipped)
        assert PersonIndex.load(path) is None
