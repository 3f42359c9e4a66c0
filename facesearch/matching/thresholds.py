"""Which threshold keeps an error rate: for one comparison, and for a search of a gallery."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Distances
from facesearch.core.errors import CalibrationError
from facesearch.core.words import plural
from facesearch.matching.calibration import Calibration
from facesearch.metrics.confidence import most_errors, smallest_rate

DEFAULT_FMR = 0.001  # false match rate of a comparison
DEFAULT_FPIR = 0.01  # false positive identification rate of a search


@dataclass(frozen=True, slots=True)
class Threshold:
    """The largest distance at which two faces count as one person's."""

    distance: float
    warning: str = ""  # where it keeps another error rate than the default one


@dataclass(frozen=True, slots=True)
class ImpostorScores:
    """How near strangers come to one gallery: one face of each person of a cohort, searched in it.

    No formula takes a rate from one comparison to many. So the strangers are searched in the very
    gallery that is asked about, with its number of people and of photos of each.
    """

    distances: Distances  # from each stranger to the nearest person of the gallery, (P,)
    populations: NDArray[np.int64]  # the population of each stranger, (P,)

    def by_population(self) -> list[Distances]:
        """The distances of each population, ascending."""
        return [
            np.sort(self.distances[self.populations == number])
            for number in np.unique(self.populations)
        ]

    @property
    def smallest_fpir(self) -> float:
        """The smallest rate that can be promised for every population."""
        return max((smallest_rate(len(part)) for part in self.by_population()), default=1.0)

    def __len__(self) -> int:
        return len(self.distances)

    def threshold(self, fpir: float) -> float:
        """The largest distance at which at most `fpir` of all strangers are given a name.

        It holds with 95 % confidence, for strangers like those of each population. For a rate below
        `smallest_fpir` it is the largest distance at which no stranger of the cohort gets a name.
        Needs at least one stranger.
        """
        found = []
        for part in self.by_population():
            errors = max(0, most_errors(len(part), fpir))
            found.append(
                float(part[-1]) if errors >= len(part) else np.nextafter(part[errors], -np.inf)
            )
        return float(min(found))


def threshold_to_compare(calibration: Calibration, fmr: float | None) -> Threshold:
    """The threshold for one comparison with a false match rate of `fmr`, by default DEFAULT_FMR.

    Where the model cannot promise the default rate, the threshold is the strictest that it knows,
    with a warning. Raises CalibrationError for an `fmr` that it cannot promise.
    """
    if fmr is not None or calibration.smallest_fmr <= DEFAULT_FMR:
        return Threshold(calibration.threshold(DEFAULT_FMR if fmr is None else fmr))
    return _strictest(calibration, "false match rate")


def threshold_to_search(
    calibration: Calibration, strangers: ImpostorScores, fpir: float | None
) -> Threshold:
    """The threshold for a search of the gallery in which `strangers` were searched.

    fpir: the accepted false positive identification rate, by default DEFAULT_FPIR. Where the
    strangers are too few to promise the default rate, the threshold is that of the smallest rate
    they can promise, with a warning. Raises CalibrationError for an `fpir` that they cannot.
    """
    rate = "false positive identification rate"
    smallest = strangers.smallest_fpir
    if fpir is not None:
        if not 0 < fpir < 1:
            raise CalibrationError(f"a {rate} lies between 0 and 1, not at {fpir:g}")
        if fpir < smallest:
            raise CalibrationError(
                f"no threshold can be promised for a {rate} of {fpir:.2g}: the {len(strangers):,} "
                f"strangers behind this calibration support {_up(smallest)} and more; calibrate "
                "with more people"
            )
        return Threshold(strangers.threshold(fpir))
    if not len(strangers):
        return _strictest(calibration, rate)
    warning = ""
    if smallest > DEFAULT_FPIR:
        warning = f"the smallest {rate} that this model can promise here is {_up(smallest)}"
        warning += "; its threshold is used"
    return Threshold(strangers.threshold(DEFAULT_FPIR), warning)


def _strictest(calibration: Calibration, rate: str) -> Threshold:
    """The strictest threshold known, where the default error rate cannot be promised."""
    if calibration.smallest_fmr < 1:
        promised = f"a false match rate of {_up(calibration.smallest_fmr)}"
        return Threshold(
            calibration.strictest,
            f"the smallest error that this model can promise is {promised}; its threshold is used",
        )
    people = plural(calibration.people, "person", "people")
    return Threshold(
        calibration.f1_threshold,
        f"this model was calibrated on {people}, too few to know a {rate}; "
        "the threshold is that of the best F1",
    )


def _up(rate: float) -> str:
    """The rate in two digits, rounded up, so that it is no smaller than what is supported."""
    digits = 1 - math.floor(math.log10(rate))
    return f"{math.ceil(rate * 10**digits - 1e-9) / 10**digits:.2g}"
