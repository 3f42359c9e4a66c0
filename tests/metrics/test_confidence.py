"""Bounds hold as often as they say."""

import math

import numpy as np
import pytest

from facesearch.metrics.confidence import (
    CONFIDENCE,
    most_errors,
    pair_rate_bound,
    smallest_rate,
)


def chance(errors: int, trials: int, rate: float) -> float:
    """That so many errors, or fewer, are seen."""
    return sum(
        math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(errors + 1)
    )


@pytest.mark.parametrize("trials", [1, 10, 298, 299, 1000])
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.5])
def test_most_errors_is_the_largest_count_that_proves_the_rate(trials: int, rate: float) -> None:
    most = most_errors(trials, rate)
    if most >= 0:
        assert chance(most, trials, rate) <= 1 - CONFIDENCE + 1e-9
    assert chance(most + 1, trials, rate) > 1 - CONFIDENCE


def test_the_smallest_rate_is_the_one_that_no_error_proves() -> None:
    for trials in (1, 50, 4700):
        assert most_errors(trials, smallest_rate(trials) * 1.001) == 0
        assert most_errors(trials, smallest_rate(trials) * 0.999) == -1
    assert smallest_rate(0) == 1


def test_the_bound_for_pairs_holds_for_19_draws_in_20() -> None:
    """Some people resemble everybody: their pairs are not independent."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        ease = rng.beta(1, 20, 60)
        draws = np.triu(rng.random((60, 60)) < np.sqrt(np.outer(ease, ease)), 1)
        matches = (draws + draws.T).sum(axis=1)
        truth = 0.03785  # the mean of sqrt(a b) over independent a and b: (E sqrt(a))^2
        held += pair_rate_bound(matches) >= truth
    assert held >= 0.9 * 200


def test_the_bound_lies_above_the_share() -> None:
    matches = np.array([0, 1, 1, 2])
    assert pair_rate_bound(matches) > matches.mean() / 3
    assert pair_rate_bound(np.zeros(10, np.int64)) == 0
