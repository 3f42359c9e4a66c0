"""Error rates of searches of a gallery, by people who are enrolled and by people who are not.

`draw` says who is enrolled with which photos, `search` searches with everybody's other photos, and
`summary` takes the means over several draws. `Searches` holds all that the means need of one
gallery, so that other distances to a person can be measured the same way.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Distances, Embeddings
from facesearch.core.errors import DataError
from facesearch.core.templates import templates
from facesearch.metrics.bootstrap import Intervals, intervals
from facesearch.metrics.error_rates import Ranked, Tally, Weights
from facesearch.metrics.pairs import NEVER

FPIR_RATES = (0.1, 0.01, 0.001)  # at which FNIR is reported
SIZES = (10, 100, 1000)  # people enrolled in a gallery
PHOTOS = 3  # the most photos enrolled of a person
DRAWS = 10  # galleries of each size
RANKS = 20  # how far the CMC goes

Numbers = NDArray[np.int64]
Figure = TypeVar("Figure")


@dataclass(frozen=True, slots=True)
class Draw:
    """Who is enrolled with which photos, and which photos search. Rows of photos."""

    enrolled: Numbers  # people, (G,)
    rows: Numbers  # enrolled photos, (E,)
    places: Numbers  # who is on each of `rows`, as a place in `enrolled`, (E,)
    known: Numbers  # the other photos of the people enrolled, (K,)
    unknown: Numbers  # one photo of everybody else, (U,)


@dataclass(frozen=True)
class Searches:
    """What the probes found in one gallery of G people. In a tie the probe's own person is last."""

    rank: Numbers  # of a known probe's own person, (K,): 1 the nearest; beyond G if never found
    distance: Distances  # to the own person, (K,)
    person: Numbers  # whom a known probe shows, (K,)
    nearest: Distances  # from an unknown probe to anybody, (U,)
    stranger: Numbers  # whom an unknown probe shows, (U,)

    @cached_property
    def _ranked(self) -> Ranked:
        return Ranked(np.where(self.rank == 1, self.distance, NEVER), self.nearest)

    def tally(self, people: Weights | None = None) -> Tally:
        """The known probes whose own person is the nearest, and the unknown probes, by distance.

        Its rates are FNIR and FPIR. people: how often each person was drawn, (P,).
        """
        if people is None:
            return self._ranked.tally()
        return self._ranked.tally(people[self.person], people[self.stranger])


@dataclass(frozen=True, slots=True)
class OpenSet:
    """Error rates of searches in galleries of one size: means over the draws."""

    enrolled: int  # people
    known_probes: int  # of a draw, on average
    unknown_probes: int  # of a draw
    rank1: float
    fnir_at_fpir: dict[str, float | None]  # None: fewer unknown probes than 1 / FPIR
    intervals: Intervals
    draws: int
    cmc: list[float]  # the share of known probes whose own person has rank 1, 2, ...
    dir: list[tuple[float, float]]  # FPIR, detection and identification rate


def check(counts: Numbers, enrolled: int) -> None:
    """Raise DataError if `enrolled` people cannot be enrolled.

    counts: how many photos each person has.
    """
    if not 1 <= enrolled < len(counts):
        raise DataError(
            f"{len(counts)} people are too few to enrol {enrolled} and leave somebody unknown"
        )
    if counts.max() < 2:
        raise DataError("nobody has two photos, one to be enrolled and one to search with")


def draw(people: Numbers, enrolled: int, photos: int, rng: np.random.Generator) -> Draw:
    """Enrol people with up to `photos` photos each, and keep at least one of each to search with.

    people: who is on each photo, (N,). People with a single photo are enrolled only where the
    others are too few, and no probe shows them then. Raises DataError for too few people.
    """
    order = rng.permutation(len(people))
    order = order[np.argsort(people[order], kind="stable")]
    names, starts, counts = np.unique(people[order], return_index=True, return_counts=True)
    check(counts, enrolled)
    shuffled = rng.permutation(len(names))
    by_number = np.argsort(counts[shuffled] < 2, kind="stable")  # people with several photos first
    chosen, others = np.split(shuffled[by_number], [enrolled])
    kept = np.minimum(photos, np.maximum(counts - 1, 1))
    rows, known = [], []
    for person in chosen:
        own = order[starts[person] : starts[person] + counts[person]]
        rows.append(own[: kept[person]])
        known.append(own[kept[person] :])
    return Draw(
        enrolled=names[chosen],
        rows=np.concatenate(rows),
        places=np.repeat(np.arange(enrolled), kept[chosen]),
        known=np.concatenate(known),
        unknown=order[starts[others]],
    )


