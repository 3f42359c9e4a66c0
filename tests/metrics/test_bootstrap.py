"""Intervals are percentiles over people drawn again, and cover what they should."""

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.metrics.bootstrap import intervals


def test_percentiles_of_the_replicates() -> None:
    seen: list[NDArray[np.float64]] = []

    def figures(weights: NDArray[np.float64]) -> list[float]:
        seen.append(weights)
        return [float(weights[0]), float("nan")]

    first, second = intervals(figures, 5, replicates=100, seed=3)
    assert all(weights.sum() == 5 for weights in seen)
    assert first == pytest.approx(np.quantile([weights[0] for weights in seen], [0.025, 0.975]))
    assert second is None
    assert intervals(figures, 5, replicates=100, seed=3)[0] == first
    assert len(seen) == 200


def test_a_figure_that_some_draws_lack() -> None:
    def figures(weights: NDArray[np.float64]) -> list[float]:
        return [1.0 if weights[0] else float("nan"), 1.0 if weights[0] > 1 else float("nan")]

    assert intervals(figures, 50) == [(1.0, 1.0), None]  # two thirds have the first


def test_intervals_cover_what_people_share() -> None:
    """The mean over the pairs of people who differ, where pairs alone would claim far too much."""
    covered, too_narrow = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        hard = rng.normal(0, 1, 40)  # a figure of each person, its mean over all people is 0
        values = hard[:, None] + rng.normal(0, 0.3, (40, 10))

        def figures(
            weights: NDArray[np.float64], values: NDArray[np.float64] = values
        ) -> list[float]:
            return [float((weights[:, None] * values).sum() / weights.sum() / 10)]

        (interval,) = intervals(figures, 40, replicates=100, seed=seed)
        assert interval is not None
        covered += interval[0] <= 0 <= interval[1]
        too_narrow += abs(values.mean()) > 1.96 * values.std() / 20
    assert covered >= 52
    assert too_narrow > 20
