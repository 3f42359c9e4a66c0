"""The calibration that the tests of matching share."""

import pytest

from facesearch.matching.calibration import Calibration, calibrate
from tests.support.crowd import cohort


@pytest.fixture(scope="session")
def calibration() -> Calibration:
    """Of 300 invented people with three faces each."""
    return calibrate(cohort(300, 3, seed=0))
