"""Counts of genuine and impostor pairs by distance, and the error rates that follow from them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = Floats  # of people or of pairs; a count is a weight


@dataclass(frozen=True)
class Tally:
    """The number, or the weight, of the pairs at each distance.

    All arrays are (L,). Error rates are nan without a genuine or without an impostor pair.
    """

    distance: Floats  # ascending
    genuine: Weights
    impostor: Weights

    @cached_property
    def accepted(self) -> Weights:
        """The genuine pairs up to each distance."""
        return np.cumsum(self.genuine)

    @cached_property
    def matched(self) -> Weights:
        """The impostor pairs up to each distance."""
        return np.cumsum(self.impostor)

    def rates(self) -> tuple[Floats, Floats]:
        """False match and false non-match rates, (L + 1,) each, with 0 to L distances accepted."""
        with np.errstate(invalid="ignore"):  # nobody is left of one kind
            fmr = np.concatenate([[0.0], self.matched]) / self.matched[-1]
            fnmr = 1 - np.concatenate([[0.0], self.accepted]) / self.accepted[-1]
        return fmr, fnmr

    def auc(self) -> float:
        """The chance that a genuine pair is nearer than an impostor pair; ties count half.

        Source: Hanley and McNeil, Radiology 143, 1982 (the Mann-Whitney statistic).
        """
        pairs = float(self.accepted[-1] * self.matched[-1])
        farther = pairs - float(self.genuine @ (self.matched - self.impostor / 2))
        return farther / pairs if pairs else float("nan")

    def eer(self) -> float:
        """The rate at which both errors are equally frequent, interpolated."""
        fmr, fnmr = self.rates()
        after = int(np.argmax(fmr >= fnmr))  # they cross: fmr rises from 0 and fnmr falls to 0
        before = max(after - 1, 0)
        gap_before, gap_after = fnmr[before] - fmr[before], fmr[after] - fnmr[after]
        share = gap_before / (gap_before + gap_after) if gap_before + gap_after else 0.0
        return float(fmr[before] + share * (fmr[after] - fmr[before]))

    def fnmr_at_fmr(self, rate: float) -> float:
        """The share of genuine pairs refused where at most `rate` of the impostor pairs match.

        Pairs at equal distances are accepted or refused together.
        """
        if not self.matched[-1] or not self.accepted[-1]:
            return float("nan")
        allowed = rate * self.matched[-1] + 1e-9
        levels = int(np.searchsorted(self.matched, allowed, side="right"))
        return 1 - float(self.accepted[levels - 1] / self.accepted[-1]) if levels else 1.0


BINS = 20_001  # each 1e-4 wide, from 0 to 2


def binned(genuine: Floats, impostor: Floats) -> Tally:
    """A tally of many distances in BINS, fine enough for a plot."""
    distance = np.arange(1, BINS + 1) / (BINS - 1) * 2
    counts = (
        np.bincount((side * (BINS // 2)).astype(np.int64).clip(max=BINS - 1), minlength=BINS)
        for side in (genuine, impostor)
    )
    return Tally(distance, *(count.astype(np.float64) for count in counts))


class Ranked:
    """Distances sorted once, to be tallied many times with different weights."""

    def __init__(self, genuine: Floats, impostor: Floats) -> None:
        distances = np.concatenate([genuine, impostor])
        self._levels, ranks = np.unique(distances, return_inverse=True)
        self._genuine, self._impostor = ranks[: len(genuine)], ranks[len(genuine) :]

    def tally(self, genuine: Weights | None = None, impostor: Weights | None = None) -> Tally:
        """genuine, impostor: the weight of each distance; without them each counts as one."""
        size = len(self._levels)
        return Tally(
            self._levels,
            np.bincount(self._genuine, genuine, size).astype(np.float64),
            np.bincount(self._impostor, impostor, size).astype(np.float64),
        )
