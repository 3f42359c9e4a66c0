"""How well distances tell people apart. A pair matches if distance <= threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesearch.core.arrays import Distances
from facesearch.metrics.error_rates import Ranked

MOST_FACES = 5000  # faces whose pairs, 12 million, are computed together
MOST_OF_ONE = 12  # faces of a person, which make 66 genuine pairs
FMR_RATES = (0.01, 0.001, 0.0001)  # false match rates at which FNMR is reported
NEVER = 2.0001  # the distance of a pair with a photo without a face: it never matches


def error_rates(genuine: Distances, impostor: Distances, thresholds: ArrayLike) -> Distances:
    """False match rate and false non-match rate at each threshold, (2, T).

    genuine, impostor: distances, in any order, at least one of each.
    """
    thresholds = np.asarray(thresholds, np.float64)
    matched = np.searchsorted(np.sort(impostor), thresholds, side="right")
    accepted = np.searchsorted(np.sort(genuine), thresholds, side="right")
    return np.stack([matched / len(impostor), 1 - accepted / len(genuine)])


def candidates(genuine: Distances, impostor: Distances) -> Distances:
    """Thresholds, ascending, that give every possible outcome once, from none to all accepted."""
    values = np.unique(np.concatenate([genuine, impostor]))
    return np.concatenate([[np.nextafter(values[0], -np.inf)], values])


def threshold_at_fmr(impostor: Distances, fmr: float) -> float:
    """The largest threshold at which at most the share `fmr` of the impostor pairs match.

    Pairs at equal distances are refused together. It may be so low that nothing matches.
    """
    ordered = np.sort(impostor)
    allowed = int(np.floor(fmr * len(ordered) + 1e-9))
    if allowed >= len(ordered):
        return float(ordered[-1])
    return float(np.nextafter(ordered[allowed], -np.inf))


def fnmr_at_fmr(genuine: Distances, impostor: Distances, fmr: float) -> float:
    """The share of the genuine pairs that `threshold_at_fmr` refuses."""
    threshold = threshold_at_fmr(impostor, fmr)
    return float(np.mean(genuine > threshold))


def best_f1(genuine: Distances, impostor: Distances) -> tuple[float, float]:
    """The threshold with the best F1, in the middle of the gap that gives it, and that F1.

    F1 depends on the mix of pairs: the usual figure has as many impostor as genuine pairs.
    """
    at = candidates(genuine, impostor)
    fmr, fnmr = error_rates(genuine, impostor, at)
    hits = (1 - fnmr) * len(genuine)
    f1 = 2 * hits / (hits + fmr * len(impostor) + len(genuine))
    best = int(f1.argmax())
    above = at[min(best + 1, len(at) - 1)]
    return float((at[best] + above) / 2), float(f1[best])


def best_accuracy_threshold(genuine: Distances, impostor: Distances) -> float:
    """The threshold at which most pairs are right, in the middle of the gap that gives it.

    Of several that are equally good it is the strictest.
    """
    at = candidates(genuine, impostor)
    fmr, fnmr = error_rates(genuine, impostor, at)
    wrong = np.rint(fnmr * len(genuine) + fmr * len(impostor))
    best = int(wrong.argmin())
    return float((at[best] + at[min(best + 1, len(at) - 1)]) / 2)


def auc(genuine: Distances, impostor: Distances) -> float:
    """The chance that a genuine pair is nearer than an impostor pair; ties count half."""
    return Ranked(genuine, impostor).tally().auc()


def eer(genuine: Distances, impostor: Distances) -> float:
    """The rate at which both errors are equally frequent, interpolated."""
    return Ranked(genuine, impostor).tally().eer()


@dataclass(frozen=True, slots=True)
class PairResult:
    """The figures of a model on a list of pairs: fields of the JSON of `facesearch evaluate`."""

    pairs: int
    accuracy: float  # the mean over the folds
    accuracy_std: float  # the standard deviation over the folds; 0 if there is one
    f1: float  # of all pairs, each judged with the threshold of its fold
    threshold: float  # the mean over the folds
    auc: float
    eer: float
    fnmr_at_fmr: dict[str, float | None]  # None: too few impostor pairs for the rate


@dataclass(frozen=True, slots=True)
class Judged:
    """Which pairs of a list match, and at which thresholds."""

    accepted: NDArray[np.bool_]  # (N,), each pair at the threshold of its fold
    thresholds: tuple[float, ...]  # of each fold
    accuracies: tuple[float, ...]


def judge(
    distance: Distances, same: NDArray[np.bool_], fold: NDArray[np.int64], threshold: float
) -> Judged:
    """Judge which pairs match.

    distance, same, fold: (N,). With several folds each fold is judged with the threshold that is
    most accurate on the others, which is the protocol of LFW's View 2; a single fold is judged with
    `threshold`.
    Source: Huang et al., Labeled Faces in the Wild, UMass 07-49, 2007.
    """
    folds = np.unique(fold)
    thresholds, accuracies = [], []
    accepted = np.zeros(len(distance), bool)
    for current in folds:
        inside = fold == current
        if len(folds) > 1:
            others = distance[~inside], same[~inside]
            threshold = best_accuracy_threshold(others[0][others[1]], others[0][~others[1]])
        accepted[inside] = distance[inside] <= threshold
        accuracies.append(float(np.mean(accepted[inside] == same[inside])))
        thresholds.append(threshold)
    return Judged(accepted, tuple(thresholds), tuple(accuracies))


def evaluate_pairs(
    distance: Distances, same: NDArray[np.bool_], fold: NDArray[np.int64], threshold: float
) -> PairResult:
    """The figures of a list of pairs; see `judge` for the arguments."""
    judged = judge(distance, same, fold, threshold)
    genuine, impostor = distance[same], distance[~same]
    hits = int(np.sum(judged.accepted & same))
    return PairResult(
        pairs=len(distance),
        accuracy=float(np.mean(judged.accuracies)),
        accuracy_std=float(np.std(judged.accuracies)),
        f1=2 * hits / max(1, int(judged.accepted.sum()) + len(genuine)),
        threshold=float(np.mean(judged.thresholds)),
        auc=auc(genuine, impostor),
        eer=eer(genuine, impostor),
        fnmr_at_fmr={
            str(rate): fnmr_at_fmr(genuine, impostor, rate) if rate * len(impostor) >= 1 else None
            for rate in FMR_RATES
        },
    )


def sample(people: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The rows of the faces to measure with: at most MOST_OF_ONE of a person, MOST_FACES in all.

    Without the first limit a few people with many photos would decide the figures, without the
    second the pairs would not fit into memory; people beyond it are left out with all their faces.
    people: who is on each face, (N,).
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(people))
    by_person = order[np.argsort(people[order], kind="stable")]
    _, starts, counts = np.unique(people[by_person], return_index=True, return_counts=True)
    kept = np.minimum(counts, MOST_OF_ONE)
    drawn = rng.permutation(len(starts))
    within = drawn[np.cumsum(kept[drawn]) <= MOST_FACES]
    rows = [by_person[starts[person] : starts[person] + kept[person]] for person in within]
    return np.sort(np.concatenate(rows)) if rows else np.empty(0, np.int64)


def all_pairs(
    embeddings: NDArray[np.float32], people: NDArray[np.int64]
) -> tuple[Distances, Distances]:
    """Distances of all genuine and of all impostor pairs.

    embeddings: unit vectors, (N, D). people: who is on each, (N,). Needs memory for N^2 numbers:
    see `sample`.
    """
    first, second = np.triu_indices(len(embeddings), k=1)
    cosine = (embeddings @ embeddings.T)[first, second].astype(np.float64)
    distance = np.sqrt(np.maximum(2 - 2 * cosine, 0))
    same = people[first] == people[second]
    return distance[same], distance[~same]


def balanced(
    genuine: Distances, impostor: Distances, seed: int
) -> tuple[Distances, NDArray[np.bool_]]:
    """All G genuine pairs and G drawn impostor pairs: distances and which are genuine, (2 G,)."""
    count = min(len(genuine), len(impostor))
    drawn = np.random.default_rng(seed).choice(impostor, count, replace=False)
    return np.concatenate([genuine, drawn]), np.arange(len(genuine) + count) < len(genuine)


def pairwise_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> Distances:
    """Euclidean distances, (N, M), of all rows of a, (N, D), to all of b, (M, D), unit vectors."""
    return np.sqrt(np.maximum(2 - 2 * (a @ b.T).astype(np.float64), 0))
