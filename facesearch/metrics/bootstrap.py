"""Confidence intervals by a bootstrap over people: pairs of one person are not independent."""

from collections.abc import Callable, Sequence

import numpy as np

from facesearch.metrics.error_rates import Weights

REPLICATES = 200
TAIL = 0.025  # the share left out at either end: intervals of 95 %

Interval = tuple[float, float]
Intervals = dict[
    str, Interval | dict[str, Interval | None] | None
]  # by the figure's name, some of them also by rate


def intervals(
    figures: Callable[[Weights], Sequence[float]],
    people: int,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[Interval | None]:
    """The 95 % percentile interval of each figure, over people drawn with replacement.

    people: how many there are, and how many are drawn each time. figures: takes how often each
    person was drawn, (people,), and returns the figures, nan for one that is undefined. A person
    who was drawn w times gives the weight w to each of their genuine pairs, and w v to each pair
    with somebody who was drawn v times; a person and a copy of them are no pair. The interval is
    None for a figure that is undefined in more than half of the replicates.
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
