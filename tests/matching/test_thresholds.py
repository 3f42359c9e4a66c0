"""A threshold keeps the rate that was asked for, or the rate is refused."""

import numpy as np
import pytest

from facesearch.core.errors import CalibrationError
from facesearch.core.templates import templates
from facesearch.gallery.impostor_search import impostor_scores_of
from facesearch.matching.calibration import Calibration, calibrate
from facesearch.matching.thresholds import ImpostorScores, threshold_to_compare, threshold_to_search
from facesearch.metrics.confidence import smallest_rate
from tests.support.crowd import cohort, crowd


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
