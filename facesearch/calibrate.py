"""From an error that the user accepts to a threshold, and from a distance to a probability."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesearch.errors import CalibrationError, ModelError
from facesearch.metrics import (
    Distances,
    all_pairs,
    balanced,
    best_f1,
    sample,
    threshold_at_fmr,
)
from facesearch.model import CALIBRATION, Model

RULE_OF_30 = 30  # false matches that must have been seen before a rate is promised
DEFAULT_FMR, DEFAULT_FPIR = 0.001, 0.01


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the distances of one model mean, measured on people whom its training never saw."""

    people: int
    photos: int
    genuine_pairs: int
    impostor_pairs: int
    impostor_people: int  # pairs of different people behind the impostor pairs
    f1_threshold: float
    f1: float  # with as many impostor pairs as genuine ones
    rates: tuple[float, ...]  # false match rates, ascending, and the threshold that gives each
    thresholds: tuple[float, ...]
    intercept: float  # log odds of one person, at even prior odds: intercept - slope * distance
    slope: float
    bins: tuple[float, ...]  # edges of the histograms
    genuine_histogram: tuple[int, ...]
    impostor_histogram: tuple[int, ...]

    @property
    def smallest_fmr(self) -> float:
        """The smallest false match rate that the data supports; above 1 if it supports none."""
        return RULE_OF_30 / max(1, self.impostor_people)

    def threshold(self, fmr: float) -> float:
        """The largest threshold measured to give at most the false match rate `fmr`.

        Raises CalibrationError for a rate that the data cannot support.
        """
        if not 0 < fmr < 1:
            raise CalibrationError(f"a false match rate lies between 0 and 1, not at {fmr:g}")
        known = [at for rate, at in zip(self.rates, self.thresholds, strict=True) if rate <= fmr]
        if not known:
            raise CalibrationError(
                f"no threshold can be promised for a false match rate of {fmr:.2g}: the "
                f"{self.people} people behind this calibration support "
                + (f"{self.rates[0]:.2g} and more" if self.rates else "no rate at all")
            )
        return known[-1]

    def log_odds(self, distance: float) -> float:
        """Natural logarithm of the odds that two faces are one person, at even prior odds."""
        return self.intercept - self.slope * distance

    def probability(self, distance: float) -> float:
        """The probability that two faces are one person, at even prior odds."""
        return 1 / (1 + math.exp(min(-self.log_odds(distance), 700)))

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Raises ModelError if the file is missing or damaged."""
        try:
            fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
            for name, value in fields.items():
                fields[name] = tuple(value) if isinstance(value, list) else value
            return cls(**fields)
        except FileNotFoundError as error:
            raise ModelError(f"{path}: missing, so that no threshold is known") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(f"{path}: damaged ({error})") from error


def calibration_of(model: Model) -> Calibration:
    """The calibration that came with a model. Raises ModelError."""
    return Calibration.load(model.folder / CALIBRATION)


def calibrate(
    embeddings: NDArray[np.float32], people: NDArray[np.int64], seed: int = 0
) -> Calibration:
    """Measure thresholds on faces of known people.

    embeddings: unit vectors, (N, D). people: who is on each, (N,). Of many a `sample` is measured.
    A false match rate is tabulated if the pairs of different people are enough to expect 30 false
    matches at it (Doddington et al., Speech Communication 31, 2000: with 30 errors seen, the true
    rate lies within 30 % of the measured one with 90 % confidence); photos of one pair of people
    are not independent, so that pairs of people are counted rather than pairs of photos.
    Raises CalibrationError without a genuine or an impostor pair.
    """
    rows = sample(people, seed)
    embeddings, people = embeddings[rows], people[rows]
    genuine, impostor = all_pairs(embeddings, people)
    if not len(genuine) or not len(impostor):
        raise CalibrationError("calibration needs at least one genuine and one impostor pair")
    count = len(np.unique(people))
    pairs_of_people = count * (count - 1) // 2
    distance, same = balanced(genuine, impostor, seed)
    f1_threshold, f1 = best_f1(distance[same], distance[~same])
    smallest = RULE_OF_30 / pairs_of_people
    rates: list[float] = []
    if smallest < 0.5:
        rates = np.geomspace(smallest, 0.5, 1 + math.ceil(40 * math.log10(0.5 / smallest))).tolist()
        rates = sorted({*rates, *(rate for rate in (0.1, 0.01, 1e-3, 1e-4) if rate >= smallest)})
    intercept, slope = _logistic(genuine, impostor)
    bins = np.linspace(0, 2, 81)
    return Calibration(
        people=count,
        photos=len(people),
        genuine_pairs=len(genuine),
        impostor_pairs=len(impostor),
        impostor_people=pairs_of_people,
        f1_threshold=f1_threshold,
        f1=f1,
        rates=tuple(rates),
        thresholds=tuple(threshold_at_fmr(impostor, rate) for rate in rates),
        intercept=intercept,
        slope=slope,
        bins=tuple(bins.round(3).tolist()),
        genuine_histogram=tuple(np.histogram(genuine, bins)[0].tolist()),
        impostor_histogram=tuple(np.histogram(impostor, bins)[0].tolist()),
    )


def fmr_for_gallery(fpir: float, comparisons: int) -> float:
    """The false match rate at which a search of `comparisons` faces by a stranger names somebody
    with the probability `fpir` at most.

    As if the comparisons were independent; the strict side, for faces of one person are not.
    Source: ISO/IEC 19795-1, FPIR = 1 - (1 - FMR)^N.
    """
    return -math.expm1(math.log1p(-fpir) / max(1, comparisons))


def _logistic(genuine: Distances, impostor: Distances, rounds: int = 50) -> tuple[float, float]:
    """Intercept and slope of the log odds in distance, both kinds of pairs weighing the same.

    Newton's method with a slight pull of the slope to zero, so that perfectly separated distances
    give a finite answer. Source: Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    x = np.concatenate([genuine, impostor])
    y = np.concatenate([np.ones(len(genuine)), np.zeros(len(impostor))])
    weight = np.concatenate(
        [np.full(len(genuine), 0.5 / len(genuine)), np.full(len(impostor), 0.5 / len(impostor))]
    )
    design = np.column_stack([np.ones_like(x), -x])
    ridge = np.diag([0.0, 1e-5])
    beta = np.zeros(2)
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -500, 500)))
        gradient = design.T @ (weight * (y - p)) - ridge @ beta
        hessian = design.T @ (design * (weight * p * (1 - p))[:, None]) + ridge
        step = np.linalg.solve(hessian + 1e-12 * np.eye(2), gradient)
        beta += np.clip(step, -20, 20)
        if np.abs(step).max() < 1e-9:
            break
    return float(beta[0]), float(beta[1])
