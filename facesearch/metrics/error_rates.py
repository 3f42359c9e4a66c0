"""How many genuine and impostor pairs lie at each distance, and the error rates that follow."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Weights = Floats  # of people or of pairs; a count is a weight, too


@dataclass(frozen=True)
class Tally:
    """Pairs counted or weighed at each distance.

    All arrays (L,). Error rates are nan without a genuine or without an impostor pair.
    """

    distance: Floats  # ascending
    genuine: Weights
    impostor: Weights

    @cached_property
    def accepted(self) -> Weights:
        """Genuine pairs up to each distance."""
        return np.cumsum(self.genuine)

    @cached_property
    def matched(self) -> Weights:
        """Impostor pairs up to each distance."""
        return np.cumsum(self.impostor)

    def rates(self) -> tuple[Floats, Floats]:
        """False match and false non-match rate, (L + 1,) each, accepting none to all distances."""
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
        """The error at which false matches and false non-matches are as frequent, interpolated."""
        fmr, fnmr = self.rates()
        after = int(np.argmax(fmr >= fnmr))  # fmr rises from 0 and fnmr falls to 0: they do cross
        before = max(after - 1, 0)
        gap_before, gap_after = fnmr[before] - fmr[before], fmr[after] - fnmr[after]
        share = gap_before / (gap_before + gap_after) if gap_before + gap_after else 0.0
        return float(fmr[before] + share * (fmr[after] - fmr[before]))

    def fnmr_at_fmr(self, rate: float) -> float:
        """The share of genuine pairs refused where at most the share `rate` of impostors match.

        At a tie all equal distances are refused.
        """
        if not self.matched[-1] or not self.accepted[-1]:
            return float("nan")
        allowed = rate * self.matched[-1] + 1e-9
        levels = int(np.searchsorted(self.matched, allowed, side="right"))
        return 1 - float(self.accepted[levels - 1] / self.accepted[-1]) if levels else 1.0


BINS = 20_001  # of 1e-4


def binned(genuine: Floats, impostor: Floats) -> Tally:
    """Many distances counted in bins, fine enough for a plot."""
    distance = np.arange(1, BINS + 1) / (BINS - 1) * 2
    counts = (
        np.bincount((side * (BINS // 2)).astype(np.int64).clip(max=BINS - 1), minlength=BINS)
        for side in (genuine, impostor)
    )
    return Tally(distance, *(count.astype(np.float64) for count in counts))


class Ranked:
    """Floats ranked once, to be tallied many times with other weights."""

    def __init__(self, genuine: Floats, impostor: Floats) -> None:
        distances = np.concatenate([genuine, impostor])
        self._levels, ranks = np.unique(distances, return_inverse=True)
        self._genuine, self._impostor = ranks[: len(genuine)], ranks[len(genuine) :]

    def tally(self, genuine: Weights | None = None, impostor: Weights | None = None) -> Tally:
        """genuine, impostor: the weight of each distance; by default they are counted."""
        size = len(self._levels)
        return Tally(
            self._levels,
            np.bincount(self._genuine, genuine, size).astype(np.float64),
            np.bincount(self._impostor, impostor, size).astype(np.float64),
        )
