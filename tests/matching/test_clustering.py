"""Groups are those of average linkage, told in a useful order."""

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.matching.clustering import average_linkage, groups
from tests.support.invented import faces_of


def slow_linkage(vectors: NDArray[np.float32], limit: float) -> list[set[int]]:
    """By the definition: of all pairs of groups the nearest are joined, as long as they may be."""
    parts = [{row} for row in range(len(vectors))]
    squared = 2 - 2 * vectors.astype(np.float64) @ vectors.T
    while len(parts) > 1:
        pairs = [(a, b) for a in range(len(parts)) for b in range(a)]
        means = [squared[np.ix_(sorted(parts[a]), sorted(parts[b]))].mean() for a, b in pairs]
        best = int(np.argmin(means))
        if means[best] > limit * limit:
            break
        a, b = pairs[best]
        parts[b] |= parts.pop(a)
    return sorted(parts, key=min)


@pytest.mark.parametrize("seed", range(4))
def test_linkage_is_what_its_definition_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = np.concatenate([faces_of(20 * seed + p, int(rng.integers(1, 7))) for p in range(12)])
    vectors = vectors[rng.permutation(len(vectors))]
    for limit in (0.2, 0.28, 0.4, 0.66, 2.0):
        labels = average_linkage(vectors, limit)
        found = [set(np.flatnonzero(labels == one).tolist()) for one in range(labels.max() + 1)]
        assert sorted(found, key=min) == slow_linkage(vectors, limit)


def test_no_chains() -> None:
    """Steps from one person to another do not make them one, as single linkage would have it."""
    ends = np.stack([faces_of(0, 1)[0], faces_of(1, 1)[0]])
    share = np.linspace(0, 1, 9)[:, None]
    steps = (1 - share) * ends[0] + share * ends[1]
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    labels = average_linkage(steps.astype(np.float32), 0.2)
    assert labels[0] != labels[-1]
    assert np.linalg.norm(np.diff(steps, axis=0), axis=1).max() < 0.2


def test_groups_are_told_largest_first_with_the_most_typical_face() -> None:
    people = [faces_of(1, 3), faces_of(2, 6), faces_of(3, 1)]
    found = groups(np.concatenate(people), 0.4)
    assert [sorted(group.rows.tolist()) for group in found] == [
        list(range(3, 9)),
        [0, 1, 2],
        [9],
    ]
    mean = people[1].mean(axis=0)
    assert found[0].rows[0] == 3 + int((people[1] @ mean).argmax())
    pairs = [np.sum((people[0][a] - people[0][b]) ** 2) for a in range(3) for b in range(a)]
    assert found[1].spread == pytest.approx(np.sqrt(np.mean(pairs)), abs=1e-3)
    assert found[2].spread == 0
    assert groups(np.empty((0, 128), np.float32), 0.4) == []
