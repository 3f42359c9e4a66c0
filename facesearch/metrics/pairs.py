"""How well distances tell people apart. A pair matches at a threshold if distance <= threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facesearch.core.arrays import Distances
from facesearch.metrics.error_rates import Ranked

MOST_FACES = 5000  # whose pairs, 12 million, are looked at all together
MOST_OF_ONE = 12  # faces of a person, that is 66 genuine pairs
RATES = (0.01, 0.001, 0.0001)  # false match rates at which false non-matches are told
NEVER = 2.0001  # the distance given to a pair with a photo in which no face was found


def error_rates(genuine: Distances, impostor: Distances, thresholds: ArrayLike) -> Distances:
    """(2, T): false match rate and false non-match rate at each threshold.

    genuine, impostor: distances, in any order, at least one of each.
    """
    thresholds = np.asarray(thresholds, np.float64)
    matched = np.searchsorted(np.sort(impostor), thresholds, side="right")
    accepted = np.searchsorted(np.sort(genuine), thresholds, side="right")
    return np.stack([matched / len(impostor), 1 - accepted / len(genuine)])


def candidates(genuine: Distances, impostor: Distances) -> Distances:
    """Thresholds, ascending, that give every possible outcome once: none accepted to all."""
    values = np.unique(np.concatenate([genuine, impostor]))
    return np.concatenate([[np.nextafter(values[0], -np.inf)], values])


def threshold_at_fmr(impostor: Distances, fmr: float) -> float:
    """The largest threshold at which no more than the share `fmr` of impostor pairs match.

    At a tie all equal distances are refused. May be so low that nothing matches.
    """
    ordered = np.sort(impostor)
    allowed = int(np.floor(fmr * len(ordered) + 1e-9))
    if allowed >= len(ordered):
        return float(ordered[-1])
    return float(np.nextafter(ordered[allowed], -np.inf))


def fnmr_at_fmr(genuine: Distances, impostor: Distances, fmr: float) -> float:
    """The share of genuine pairs refused at the threshold for a false match rate."""
    threshold = threshold_at_fmr(impostor, fmr)
    return float(np.mean(genuine > threshold))


def best_f1(genuine: Distances, impostor: Distances) -> tuple[float, float]:
    """The threshold with the best F1, and that F1; the middle of the gap that gives it.

    F1 depends on the mix: give as many impostor pairs as genuine ones for the usual figure.
    """
    at = candidates(genuine, impostor)
    fmr, fnmr = error_rates(genuine, impostor, at)
    hits = (1 - fnmr) * len(genuine)
    f1 = 2 * hits / (hits + fmr * len(impostor) + len(genuine))
    best = int(f1.argmax())
    above = at[min(best + 1, len(at) - 1)]
    return float((at[best] + above) / 2), float(f1[best])


def best_accuracy_threshold(genuine: Distances, impostor: Distances) -> float:
    """The threshold with the most pairs right, in the middle of the gap that gives it.

    Of several as good the strictest.
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
    """The error at which false matches and false non-matches are as frequent, interpolated."""
    return Ranked(genuine, impostor).tally().eer()


@dataclass(frozen=True, slots=True)
class PairResult:
    """What a list of pairs says of a model; the fields of the command's JSON."""

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
    """What thresholds make of a list of pairs."""

    accepted: NDArray[np.bool_]  # (N,), each pair at the threshold of its fold
    thresholds: tuple[float, ...]  # of each fold
    accuracies: tuple[float, ...]


def judge(
    distance: Distances, same: NDArray[np.bool_], fold: NDArray[np.int64], threshold: float
) -> Judged:
    """Which pairs match.

    distance, same, fold: (N,). With several folds each fold is judged with the threshold that is
    most accurate on the others, as LFW's View 2 wants it; a single one with `threshold`.
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
    """Accuracy, F1, AUC and errors of pairs, as `judge` judges them."""
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
            for rate in RATES
        },
    )


def sample(people: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Rows of the faces to look at: at most MOST_OF_ONE of a person, and MOST_FACES in all.

    people: who is on each face, (N,). Otherwise a few people with many photos would speak for all,
    and the number of pairs would outgrow the memory. Beyond MOST_FACES people are left out whole.
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

    embeddings: unit vectors, (N, D). people: who is on each, (N,). Needs N^2 numbers of memory:
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
    """As many impostor pairs as genuine ones, drawn: distances (2 G,) and which are genuine."""
    count = min(len(genuine), len(impostor))
    drawn = np.random.default_rng(seed).choice(impostor, count, replace=False)
    return np.concatenate([genuine, drawn]), np.arange(len(genuine) + count) < len(genuine)


def pairwise_distances(a: NDArray[np.float32], b: NDArray[np.float32]) -> Distances:
    """Euclidean, of all rows of unit vectors a (N, D) to all of b (M, D): (N, M)."""
    return np.sqrt(np.maximum(2 - 2 * (a @ b.T).astype(np.float64), 0))
