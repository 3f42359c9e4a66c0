"""Thresholds keep the rates they promise, and no rate is promised that the data cannot support."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import CalibrationError, ModelError
from facesearch.core.templates import templates
from facesearch.gallery.impostor_search import impostor_scores_of
from facesearch.matching.calibration import Calibration, calibrate
from facesearch.matching.decision import Candidate, decide
from facesearch.matching.evidence import posterior, probability
from facesearch.matching.thresholds import ImpostorScores, threshold_to_compare, threshold_to_search
from facesearch.metrics.confidence import pair_rate_bound, smallest_rate
from facesearch.metrics.pairs import all_pairs
from tests.support.crowd import cohort, crowd


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(cohort(300, 3, seed=0))


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


def test_a_default_that_cannot_be_promised_gives_way_with_a_warning() -> None:
    some = calibrate(cohort(60, 3, seed=0))
    assert 0.001 < some.smallest_fmr < 1
    limit = threshold_to_compare(some, None)
    assert limit.distance == some.strictest
    assert "smallest error" in limit.warning


@pytest.mark.parametrize("size", [1, 20, 200])
@pytest.mark.parametrize("photos", [1, 3])
def test_strangers_are_named_no_more_often_than_asked(size: int, photos: int) -> None:
    """Whatever the size of the gallery and the number of photos of each of its people."""
    vectors, people = crowd(size, photos, seed=7)
    enrolled = templates(vectors, people)
    none = np.empty(0, np.uint64)
    strangers = impostor_scores_of(cohort(2000, 1, seed=8), enrolled, none)
    others = impostor_scores_of(cohort(3000, 1, seed=9), enrolled, none)
    for fpir in (0.1, 0.01):
        realised = float(np.mean(others.distances <= strangers.threshold(fpir)))
        assert 0.4 * fpir < realised <= 1.2 * fpir
    assert strangers.smallest_fpir == smallest_rate(2000)


def test_a_larger_gallery_needs_a_stricter_threshold() -> None:
    part = cohort(500, 1, seed=8)
    vectors, people = crowd(400, 1, seed=7)
    none = np.empty(0, np.uint64)
    found = [
        impostor_scores_of(part, templates(vectors[:n], people[:n]), none).threshold(0.05)
        for n in (5, 50, 400)
    ]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 3


def test_people_of_the_cohort_who_are_enrolled_are_no_strangers() -> None:
    part = cohort(50, 2, seed=8)
    enrolled = part.embeddings[part.people == 7]
    everybody = impostor_scores_of(part, enrolled, np.empty(0, np.uint64))
    assert everybody.distances.min() < 0.01
    others = impostor_scores_of(part, enrolled, part.photos[part.photo_people == 7][:1])
    assert len(others) == 49
    assert others.distances.min() > 0.3


def test_the_strictest_population_of_strangers_counts() -> None:
    far, near = np.linspace(1, 2, 400), np.linspace(0.5, 1.5, 400)
    both = ImpostorScores(np.concatenate([far, near]), np.repeat([0, 1], 400))
    alone = ImpostorScores(near, np.zeros(400, np.int64))
    assert both.threshold(0.05) == alone.threshold(0.05)
    assert float(np.mean(near <= both.threshold(0.05))) <= 0.05


def test_rates_of_a_search_beyond_the_data(calibration: Calibration) -> None:
    few = ImpostorScores(np.linspace(0.5, 1.5, 100), np.zeros(100, np.int64))
    with pytest.raises(CalibrationError, match=r"100 strangers .* support 0\.03 and more"):
        threshold_to_search(calibration, few, 0.01)
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        threshold_to_search(calibration, few, 1.5)
    default = threshold_to_search(calibration, few, None)
    assert default.distance < 0.5
    assert "can promise here is 0.03" in default.warning
    assert not threshold_to_search(calibration, few, 0.1).warning
    nobody = ImpostorScores(np.empty(0), np.empty(0, np.int64))
    assert threshold_to_search(calibration, nobody, None).distance == calibration.strictest
    with pytest.raises(CalibrationError, match="0 strangers"):
        threshold_to_search(calibration, nobody, 0.5)


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


def test_the_four_answers() -> None:
    def near(name: str, distance: float) -> Candidate:
        return Candidate(name, distance, Path(f"{name}.jpg"), 8 - 10 * distance)

    limit = 0.8
    match = decide([near("ann", 0.3), near("bob", 1.2)], limit, 2)
    assert (match.answer, match.name, match.distance) == ("match", "ann", 0.3)
    assert match.probability == posterior([5, -4], 2, 0.5)[0]
    assert decide([near("ann", 0.3)], limit, 2, prior=0.01).probability == pytest.approx(
        posterior([5], 2, 0.01)[0]
    )
    unknown = decide([near("ann", 0.81)], limit, 2)
    assert (unknown.answer, unknown.name) == ("unknown", None)
    assert "0.810" in unknown.reason
    close = decide([near("ann", 0.50), near("bob", 0.51)], limit, 2)
    assert (close.answer, close.name) == ("ambiguous", None)
    assert "ann" in close.reason
    assert "bob" in close.reason
    clear = decide([near("ann", 0.2), near("bob", 0.79)], limit, 2)
    assert clear.answer == "match"
    assert decide([near("ann", limit)], limit, 2).answer == "match"
    assert decide([], limit, 0).answer == "unknown"
