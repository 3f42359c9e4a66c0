"""Thresholds keep the rates they promise, and no rate is promised that the data cannot support."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.calibrate import Calibration, calibrate, fmr_for_gallery
from facesearch.decide import Candidate, decide, threshold_to_compare, threshold_to_search
from facesearch.errors import CalibrationError, ModelError
from facesearch.metrics import all_pairs


def crowd(people: int, photos: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Embeddings of invented people: a random place each, and photos scattered around it."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(people, 32))
    vectors = places[:, None] + rng.normal(0, 0.7, (people, photos, 32))
    vectors = vectors.reshape(-1, 32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), np.repeat(np.arange(people), photos)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(*crowd(300, 3, seed=0))


@pytest.mark.parametrize("fmr", [0.3, 0.1, 0.01, 0.001])
def test_a_promised_rate_holds_on_other_people(calibration: Calibration, fmr: float) -> None:
    _, impostor = all_pairs(*crowd(400, 3, seed=1))
    realised = float(np.mean(impostor <= calibration.threshold(fmr)))
    assert realised == pytest.approx(fmr, rel=0.35)


def test_thresholds_rise_with_the_rate(calibration: Calibration) -> None:
    assert list(calibration.rates) == sorted(calibration.rates)
    assert list(calibration.thresholds) == sorted(calibration.thresholds)


def test_unsupported_rates_are_refused(calibration: Calibration) -> None:
    people = 300 * 299 // 2
    assert calibration.impostor_people == people
    assert calibration.smallest_fmr == pytest.approx(30 / people)
    calibration.threshold(30 / people * 1.01)
    with pytest.raises(CalibrationError, match=r"support 0\.00067 and more"):
        calibration.threshold(30 / people * 0.99)
    for nonsense in (0, 1, -0.5, 2, float("nan")):
        with pytest.raises(CalibrationError, match="between 0 and 1"):
            calibration.threshold(nonsense)


def test_too_few_people_promise_nothing() -> None:
    small = calibrate(*crowd(5, 3, seed=0))
    assert small.rates == ()
    with pytest.raises(CalibrationError, match="no rate at all"):
        small.threshold(0.1)
    assert threshold_to_compare(small, None).distance == small.f1_threshold
    assert "too few" in threshold_to_compare(small, None).warning
    with pytest.raises(CalibrationError):
        threshold_to_compare(small, 0.01)
    for one_kind in (crowd(1, 5, seed=0), crowd(5, 1, seed=0)):
        with pytest.raises(CalibrationError, match="at least one genuine"):
            calibrate(*one_kind)


def test_a_larger_gallery_needs_a_stricter_threshold(calibration: Calibration) -> None:
    few = threshold_to_search(calibration, 0.05, 5)
    many = threshold_to_search(calibration, 0.05, 50)
    assert many.distance < few.distance
    assert few.distance == calibration.threshold(fmr_for_gallery(0.05, 5))
    with pytest.raises(CalibrationError, match=r"among 1000000 enrolled faces.*supports 1 and"):
        threshold_to_search(calibration, 0.05, 1_000_000)
    default = threshold_to_search(calibration, None, 1_000_000)
    assert default.distance == calibration.thresholds[0]
    assert "smallest false positive identification rate" in default.warning
    assert not threshold_to_search(calibration, None, 1).warning
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        threshold_to_search(calibration, 1.5, 10)


@pytest.mark.parametrize("comparisons", [1, 7, 1000])
def test_fmr_for_gallery_inverts_the_formula(comparisons: int) -> None:
    fmr = fmr_for_gallery(0.01, comparisons)
    assert 1 - (1 - fmr) ** comparisons == pytest.approx(0.01)


def test_probability_is_about_the_share_of_genuine_pairs(calibration: Calibration) -> None:
    genuine, impostor = all_pairs(*crowd(400, 3, seed=2))
    for low in np.arange(0.6, 1.4, 0.1):
        inside = (genuine > low) & (genuine <= low + 0.1)
        outside = (impostor > low) & (impostor <= low + 0.1)
        even = inside.mean() / max(inside.mean() + outside.mean(), 1e-9)
        if inside.sum() + outside.sum() > 50:
            assert calibration.probability(low + 0.05) == pytest.approx(even, abs=0.12)
    assert calibration.probability(0) > 0.99
    assert calibration.probability(2) < 0.01


def test_perfectly_separated_people_give_a_finite_map() -> None:
    vectors = np.repeat(np.eye(8, dtype=np.float32), 3, axis=0)
    found = calibrate(vectors, np.repeat(np.arange(8), 3))
    assert found.f1 == 1
    assert 0 < found.f1_threshold < np.sqrt(2)
    assert found.probability(0) > 0.9 > 0.1 > found.probability(1.41)


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


def test_the_four_answers(calibration: Calibration) -> None:
    def near(name: str, distance: float) -> Candidate:
        return Candidate(name, distance, Path(f"{name}.jpg"))

    limit = 0.8
    match = decide([near("ann", 0.3), near("bob", 1.2)], limit, calibration)
    assert (match.answer, match.name, match.distance) == ("match", "ann", 0.3)
    assert match.probability == calibration.probability(0.3)
    unknown = decide([near("ann", 0.81)], limit, calibration)
    assert (unknown.answer, unknown.name) == ("unknown", None)
    assert "0.810" in unknown.reason
    close = decide([near("ann", 0.50), near("bob", 0.51)], limit, calibration)
    assert (close.answer, close.name) == ("ambiguous", None)
    assert "ann" in close.reason
    assert "bob" in close.reason
    clear = decide([near("ann", 0.2), near("bob", 0.79)], limit, calibration)
    assert clear.answer == "match"
    assert decide([near("ann", limit)], limit, calibration).answer == "match"
    assert decide([], limit, calibration).answer == "unknown"
