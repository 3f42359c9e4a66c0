"""What the distances of a model mean, measured on people whom its training never saw."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Distances
from facesearch.core.errors import CalibrationError, ModelError
from facesearch.core.paths import CALIBRATION, COHORT
from facesearch.matching.cohort import Cohort
from facesearch.matching.evidence import Evidence, evidence_trials, fit_evidence
from facesearch.metrics.confidence import (
    RULE_OF_30,
    pair_rate_bound,
)
from facesearch.metrics.pairs import all_pairs, balanced, best_f1, pairwise_distances

if TYPE_CHECKING:
    from facesearch.vision.model import Model

DEFAULT_FMR, DEFAULT_FPIR = 0.001, 0.01
BINS = tuple(np.linspace(0, 2, 81).round(3).tolist())  # edges, of the histograms of distances


@dataclass(frozen=True, slots=True)
class Population:
    """The distances between the faces of one population's people; see Cohort."""

    name: str
    people: int
    faces: int
    genuine_pairs: int
    impostor_pairs: int
    rates: tuple[float, ...]  # upper limits of the false match rate, ascending
    thresholds: tuple[float, ...]  # the largest distance that keeps each of these rates
    genuine_histogram: tuple[int, ...]  # of the distances of genuine pairs, in BINS
    impostor_histogram: tuple[int, ...]

    def threshold(self, fmr: float) -> float | None:
        """The largest distance that keeps the false match rate below `fmr`; None if unknown."""
        known = [at for rate, at in zip(self.rates, self.thresholds, strict=True) if rate <= fmr]
        return known[-1] if known else None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a model's distances mean: thresholds by error rate, and the evidence of a distance."""

    populations: tuple[Population, ...]
    f1_threshold: float
    f1: float  # with as many impostor pairs as genuine ones
    evidence: Evidence

    @property
    def people(self) -> int:
        return sum(population.people for population in self.populations)

    @property
    def smallest_fmr(self) -> float:
        """The smallest false match rate that can be promised for all populations; inf if none."""
        return max(part.rates[0] if part.rates else math.inf for part in self.populations)

    @property
    def strictest(self) -> float:
        """The threshold that keeps `smallest_fmr`."""
        return min(part.thresholds[0] for part in self.populations if part.thresholds)

    def threshold(self, fmr: float) -> float:
        """The largest distance that keeps the false match rate below `fmr`.

        It does so with 95 % confidence, for people like those of each population. Raises
        CalibrationError for a rate that the calibration's people are too few to promise.
        """
        if not 0 < fmr < 1:
            raise CalibrationError(f"a false match rate lies between 0 and 1, not at {fmr:g}")
        found = [population.threshold(fmr) for population in self.populations]
        known = [threshold for threshold in found if threshold is not None]
        if len(known) < len(found):
            support = f"{self.smallest_fmr:.2g} and more"
            raise CalibrationError(
                f"no threshold can be promised for a false match rate of {fmr:.2g}: the "
                f"{self.people:,} people behind this calibration support "
                + (support if self.smallest_fmr < 1 else "no rate at all")
                + "; calibrate with more people"
            )
        return min(known)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> "Calibration":
        """Read what `save` wrote. Raises ModelError if the file is missing or damaged."""
        try:
            fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
            populations = tuple(
                Population(**{key: _tuple(value) for key, value in population.items()})
                for population in fields.pop("populations")
            )
            evidence = Evidence(tuple(fields.pop("evidence")["weights"]))
            return cls(populations=populations, evidence=evidence, **fields)
        except FileNotFoundError as error:
            raise ModelError(
                f"{path}: missing, so that no threshold is known; `facesearch calibrate` finds it"
            ) from error
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ModelError(
                f"{path}: damaged, or of another facesearch; calibrate the model anew ({error})"
            ) from error


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def calibration_of(model: "Model") -> Calibration:
    """The calibration of a model. Raises ModelError if it has none."""
    return Calibration.load(model.folder / CALIBRATION)


def cohort_of(model: "Model") -> Cohort:
    """The people with whom a model is calibrated. Raises ModelError if it has none."""
    return Cohort.load(model.folder / COHORT)


def calibrate(cohort: Cohort, seed: int = 0) -> Calibration:
    """Measure what distances mean on the people of a cohort.

    Raises CalibrationError if no population has both a genuine and an impostor pair.
    """
    populations, f1_pairs, trials = [], [], []
    for number, name in enumerate(cohort.names):
        part = cohort.of(number)
        genuine, impostor = all_pairs(part.embeddings, part.people)
        populations.append(_population(name, part, genuine, impostor))
        if len(genuine) and len(impostor):
            f1_pairs.append(balanced(genuine, impostor, seed))
            trials.append(evidence_trials(part, seed))
    if not f1_pairs:
        raise CalibrationError("calibration needs at least one genuine and one impostor pair")
    distance, same = (np.concatenate(parts) for parts in zip(*f1_pairs, strict=True))
    f1_threshold, f1 = best_f1(distance[same], distance[~same])
    return Calibration(tuple(populations), f1_threshold, f1, fit_evidence(trials))


def _population(name: str, part: Cohort, genuine: Distances, impostor: Distances) -> Population:
    rates, thresholds = _false_matches(part.embeddings[part.firsts])
    return Population(
        name=name,
        people=len(part.firsts),
        faces=len(part.people),
        genuine_pairs=len(genuine),
        impostor_pairs=len(impostor),
        rates=rates,
        thresholds=thresholds,
        genuine_histogram=tuple(np.histogram(genuine, BINS)[0].tolist()),
        impostor_histogram=tuple(np.histogram(impostor, BINS)[0].tolist()),
    )


def _false_matches(embeddings: NDArray[np.float32]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Upper limits of the false match rate, ascending, and the largest distance that keeps each.

    embeddings: one face of each person, (P, D). Only distances up to which RULE_OF_30 impostor
    pairs or more were seen are used. A fitted tail was tried, and the rates it promised were
    exceeded: see docs/development/error-rates.md.
    """
    people = len(embeddings)
    first, second = np.triu_indices(people, k=1)
    distance = pairwise_distances(embeddings, embeddings)[first, second]
    if len(distance) < 2 * RULE_OF_30:
        return (), ()
    steps = 1 + math.ceil(40 * math.log10(len(distance) / 2 / RULE_OF_30))
    counts = np.unique(np.geomspace(RULE_OF_30, len(distance) / 2, steps).astype(int))
    nearest = np.argsort(distance)[: counts[-1] + 1]
    rates: list[float] = []
    thresholds: list[float] = []
    matches = np.zeros(people, np.int64)
    before = 0
    for count in counts:
        new = nearest[before:count]
        matches += np.bincount(first[new], minlength=people)
        matches += np.bincount(second[new], minlength=people)
        before = count
        bound = pair_rate_bound(matches)
        if not rates or bound > rates[-1]:
            rates.append(bound)
            # just below the next impostor pair, so that an equal distance is refused
            thresholds.append(float(np.nextafter(distance[nearest[count]], -np.inf)))
    return tuple(rates), tuple(thresholds)
