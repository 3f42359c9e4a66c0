"""From a distance to the probability that two faces are one person."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Distances
from facesearch.core.templates import templates
from facesearch.matching.cohort import Cohort
from facesearch.metrics.pairs import pairwise_distances

FACES_BEHIND = 3  # the most photos behind a template when the evidence is fitted
IMPOSTORS_PER_PROBE = 20  # templates of other people that a probe is compared with


@dataclass(frozen=True, slots=True)
class Evidence:
    """How much likelier a distance is between faces of one person than between faces of two.

    The logarithm of this likelihood ratio is linear in the distance; its slope depends on the
    faces' flip consistency and on the number of photos behind the person's template.
    """

    weights: tuple[float, ...]  # of each of the `features`

    def log_ratio(self, distance: float, flip_consistency: float = 1.0, photos: int = 1) -> float:
        """The natural logarithm.

        flip_consistency: of the worse of both sides, see Model.embed_with_consistency. photos:
        behind the person's template.
        """
        row = features(np.array([distance]), np.array([flip_consistency]), np.array([photos]))
        return float((row @ np.array(self.weights))[0])


Trials = tuple[NDArray[np.float64], NDArray[np.bool_]]  # features (T, 6); one person or two (T,)


def features(
    distance: Distances, flip_consistency: NDArray[np.float64], photos: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The terms of which the evidence is a weighted sum, (T, 6).

    photos: how many are behind the template, at least 1.
    """
    doubt = -np.log(1.001 - np.clip(flip_consistency, 0, 1))
    more = np.log(photos)
    one = np.ones_like(distance)
    return np.column_stack([one, -distance, doubt, -doubt * distance, more, -more * distance])


def evidence_trials(part: Cohort, seed: int) -> Trials:
    """Compare faces with templates of 1 to 3 other photos, of their own person and of others."""
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
        best = np.maximum.reduceat(
            part.flip_consistencies[behind], np.arange(0, len(behind), photos)
        )
        others = np.array([(np.arange(1, len(fit)) + p) % len(fit) for p in range(len(fit))])
        for probe, person in enumerate(drawn[:, 0]):
            against = rng.permutation(others[probe])[:IMPOSTORS_PER_PROBE]
            against = np.concatenate([[probe], against])
            distance = pairwise_distances(part.embeddings[person : person + 1], template[against])[
                0
            ]
            flip_consistency = np.minimum(part.flip_consistencies[person], best[against]).astype(
                np.float64
            )
            rows.append(features(distance, flip_consistency, np.full(len(against), photos)))
            same.append(against == probe)
    return np.concatenate(rows), np.concatenate(same)


def fit_evidence(trials: list[Trials], rounds: int = 50) -> Evidence:
    """Fit the evidence by logistic regression.

    Every population has the same weight, and in it genuine and impostor trials have. Newton's
    method, with a slight pull to zero that keeps the result finite where distances separate both
    kinds perfectly. Source: Platt, "Probabilistic Outputs for Support Vector Machines", 1999.
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
    """The probability that two faces are one person.

    prior: that probability before they were compared.
    """
    odds = log_ratio + math.log(prior / (1 - prior))
    return 1 / (1 + math.exp(min(-odds, 700)))


def posterior(log_ratios: list[float], people: int, prior: float) -> list[float]:
    """The probability, for each of the people nearest to a face, that it is theirs.

    log_ratios: of these people. people: how many are in the gallery, each of them equally likely
    beforehand. prior: the probability beforehand that the face is any of theirs.
    """
    each = [ratio + math.log(prior / people) for ratio in log_ratios]
    logs = [*each, math.log1p(-prior)]
    top = max(logs)
    total = sum(math.exp(log - top) for log in logs)
    return [math.exp(log - top) / total for log in each]
