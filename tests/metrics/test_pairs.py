"""Errors and thresholds agree with slow, obvious versions that try everything."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.metrics import pairs

Distances = NDArray[np.float64]


def drawn(seed: int, genuine: int = 40, impostor: int = 90) -> tuple[Distances, Distances]:
    """Overlapping distances, rounded so that there are ties."""
    rng = np.random.default_rng(seed)
    near = np.abs(rng.normal(0.7, 0.3, genuine)).round(1)
    far = np.abs(rng.normal(1.2, 0.3, impostor)).round(1)
    return near, far


@pytest.mark.parametrize("seed", range(5))
def test_error_rates_count_pairs(seed: int) -> None:
    genuine, impostor = drawn(seed)
    for threshold in np.arange(0, 2, 0.05):
        fmr, fnmr = pairs.error_rates(genuine, impostor, [threshold])[:, 0]
        assert fmr == pytest.approx(sum(d <= threshold for d in impostor) / len(impostor))
        assert fnmr == pytest.approx(sum(d > threshold for d in genuine) / len(genuine))


@pytest.mark.parametrize("fmr", [0.0, 0.01, 0.1, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_threshold_at_fmr_is_the_largest_that_keeps_the_rate(seed: int, fmr: float) -> None:
    _, impostor = drawn(seed)
    threshold = pairs.threshold_at_fmr(impostor, fmr)
    matched = sum(d <= threshold for d in impostor)
    assert matched <= fmr * len(impostor) + 1e-9
    beyond = [d for d in impostor if d > threshold]
    if beyond:
        assert sum(d <= min(beyond) for d in impostor) > fmr * len(impostor)


@pytest.mark.parametrize("seed", range(5))
def test_best_thresholds_beat_every_other(seed: int) -> None:
    genuine, impostor = drawn(seed, 60, 60)

    def f1(t: float) -> float:
        hits, false = sum(genuine <= t), sum(impostor <= t)
        return 2 * hits / (2 * hits + false + len(genuine) - hits)

    def right(t: float) -> int:
        return int(sum(genuine <= t) + sum(impostor > t))

    threshold, best = pairs.best_f1(genuine, impostor)
    everything = np.arange(-0.05, 2.1, 0.05)
    assert best == pytest.approx(max(f1(t) for t in everything))
    assert f1(threshold) == pytest.approx(best)
    accurate = pairs.best_accuracy_threshold(genuine, impostor)
    assert right(accurate) == max(right(t) for t in everything)


@pytest.mark.parametrize("seed", range(5))
def test_auc_is_the_chance_to_be_nearer(seed: int) -> None:
    genuine, impostor = drawn(seed)
    wins = sum((g < i) + (g == i) / 2 for g in genuine for i in impostor)
    assert pairs.auc(genuine, impostor) == pytest.approx(wins / len(genuine) / len(impostor))


def test_eer_where_it_is_known() -> None:
    grid = np.arange(100) / 100
    assert pairs.eer(grid, grid + 0.5) == pytest.approx(0.25, abs=0.01)
    assert pairs.eer(grid, grid + 2) == 0
    assert pairs.eer(grid, grid) == pytest.approx(0.5, abs=0.01)


def test_ten_folds_use_thresholds_of_the_others() -> None:
    rng = np.random.default_rng(1)
    same = np.tile([True] * 20 + [False] * 20, 10)
    fold = np.repeat(np.arange(10), 40)
    distance = np.where(same, rng.normal(0.8, 0.25, 400), rng.normal(1.2, 0.2, 400))
    result = pairs.evaluate_pairs(distance, same, fold, threshold=99)
    accuracies, thresholds, hits, called = [], [], 0, 0
    for current in range(10):
        others = sorted(distance[fold != current])
        middles = [(a + b) / 2 for a, b in pairwise(others)]
        truth = same[fold != current]
        right = [float(np.mean((distance[fold != current] <= t) == truth)) for t in middles]
        tried = middles[int(np.argmax(right))]  # of several as good, the strictest
        said = distance[fold == current] <= tried
        accuracies.append(np.mean(said == same[fold == current]))
        thresholds.append(tried)
        hits += int(np.sum(said & same[fold == current]))
        called += int(np.sum(said))
    assert result.pairs == 400
    assert result.accuracy == pytest.approx(np.mean(accuracies))
    assert result.accuracy_std == pytest.approx(np.std(accuracies))
    assert result.threshold == pytest.approx(np.mean(thresholds))
    assert result.f1 == pytest.approx(2 * hits / (called + 200))


def test_one_fold_uses_the_threshold_given() -> None:
    distance = np.array([0.2, 0.9, 1.0, 1.5])
    same = np.array([True, True, False, False])
    result = pairs.evaluate_pairs(distance, same, np.zeros(4, np.int64), 0.5)
    assert (result.accuracy, result.threshold, result.accuracy_std) == (0.75, 0.5, 0)
    assert result.f1 == pytest.approx(2 / 3)
    assert result.fnmr_at_fmr == dict.fromkeys(("0.01", "0.001", "0.0001"))  # of two impostor pairs


def test_error_at_a_rate_that_the_pairs_can_show() -> None:
    distance = np.r_[np.linspace(0, 1, 100), np.linspace(0.5, 1.5, 100)]
    same = np.arange(200) < 100
    result = pairs.evaluate_pairs(distance, same, np.zeros(200, np.int64), 0.5)
    threshold = sorted(distance[~same])[1]  # one of a hundred lies below it
    expected = np.mean(distance[same] >= threshold)
    assert result.fnmr_at_fmr["0.01"] == pytest.approx(expected)
    assert result.fnmr_at_fmr["0.001"] is None


def test_all_pairs_are_all_pairs() -> None:
    rng = np.random.default_rng(2)
    people = np.array([0] * 6 + [1] * 3 + [2])
    embeddings = rng.normal(size=(10, 8))
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    genuine, impostor = pairs.all_pairs(embeddings, people)
    slow: dict[bool, list[float]] = {True: [], False: []}
    for i in range(10):
        for j in range(i):
            apart = float(np.linalg.norm(embeddings[i] - embeddings[j]))
            slow[bool(people[i] == people[j])].append(apart)
    assert np.allclose(sorted(genuine), sorted(slow[True]), atol=1e-6)
    assert np.allclose(sorted(impostor), sorted(slow[False]), atol=1e-6)


def test_a_sample_lets_nobody_speak_for_all() -> None:
    counts = [40, 12, 3, 1, 1]
    people = np.random.default_rng(0).permutation(np.repeat(np.arange(5), counts))
    rows = pairs.sample(people, seed=0)
    assert np.bincount(people[rows]).tolist() == [12, 12, 3, 1, 1]
    assert len(set(rows.tolist())) == len(rows)
    assert np.array_equal(rows, pairs.sample(people, seed=0))
    assert not np.array_equal(rows, pairs.sample(people, seed=1))
    assert len(pairs.sample(np.empty(0, np.int64), seed=0)) == 0


def test_a_sample_fits_in_memory_and_takes_people_whole() -> None:
    people = np.repeat(np.arange(3000), 4)
    rows = pairs.sample(people, seed=0)
    assert len(rows) == pairs.MOST_FACES
    assert set(np.bincount(people[rows]).tolist()) == {0, 4}


def test_balanced_draws_as_many_impostors() -> None:
    distance, same = pairs.balanced(np.zeros(3), np.arange(1.0, 100.0), seed=0)
    assert len(distance) == 6
    assert same.tolist() == [True] * 3 + [False] * 3
    assert len(set(distance[3:])) == 3
