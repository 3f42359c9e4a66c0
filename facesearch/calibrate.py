"""From an error that the user accepts to a threshold, and from a distance to a probability."""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facesearch.bounds import RULE_OF_30, most_errors, pair_rate_bound, smallest_rate
from facesearch.cohort import Cohort
from facesearch.errors import CalibrationError, ModelError
from facesearch.metrics import Distances, all_pairs, balanced, best_f1
from facesearch.model import CALIBRATION, COHORT, Model
from facesearch.template import templates

DEFAULT_FMR, DEFAULT_FPIR = 0.001, 0.01
FACES_BEHIND = 3  # photos behind a template, at most, when probabilities are fitted
IMPOSTORS_PER_PROBE = 20  # and templates of others that a probe is compared with
BINS = tuple(np.linspace(0, 2, 81).round(3).tolist())


@dataclass(frozen=True, slots=True)
class Population:
    """What the distances between people of one population say. See Cohort."""

    name: str
    people: int
    faces: int
    genuine_pairs: int
    impostor_pairs: int
    rates: tuple[float, ...]  # upper limits of the false match rate, ascending
    thresholds: tuple[float, ...]  # the largest distance that keeps each
    genuine_histogram: tuple[int, ...]  # of the distances of genuine pairs, in BINS
    impostor_histogram: tuple[int, ...]

    def threshold(self, fmr: float) -> float | None:
        """The largest distance at which the false match rate is below `fmr`; None if unknown."""
        known = [at for rate, at in zip(self.rates, self.thresholds, strict=True) if rate <= fmr]
        return known[-1] if known else None


@dataclass(frozen=True, slots=True)
class Evidence:
    """The logarithm of the likelihood ratio "one person" to "two", from what is known of a face.

    Linear in the distance, with a slope that depends on the face's quality and on the number of
    photos behind the person's template.
    """

    weights: tuple[float, ...]  # of `features`

    def log_ratio(self, distance: float, agreement: float = 1.0, photos: int = 1) -> float:
        """Natural logarithm. agreement: the worse side's, see Model.embed_rated."""
        row = features(np.array([distance]), np.array([agreement]), np.array([photos]))
        return float((row @ np.array(self.weights))[0])


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the distances of one model mean, measured on people whom its training never saw."""

    populations: tuple[Population, ...]
    f1_threshold: float
    f1: float  # with as many impostor pairs as genuine ones
    evidence: Evidence

    @property
    def people(self) -> int:
        return sum(population.people for population in self.populations)

    @property
    def smallest_fmr(self) -> float:
        """The smallest false match rate that can be promised for every population; inf if none."""
        return max(part.rates[0] if part.rates else math.inf for part in self.populations)

    @property
    def strictest(self) -> float:
        """The threshold of the smallest false match rate that can be promised."""
        return min(part.thresholds[0] for part in self.populations if part.thresholds)

    def threshold(self, fmr: float) -> float:
        """The largest distance at which the false match rate is below `fmr`.

        With 95 % confidence, for people like those of each population. Raises CalibrationError for
        a rate that the data cannot support.
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
        """Raises ModelError if the file is missing or damaged."""
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


def calibration_of(model: Model) -> Calibration:
    """The calibration of a model. Raises ModelError."""
    return Calibration.load(model.folder / CALIBRATION)


def cohort_of(model: Model) -> Cohort:
    """The people with whom a model is calibrated. Raises ModelError."""
    return Cohort.load(model.folder / COHORT)


def calibrate(cohort: Cohort, seed: int = 0) -> Calibration:
    """Measure what distances mean.

    Raises CalibrationError without a genuine or an impostor pair.
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
    """Upper limits of the false match rate, ascending, and the distance that keeps each.

    embeddings: one face of each person, (P, D). Only what was seen is used: distances with
    RULE_OF_30 false matches or more. A fitted tail was tried and broke its promises: see
    docs/error-rates.md.
    """
    people = len(embeddings)
    first, second = np.triu_indices(people, k=1)
    distance = _distances(embeddings, embeddings)[first, second]
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
            # just short of the next impostor, so that a tie is refused
            thresholds.append(float(np.nextafter(distance[nearest[count]], -np.inf)))
    return tuple(rates), tuple(thresholds)


@dataclass(frozen=True, slots=True)
class Strangers:
    """How near strangers come to one gallery: one face of each person of a cohort, searched in it.

    No formula takes a rate from one comparison to many: what is counted is this gallery, with as
    many people, and as many photos of each, as it has.
    """

    distances: Distances  # to the nearest person of the gallery, (P,)
    populations: NDArray[np.int64]  # (P,)

    def by_population(self) -> list[Distances]:
        """Ascending."""
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

        With 95 % confidence, for strangers like those of each population. A rate below
        `smallest_fpir` gives the distance at which no stranger of the cohort has a name.
        Needs at least one stranger.
        """
        found = []
        for part in self.by_population():
            errors = max(0, most_errors(len(part), fpir))
            found.append(
                float(part[-1]) if errors >= len(part) else np.nextafter(part[errors], -np.inf)
            )
        return float(min(found))


