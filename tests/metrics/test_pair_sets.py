"""Figures of pairs agree with loops over every pair, also when people are drawn several times."""

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.metrics.pair_sets import AllPairs, ListedPairs
from facesearch.metrics.pairs import NEVER, judge

Drawn = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]
Slow = tuple[list[float], list[float]]  # genuine, impostor distances

THRESHOLD = 1.1


def drawn(seed: int, people: int = 12) -> Drawn:
    """Embeddings of people with one to six photos in no order, some of them without a face."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.repeat(np.arange(people), rng.integers(1, 7, people)))
    centres = rng.normal(size=(people, 16))
    embeddings = centres[who] + rng.normal(size=(len(who), 16))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    found = rng.random(len(who)) > 0.15
    embeddings[~found] = 0
    return embeddings.astype(np.float32), who, found


def distance(data: Drawn, i: int, j: int) -> float:
    embeddings, _, found = data
    if not (found[i] and found[j]):
        return NEVER
    return float(np.linalg.norm(embeddings[i].astype(float) - embeddings[j]))


def repeated(data: Drawn, times: NDArray[np.int64]) -> Iterator[tuple[int, int, bool]]:
    """Every pair of photos, the people literally repeated; a person and a copy are no pair."""
    _, who, _ = data
    copies = [(photo, copy) for photo in range(len(who)) for copy in range(times[who[photo]])]
    for number, (i, first) in enumerate(copies):
        for j, second in copies[:number]:
            if who[i] != who[j]:
                yield i, j, False
            elif first == second:
                yield i, j, True


def slow_auc(genuine: list[float], impostor: list[float]) -> float:
    wins = sum((g < i) + (g == i) / 2 for g in genuine for i in impostor)
    return wins / len(genuine) / len(impostor)


def slow_fnmr(genuine: list[float], impostor: list[float], fmr: float) -> float:
    best = 1.0
    for threshold in [-1.0, *genuine, *impostor]:
        if sum(d <= threshold for d in impostor) <= fmr * len(impostor):
            best = min(best, sum(d > threshold for d in genuine) / len(genuine))
    return best


def slow_eer(genuine: list[float], impostor: list[float]) -> tuple[float, float]:
    """The tightest bounds that single thresholds give."""
    low, high = 0.0, 1.0
    for threshold in [-1.0, *genuine, *impostor]:
        fmr = sum(d <= threshold for d in impostor) / len(impostor)
        fnmr = sum(d > threshold for d in genuine) / len(genuine)
        low, high = max(low, min(fmr, fnmr)), min(high, max(fmr, fnmr))
    return low, high


def judged(genuine: list[float], impostor: list[float]) -> tuple[float, float]:
    """Accuracy and F1 with both kinds of pairs weighing alike."""
    hits = sum(d <= THRESHOLD for d in genuine) / len(genuine)
    false = sum(d <= THRESHOLD for d in impostor) / len(impostor)
    return (hits + 1 - false) / 2, 2 * hits / (hits + false + 1)


@pytest.mark.parametrize("seed", range(3))
def test_all_pairs_agree_with_loops(seed: int) -> None:
    data = drawn(seed)
    pairs = AllPairs(*data, THRESHOLD)
    everybody = np.ones(12, np.int64)
    for times in (everybody, np.random.default_rng(seed).multinomial(12, everybody / 12)):
        slow: Slow = [], []
        for i, j, same in repeated(data, times):
            slow[not same].append(distance(data, i, j))
        tally = pairs.tally(times.astype(float))
        assert (tally.genuine.sum(), tally.impostor.sum()) == tuple(map(len, slow))
        accuracy, f1, auc, eer, *fnmr = pairs.figures(times.astype(float))
        assert (accuracy, f1) == pytest.approx(judged(*slow))
        assert auc == pytest.approx(slow_auc(*slow), abs=1e-3)  # rounded distances can tie
        low, high = slow_eer(*slow)
        assert low - 1e-3 <= eer <= high + 1e-3
        assert fnmr == pytest.approx([slow_fnmr(*slow, rate) for rate in (0.01, 0.001, 0.0001)])
    assert pairs.figures() == pairs.figures(everybody.astype(float))
    alike = AllPairs(*data, THRESHOLD, kept=10**6)
    assert alike.figures() == pairs.figures()


def test_a_sample_of_the_far_pairs_stands_for_all_of_them() -> None:
    embeddings, who, found = drawn(5, people=150)
    exact = AllPairs(embeddings, who, found, THRESHOLD)
    sampled = AllPairs(embeddings, who, found, THRESHOLD, kept=40_000)
    assert exact.figures() == sampled.figures()
    rng = np.random.default_rng(0)
    for _ in range(5):
        weights = rng.multinomial(150, np.full(150, 1 / 150)).astype(float)
        full, part = exact.tally(weights), sampled.tally(weights)
        assert part.impostor.sum() == pytest.approx(full.impostor.sum())
        assert np.array_equal(part.impostor[-1], full.impostor[-1])
        assert sampled.figures(weights)[-3:] == exact.figures(weights)[-3:]  # the near pairs
        assert sampled.figures(weights) == pytest.approx(exact.figures(weights), abs=0.01)


@pytest.mark.parametrize("folds", [1, 10])
def test_a_list_agrees_with_people_repeated(folds: int) -> None:
    """The decisions made on the list are weighed anew, not made anew."""
    data = drawn(7, people=15)
    _, who, _ = data
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, len(who), (2, 300))
    a, b = a[a != b], b[a != b]
    same = who[a] == who[b]
    fold = np.arange(len(a)) % folds
    apart = np.array([distance(data, i, j) for i, j in zip(a, b, strict=True)])
    decided = judge(apart, same, fold, THRESHOLD)
    listed = ListedPairs(apart, same, decided, who[a], who[b])
    times = rng.multinomial(15, np.full(15, 1 / 15))
    slow: Slow = [], []
    right, hits, said = 0, 0, 0
    for d, is_same, accepted, i, j in zip(
        apart, same, decided.accepted, who[a], who[b], strict=True
    ):
        for copy in range(times[i]):
            for other in range(times[j]):
                if is_same and copy != other:
                    continue
                slow[not is_same].append(float(d))
                right += accepted == is_same
                hits += bool(accepted and is_same)
                said += bool(accepted)
    accuracy, f1, auc, eer, *fnmr = listed.figures(times.astype(float))
    assert accuracy == pytest.approx(right / sum(map(len, slow)))
    assert f1 == pytest.approx(2 * hits / (said + len(slow[0])))
    assert auc == pytest.approx(slow_auc(*slow))
    low, high = slow_eer(*slow)
    assert low - 1e-9 <= eer <= high + 1e-9
    assert fnmr == pytest.approx([slow_fnmr(*slow, rate) for rate in (0.01, 0.001, 0.0001)])


def test_photos_without_a_face_stay_in_the_denominators() -> None:
    embeddings = np.eye(4, dtype=np.float32)[[0, 0, 0, 1, 1]]
    who, found = np.array([0, 0, 0, 1, 1]), np.array([True, True, False, True, False])
    pairs = AllPairs(embeddings * found[:, None], who, found, THRESHOLD)
    tally = pairs.tally()
    assert (tally.genuine.sum(), tally.impostor.sum()) == (4, 6)
    assert (tally.genuine[-1], tally.impostor[-1]) == (3, 4)
    accuracy, _, _, _, *fnmr = pairs.figures()
    assert accuracy == pytest.approx((1 / 4 + 1) / 2)
    assert fnmr == [3 / 4] * 3


def test_draws_without_a_pair_of_one_kind_have_no_figures() -> None:
    embeddings, who, found = np.eye(4, dtype=np.float32), np.array([0, 0, 1, 2]), np.ones(4, bool)
    pairs = AllPairs(embeddings, who, found, THRESHOLD)
    assert np.isnan(pairs.figures(np.array([3.0, 0, 0]))).all()
    assert np.isnan(pairs.figures(np.array([0, 2.0, 1]))).all()