def search(
    embeddings: Embeddings, people: Numbers, found: NDArray[np.bool_], drawn: Draw
) -> Searches:
    """Search with each probe of a draw, by the distances to people's templates.

    A probe without a face finds nobody, and a person enrolled without a face is never found.
    """
    usable = found[drawn.rows]
    present, places = np.unique(drawn.places[usable], return_inverse=True)
    gallery = templates(embeddings[drawn.rows[usable]], places.astype(np.int64))

    def distances(rows: Numbers) -> Distances:
        apart = np.full((len(rows), len(drawn.enrolled)), NEVER)
        cosine = (embeddings[rows] @ gallery.T).astype(np.float64)
        apart[:, present] = np.sqrt(np.maximum(2 - 2 * cosine, 0))
        apart[~found[rows]] = NEVER
        return apart

    known = distances(drawn.known)
    order = np.argsort(drawn.enrolled)
    place = order[np.searchsorted(drawn.enrolled[order], people[drawn.known])]
    own = known[np.arange(len(known)), place]
    rank = np.count_nonzero(known <= own[:, None], axis=1)
    return Searches(
        rank=np.where(own < NEVER, rank, len(drawn.enrolled) + 1),
        distance=own,
        person=people[drawn.known],
        nearest=distances(drawn.unknown).min(axis=1),
        stranger=people[drawn.unknown],
    )


def open_set(
    embeddings: Embeddings,
    people: Numbers,
    found: NDArray[np.bool_],
    enrolled: int,
    *,
    photos: int = PHOTOS,
    draws: int = DRAWS,
    seed: int = 0,
) -> OpenSet:
    """Error rates of searches in `draws` galleries of `enrolled` people, drawn with `seed`.

    embeddings: unit vectors, (N, D). people: who is on each, (N,), numbers 0 to P - 1. found:
    whether the photo has a face, (N,). photos: the most enrolled of a person. Raises DataError for
    too few people or photos.
    """
    rng = np.random.default_rng(seed)
    searches = [
        search(embeddings, people, found, draw(people, enrolled, photos, rng)) for _ in range(draws)
    ]
    return summary(searches, enrolled, int(people.max()) + 1)


def summary(searches: Sequence[Searches], enrolled: int, people: int) -> OpenSet:
    """The means over galleries of one size, with intervals over the people, `people` in number."""
    unknown = len(searches[0].nearest)
    told = [rate * unknown >= 1 - 1e-9 for rate in FPIR_RATES]

    def figures(weights: Weights) -> list[float]:
        tallies = [one.tally(weights) for one in searches]
        fnir = [_mean(tally.fnmr_at_fmr(rate) for tally in tallies) for rate in FPIR_RATES]
        return [_mean(_within(one, 1, weights) for one in searches), *fnir]

    def by_rate(values: Sequence[Figure | None]) -> dict[str, Figure | None]:
        return {
            str(rate): value if supported else None
            for rate, value, supported in zip(FPIR_RATES, values, told, strict=True)
        }

    ones = np.ones(people)
    rank1, *fnir = figures(ones)
    around_rank1, *around_fnir = intervals(figures, people)
    tallies = [one.tally() for one in searches]
    grid = np.unique(np.geomspace(1 / unknown, 1, 60))[:-1]
    found = [(float(fpir), 1 - _mean(t.fnmr_at_fmr(fpir) for t in tallies)) for fpir in grid]
    return OpenSet(
        enrolled=enrolled,
        known_probes=round(_mean(len(one.rank) for one in searches)),
        unknown_probes=unknown,
        rank1=rank1,
        fnir_at_fpir=by_rate(fnir),
        intervals={"rank1": around_rank1, "fnir_at_fpir": by_rate(around_fnir)},
        draws=len(searches),
        cmc=[
            _mean(_within(one, rank, ones) for one in searches)
            for rank in range(1, min(RANKS, enrolled) + 1)
        ],
        dir=[*found, (1.0, rank1)],
    )


def _within(one: Searches, rank: int, people: Weights) -> float:
    """The share of known probes whose own person is among the nearest `rank`."""
    weights = people[one.person]
    total = float(weights.sum())
    return float(weights[one.rank <= rank].sum()) / total if total else math.nan


def _mean(values: Iterable[float]) -> float:
    """The mean over the draws that have a value."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