def _distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> Distances:
    """Euclidean, of all rows of unit vectors a (N, D) to all of b (M, D): (N, M)."""
    return np.sqrt(np.maximum(2 - 2 * (a @ b.T).astype(np.float64), 0))


# Probabilities

Trials = tuple[NDArray[np.float64], NDArray[np.bool_]]  # features (T, F); one person? (T,)


def features(
    distance: Distances, agreement: NDArray[np.float64], photos: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What the evidence is a weighted sum of, (T, 6). photos: behind the template, at least 1."""
    doubt = -np.log(1.001 - np.clip(agreement, 0, 1))
    more = np.log(photos)
    one = np.ones_like(distance)
    return np.column_stack([one, -distance, doubt, -doubt * distance, more, -more * distance])


def evidence_trials(part: Cohort, seed: int) -> Trials:
    """Faces against templates of 1, 2 and 3 other photos, of their own person and of others."""
    rng = np.random.default_rng(seed)
    rows, same = [], []
    starts, counts = np.unique(part.people, return_index=True, return_counts=True)[1:]
    for photos in range(1, FACES_BEHIND + 1):
        fit = np.flatnonzero(counts > photos)
        if not len(fit):
            break
        drawn = np.array(
            [starts[p] + rng.permutation(counts[p])[: photos + 1] for p in fit]
        )  # the probe, then the photos of the template
        owners = np.repeat(np.arange(len(fit)), photos)
        behind = drawn[:, 1:].ravel()
        template = templates(part.embeddings[behind], owners)
        best = np.maximum.reduceat(part.agreements[behind], np.arange(0, len(behind), photos))
        others = np.array([(np.arange(1, len(fit)) + p) % len(fit) for p in range(len(fit))])
        for probe, person in enumerate(drawn[:, 0]):
            against = rng.permutation(others[probe])[:IMPOSTORS_PER_PROBE]
            against = np.concatenate([[probe], against])
            distance = _distances(part.embeddings[person : person + 1], template[against])[0]
            agreement = np.minimum(part.agreements[person], best[against]).astype(np.float64)
            rows.append(features(distance, agreement, np.full(len(against), photos)))
            same.append(against == probe)
    return np.concatenate(rows), np.concatenate(same)


def fit_evidence(trials: list[Trials], rounds: int = 50) -> Evidence:
    """Logistic regression; every population counts the same, and in it both kinds of trials.

    Newton's method with a slight pull to zero, so that perfectly separated distances give a finite
    answer. Source: Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
    """
    x = np.concatenate([rows for rows, _ in trials])
    y = np.concatenate([same for _, same in trials])
    weight = np.concatenate(
        [np.where(same, 0.5 / same.sum(), 0.5 / max(1, (~same).sum())) for _, same in trials]
    ) / len(trials)
    ridge = 1e-5 * np.eye(x.shape[1])
    ridge[0, 0] = 1e-9
    beta = np.zeros(x.shape[1])
    for _ in range(rounds):
        p = 1 / (1 + np.exp(-np.clip(x @ beta, -500, 500)))
        gradient = x.T @ (weight * (y - p)) - ridge @ beta
        hessian = x.T @ (x * (weight * p * (1 - p))[:, None]) + ridge
        step = np.linalg.solve(hessian, gradient)
        beta += np.clip(step, -20, 20)
        if np.abs(step).max() < 1e-9:
            break
    return Evidence(tuple(beta.tolist()))


def probability(log_ratio: float, prior: float) -> float:
    """That two faces are one person, if `prior` was the probability before they were compared."""
    odds = log_ratio + math.log(prior / (1 - prior))
    return 1 / (1 + math.exp(min(-odds, 700)))


def posterior(log_ratios: list[float], people: int, prior: float) -> list[float]:
    """The probability, for each of the nearest people, that a face is theirs.

    log_ratios: of the people nearest to the face. people: in the gallery, each as likely as the
    others beforehand. prior: that the face belongs to any of them.
    """
    each = [ratio + math.log(prior / people) for ratio in log_ratios]
    logs = [*each, math.log1p(-prior)]
    top = max(logs)
    total = sum(math.exp(log - top) for log in logs)
    return [math.exp(log - top) / total for log in each]
