"""Confidence intervals from people drawn again: pairs of one person are not independent."""

from collections.abc import Callable, Sequence

import numpy as np

from facesearch.metrics.error_rates import Weights

REPLICATES = 200
TAIL = 0.025  # left out at either end: 95 % intervals

Interval = tuple[float, float]
Intervals = dict[str, Interval | dict[str, Interval | None] | None]  # by figure, and by rate


def intervals(
    figures: Callable[[Weights], Sequence[float]],
    people: int,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[Interval | None]:
    """The 95 % percentile interval of each figure, over as many people drawn with replacement.

    figures: from how often each person was drawn, (people,), to figures, nan where there is none.
    A person drawn w times gives each genuine pair the weight w, and pairs with somebody drawn v
    times the weight w v; a person and a copy of them are no pair. None for a figure that less
    than half of the replicates have.
    Source: Bolle, Ratha and Pankanti, "Error analysis of pattern recognition systems: the subsets
    bootstrap", CVIU 93, 2004.
    """
    rng = np.random.default_rng(seed)
    even = np.full(people, 1 / people)
    drawn = (rng.multinomial(people, even).astype(np.float64) for _ in range(replicates))
    found: list[Interval | None] = []
    for values in np.array([figures(weights) for weights in drawn]).T:
        known = values[np.isfinite(values)]
        low, high = np.quantile(known, [TAIL, 1 - TAIL]) if len(known) else (0.0, 0.0)
        found.append((float(low), float(high)) if 2 * len(known) >= replicates else None)
    return found
