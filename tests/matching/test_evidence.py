"""Probabilities are about the shares of genuine pairs, whatever the prior."""

import math

import numpy as np
import pytest

from facesearch.matching.calibration import Calibration, calibrate
from facesearch.matching.evidence import posterior, probability
from facesearch.metrics.pairs import all_pairs
from tests.support.crowd import cohort, crowd


def test_probability_is_about_the_share_of_genuine_pairs(calibration: Calibration) -> None:
    genuine, impostor = all_pairs(*crowd(400, 3, seed=2))
    for low in np.arange(0.6, 1.4, 0.1):
        inside = (genuine > low) & (genuine <= low + 0.1)
        outside = (impostor > low) & (impostor <= low + 0.1)
        even = inside.mean() / max(inside.mean() + outside.mean(), 1e-9)
        if inside.sum() + outside.sum() > 50:
            likely = probability(calibration.evidence.log_ratio(low + 0.05), 0.5)
            assert likely == pytest.approx(even, abs=0.12)
    assert probability(calibration.evidence.log_ratio(0), 0.5) > 0.99
    assert probability(calibration.evidence.log_ratio(2), 0.5) < 0.01


def test_more_photos_at_the_same_distance_are_weaker_evidence(calibration: Calibration) -> None:
    """Their mean lies nearer to everybody who belongs to it."""
    one, three = (calibration.evidence.log_ratio(0.9, 1.0, photos) for photos in (1, 3))
    assert three < one


def test_the_prior_moves_the_probability() -> None:
    assert probability(0, 0.3) == pytest.approx(0.3)
    assert probability(math.log(9), 0.5) == pytest.approx(0.9)
    assert probability(math.log(9), 0.1) == pytest.approx(0.5)
    assert probability(-1e4, 0.5) < 1e-300
    assert probability(1e4, 0.5) == 1


def test_posteriors_share_what_there_is() -> None:
    alone = posterior([math.log(99)], 1, 0.5)
    assert alone == [pytest.approx(0.99)]
    both = posterior([math.log(99), math.log(99)], 2, 0.5)
    assert both[0] == both[1] == pytest.approx(99 / 200)
    assert posterior([math.log(99)], 99, 0.5) == [pytest.approx(0.5)]
    assert posterior([5000.0, -5000.0], 10, 0.5) == [1, 0]


def test_perfectly_separated_people_give_a_finite_map() -> None:
    vectors = np.repeat(np.eye(8, dtype=np.float32), 3, axis=0)
    keys = np.arange(24, dtype=np.uint64)
    part = cohort(1, 1, 0).drawn(
        vectors, np.ones(24, np.float32), np.repeat(np.arange(8), 3), keys, "axes"
    )
    found = calibrate(part)
    assert found.f1 == 1
    assert 0 < found.f1_threshold < np.sqrt(2)
    likely = [probability(found.evidence.log_ratio(distance), 0.5) for distance in (0, 1.41)]
    assert likely[0] > 0.9 > 0.1 > likely[1]
