"""Few pairs of photos of a person lie as near as copies do."""

import numpy as np

from facesearch.matching.calibration import Calibration, calibrate
from facesearch.matching.duplicates import RARE, near_enough
from facesearch.metrics.pairs import all_pairs
from tests.support.crowd import cohort


def test_about_a_hundredth_of_the_genuine_pairs_is_near_enough(calibration: Calibration) -> None:
    part = cohort(300, 3, seed=0)
    genuine, _ = all_pairs(part.embeddings, part.people)
    limit = near_enough(calibration)
    assert RARE <= float(np.mean(genuine <= limit)) < 10 * RARE
    assert float(np.mean(genuine <= limit - 0.025)) <= RARE  # a bin less


def test_without_genuine_pairs_nothing_is_near_enough() -> None:
    both = calibrate(cohort(5, 1, seed=0, name="a").joined(cohort(40, 3, seed=1, name="b")))
    alone = calibrate(cohort(40, 3, seed=1, name="b"))
    assert near_enough(both) == near_enough(alone) > 0
