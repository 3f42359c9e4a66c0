"""Thresholds keep the rates they promise, and no rate is promised that the data cannot support."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import CalibrationError, ModelError
from facesearch.matching.calibration import Calibration, calibrate
from facesearch.matching.thresholds import threshold_to_compare
from facesearch.metrics.confidence import pair_rate_bound
from facesearch.metrics.pairs import all_pairs
from tests.support.crowd import cohort, crowd


@pytest.mark.parametrize("fmr", [0.3, 0.1, 0.01, 0.0015])
def test_a_promised_rate_holds_on_other_people(calibration: Calibration, fmr: float) -> None:
    _, impostor = all_pairs(*crowd(400, 3, seed=1))
    realised = float(np.mean(impostor <= calibration.threshold(fmr)))
    assert 0.4 * fmr < realised <= fmr


def test_thresholds_agree_with_a_slow_search() -> None:
    part = cohort(40, 1, seed=3)
    found = calibrate(part.joined(cohort(9, 3, seed=4, name="for genuine pairs"))).populations[0]
    distances = np.linalg.norm(part.embeddings[:, None] - part.embeddings[None], axis=2)
    assert len(found.rates) > 5
    for rate, threshold in zip(found.rates, found.thresholds, strict=True):
        matched = (distances <= threshold - 1e-6) & ~np.eye(40, dtype=bool)
        assert matched.sum() / 2 >= 30
        assert pair_rate_bound(matched.sum(axis=1)) == pytest.approx(rate)
    assert list(found.rates) == sorted(found.rates)
    assert list(found.thresholds) == sorted(found.thresholds)


def test_unsupported_rates_are_refused(calibration: Calibration) -> None:
    pairs = 300 * 299 // 2
    assert 30 / pairs < calibration.smallest_fmr < 2 * 30 / pairs
    calibration.threshold(calibration.smallest_fmr)
    with pytest.raises(CalibrationError, match=r"300 people .* support 0\.00\d+ and more"):
        calibration.threshold(30 / pairs)
    for nonsense in (0, 1, -0.5, 2, float("nan")):
        with pytest.raises(CalibrationError, match="between 0 and 1"):
            calibration.threshold(nonsense)


def test_a_promise_holds_for_every_population(calibration: Calibration) -> None:
    vectors, people = crowd(200, 3, seed=5)
    alike = vectors + 1.2 * vectors[0]  # people who resemble each other more
    alike /= np.linalg.norm(alike, axis=1, keepdims=True)
    keys = np.arange(len(people), dtype=np.uint64)
    twins = cohort(1, 1, 0).drawn(alike, np.ones(len(people), np.float32), people, keys, "alike")
    both = calibrate(cohort(300, 3, seed=0).joined(twins))
    assert both.threshold(0.01) == calibrate(twins).threshold(0.01) < calibration.threshold(0.01)
    assert both.smallest_fmr == max(part.rates[0] for part in both.populations)


def test_too_few_people_promise_nothing() -> None:
    small = calibrate(cohort(5, 3, seed=0))
    assert small.smallest_fmr == math.inf
    with pytest.raises(CalibrationError, match="no rate at all"):
        small.threshold(0.1)
    assert threshold_to_compare(small, None).distance == small.f1_threshold
    assert "too few" in threshold_to_compare(small, None).warning
    with pytest.raises(CalibrationError):
        threshold_to_compare(small, 0.01)
    for one_kind in (cohort(1, 5, seed=0), cohort(5, 1, seed=0)):
        with pytest.raises(CalibrationError, match="at least one genuine"):
            calibrate(one_kind)


def test_it_survives_the_disk(calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    calibration.save(path)
    assert Calibration.load(path) == calibration
    for content in ("", "[]", '{"people": 1}', json.dumps({"nonsense": 1})):
        path.write_text(content)
        with pytest.raises(ModelError, match="damaged"):
            Calibration.load(path)
    with pytest.raises(ModelError, match="missing"):
        Calibration.load(tmp_path / "nowhere.json")
