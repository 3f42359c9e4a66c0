"""Search is exact; the file is a cache that is only believed when it is whole and current."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.index.person_index import PersonIndex
from facesearch.storage.state import State

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


def test_changes_beside_a_file(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    """The same answers as an index that was made anew, whatever came and went."""
    path = tmp_path / "vectors.faiss"
    PersonIndex(np.arange(0, 80, 2), vectors[:40]).save(path, STATE)
    found = PersonIndex.load(path)
    assert found is not None
    index, _ = found
    truth = dict(zip(range(0, 80, 2), vectors[:40], strict=True))
    rng = np.random.default_rng(1)
    for _ in range(60):
        numbers = rng.choice(100, size=rng.integers(1, 8), replace=False)
        if rng.uniform() < 0.6:
            new = vectors[rng.integers(50, size=len(numbers))] + rng.normal(0, 0.01, (1, 128))
            new = (new / np.linalg.norm(new, axis=1, keepdims=True)).astype(np.float32)
            index.put(numbers, new)
            truth |= dict(zip(numbers.tolist(), new, strict=True))
        else:
            index.drop(numbers)
            truth = {number: one for number, one in truth.items() if number not in numbers}
        anew = PersonIndex(np.array(sorted(truth)), np.array([truth[n] for n in sorted(truth)]))
        assert len(index) == len(truth)
        assert index.numbers.tolist() == sorted(truth)
        assert np.array_equal(index.templates, anew.templates)
        asked = rng.permutation(sorted(truth))[:5]
        assert np.array_equal(index.of(asked), anew.of(asked))
        for count in (1, 3, 1000):
            ours, theirs = index.search(vectors[:4], count), anew.search(vectors[:4], count)
            assert ours[0].shape == theirs[0].shape
            assert np.allclose(ours[1], theirs[1], atol=1e-5)
    assert index.gone.tolist() == sorted({*range(0, 80, 2)} - truth.keys())
    gone = next(number for number in range(101) if number not in truth)
    with pytest.raises(KeyError):
        index.of(np.array([gone]))
    index.save(path, STATE)
    again = PersonIndex.load(path)
    assert again is not None
    assert np.array_equal(again[0].templates, index.templates)
    assert not again[0].changed


def test_threads_share_the_templates(
    vectors: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = PersonIndex(np.arange(50), vectors)
    whole = index.search(vectors[:5], 20)
    monkeypatch.setattr("facesearch.index.faiss_index.ROWS_PER_THREAD", 7)
    monkeypatch.setattr("faiss.omp_get_max_threads", lambda: 8)
    shared = index.search(vectors[:5], 20)
    assert np.array_equal(whole[0], shared[0])
    assert np.allclose(whole[1], shared[1], atol=1e-6)


def test_everybody_near_is_gone(vectors: NDArray[np.float32]) -> None:
    """However many rows lie before the first one that counts."""
    near = vectors[:1] + np.linspace(0, 0.01, 40)[:, None]
    templates = np.concatenate([near, vectors[1:]]).astype(np.float32)
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    index = PersonIndex(np.arange(len(templates)), templates)
    index.drop(np.arange(40))
    found, distances = index.search(vectors[:2], 3)
    assert found.min() >= 40
    slow = np.linalg.norm(vectors[:2, None] - templates[None, 40:], axis=2)
    assert np.allclose(distances, np.sort(slow, axis=1)[:, :3], atol=1e-3)
    index.drop(np.arange(len(templates)))
    assert index.search(vectors[:2], 3)[0].shape == (2, 0)
    assert index.dimension == 128  # people of another model cannot be put into it
    empty = PersonIndex(np.empty(0, np.int64), np.empty((0, 1), np.float32))
    assert empty.dimension == 0
    empty.put(np.array([7]), vectors[:1])
    assert empty.search(vectors[:1], 3)[0].tolist() == [[7]]


def test_a_mapped_file_may_be_replaced(tmp_path: Path, vectors: NDArray[np.float32]) -> None:
    path = tmp_path / "vectors.faiss"
    PersonIndex(np.arange(50), vectors).save(path, STATE)
    found = PersonIndex.load(path)
    assert found is not None
    PersonIndex(np.arange(3), vectors[:3]).save(path, State("bb", 8))
    assert np.array_equal(found[0].templates, vectors)
