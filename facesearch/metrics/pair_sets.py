"""Sets of pairs of photos, those of a list or all pairs, and their figures for weights of people.

The figures are accuracy, F1, AUC, EER and the FNMR at each of FMR_RATES. The weights say how often
each person was drawn, (P,), so that a bootstrap over people can ask for them many times.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Distances, Embeddings
from facesearch.metrics.error_rates import Ranked, Tally, Weights
from facesearch.metrics.pairs import FMR_RATES, NEVER, Judged

RESOLUTION = 1e-5  # of the distances of all pairs; float32 cosines are no finer
LEVELS = int(NEVER / RESOLUTION) + 1  # of distance; the last holds the pairs without a face
BLOCK = 256  # photos whose pairs are computed at a time
KEPT = 1_000_000  # the most impostor pairs that are kept one by one

Numbers = NDArray[np.int64]


class ListedPairs:
    """The pairs of a list.

    distance, same: (N,). a, b: the number of the person on either photo, (N,).
    """

    def __init__(
        self,
        distance: Distances,
        same: NDArray[np.bool_],
        judged: Judged,
        a: Numbers,
        b: Numbers,
    ) -> None:
        self._same, self._accepted, self._a, self._b = same, judged.accepted, a, b
        self._ranked = Ranked(distance[same], distance[~same])

    def tally(self, people: Weights | None = None) -> Tally:
        if people is None:
            return self._ranked.tally()
        weights = self._weights(people)
        return self._ranked.tally(weights[self._same], weights[~self._same])

    def figures(self, people: Weights) -> list[float]:
        weights = self._weights(people)
        said, true = weights[self._accepted].sum(), weights[self._same].sum()
        hits = weights[self._accepted & self._same].sum()
        right = weights[self._accepted == self._same].sum()
        with np.errstate(invalid="ignore"):  # nobody is left
            accuracy, f1 = right / weights.sum(), 2 * hits / (said + true)
        return [float(accuracy), float(f1), *_errors(self.tally(people))]

    def _weights(self, people: Weights) -> Weights:
        return np.where(self._same, people[self._a], people[self._a] * people[self._b])


class AllPairs:
    """All pairs of many photos, in bounded memory, with distances rounded to RESOLUTION.

    Without weights all pairs are counted. With weights of people the nearest impostor pairs are
    weighed one by one, the others by a sample of them. A pair with a photo without a face never
    matches.
    """

    def __init__(
        self,
        embeddings: Embeddings,
        people: Numbers,
        found: NDArray[np.bool_],
        threshold: float,
        *,
        kept: int = KEPT,
        seed: int = 0,
    ) -> None:
        """embeddings: unit vectors, (N, D). people: who is on each, (N,), numbers 0 to P - 1.

        found: whether the photo has a face, (N,). threshold: for accuracy and F1. kept: the most
        impostor pairs that are weighed one by one.
        """
        self._photos = np.bincount(people).astype(np.float64)  # of each person
        self._faces = np.bincount(people[found], minlength=len(self._photos)).astype(np.float64)
        embeddings, people = embeddings[found], people[found]
        self._count_genuine(embeddings, people)
        self._impostor = np.zeros(LEVELS)
        for rows, columns, level, upper in _blocks(embeddings):
            other = people[rows, None] != people[columns]
            self._impostor += np.bincount(level[upper & other], minlength=LEVELS)
        self._keep_impostors(embeddings, people, kept, np.random.default_rng(seed))
        self._impostor[-1] += _crossed(self._photos) - _crossed(self._faces)
        self._leave_out_empty_levels(min(int(threshold / RESOLUTION) + 1, LEVELS - 1))

    def _count_genuine(self, embeddings: Embeddings, people: Numbers) -> None:
        """Keep the levels of each person's own pairs, how often each occurs, and whose it is."""
        levels, times, owners = [np.empty(0, np.int64)], [np.empty(0)], [np.empty(0, np.int64)]
        order = np.argsort(people, kind="stable")
        parts = np.split(order, np.cumsum(self._faces.astype(np.int64))[:-1])
        for person, part in enumerate(parts):
            if len(part) > 1:
                counted = np.zeros(LEVELS, np.int64)
                for _, _, level, upper in _blocks(embeddings[part]):
                    counted += np.bincount(level[upper], minlength=LEVELS)
                levels.append(np.nonzero(counted)[0])
                times.append(counted[levels[-1]].astype(np.float64))
                owners.append(np.full(len(levels[-1]), person))
        self._level, self._owner = np.concatenate(levels), np.concatenate(owners)
        self._times: Weights = np.concatenate(times)

    def _keep_impostors(
        self, embeddings: Embeddings, people: Numbers, kept: int, rng: np.random.Generator
    ) -> None:
        """Keep the level and the people of impostor pairs: the nearest first, then the sample."""
        counted = np.cumsum(self._impostor)
        edge, share = LEVELS, 0.0
        if counted[-1] > kept:
            edge = int(np.searchsorted(counted, kept / 2, side="right"))
            near = counted[edge - 1] if edge else 0
            share = kept / 2 / (counted[-1] - near)
        parts = [np.empty((3, 0), np.int64)]
        for rows, columns, level, upper in _blocks(embeddings):
            chosen = level < edge
            if share:
                chosen |= rng.random(level.shape, np.float32) < share
            a, b = np.nonzero(chosen & upper & (people[rows, None] != people[columns]))
            parts.append(np.stack([level[a, b], people[rows][a], people[columns][b]]))
        pairs = np.concatenate(parts, axis=1)
        pairs = pairs[:, np.argsort(pairs[0], kind="stable")]
        self._kept, self._a, self._b = np.ascontiguousarray(pairs)
        self._near = int(np.searchsorted(self._kept, edge))

    def _leave_out_empty_levels(self, accepted: int) -> None:
        """Number the levels that have pairs, and the last. accepted: levels up to the threshold."""
        used = self._impostor > 0
        used[self._level] = True
        used[-1] = True
        number = np.cumsum(used) - 1
        self._accepted = int(used[:accepted].sum())
        self._distance = (np.nonzero(used)[0] + 1).astype(np.float64) * RESOLUTION
        self._impostor = self._impostor[used]
        self._level, self._kept = number[self._level], number[self._kept]

    def tally(self, people: Weights | None = None) -> Tally:
        weights = np.ones(len(self._photos)) if people is None else people
        genuine = self._counted(self._level, self._times * weights[self._owner])
        own = self._photos * (self._photos - 1) - self._faces * (self._faces - 1)
        genuine[-1] += weights @ own / 2
        if people is None:
            return Tally(self._distance, genuine, self._impostor)
        pairs = weights[self._a] * weights[self._b]
        impostor = self._counted(self._kept[: self._near], pairs[: self._near])
        faces = _crossed(weights * self._faces)
        sampled = pairs[self._near :].sum()
        if sampled:
            rest = self._counted(self._kept[self._near :], pairs[self._near :])
            impostor += rest * ((faces - pairs[: self._near].sum()) / sampled)
        impostor[-1] += _crossed(weights * self._photos) - faces
        return Tally(self._distance, genuine, impostor)

    def _counted(self, level: Numbers, weights: Weights) -> Weights:
        return np.bincount(level, weights, len(self._distance)).astype(np.float64, copy=False)

    def figures(self, people: Weights | None = None) -> list[float]:
        """The figures; in accuracy and F1 both kinds of pairs count alike."""
        tally = self.tally(people)
        fmr, fnmr = (float(rate[self._accepted]) for rate in tally.rates())
        return [1 - (fmr + fnmr) / 2, 2 * (1 - fnmr) / (2 - fnmr + fmr), *_errors(tally)]


def _errors(tally: Tally) -> list[float]:
    return [tally.auc(), tally.eer(), *(tally.fnmr_at_fmr(rate) for rate in FMR_RATES)]


def _blocks(
    embeddings: Embeddings,
) -> Iterator[tuple[slice, slice, Numbers, NDArray[np.bool_]]]:
    """Rows, columns, the level of each pair of them, and whether its column comes after its row."""
    for start in range(0, len(embeddings), BLOCK):
        rows, columns = slice(start, start + BLOCK), slice(start, None)
        squared = 2 - 2 * (embeddings[rows] @ embeddings[columns].T)
        level = (np.sqrt(np.maximum(squared, 0)) / np.float32(RESOLUTION)).astype(np.int64)
        upper = np.arange(level.shape[1]) > np.arange(level.shape[0])[:, None]
        yield rows, columns, level, upper


def _crossed(photos: Weights) -> float:
    """How many pairs show two people. photos: how many each person has, (P,)."""
    return float(photos.sum() ** 2 - (photos**2).sum()) / 2
