"""What a count of errors says about their true rate, with 95 % confidence."""

import math

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95  # one-sided: of twenty promises one may be broken
RULE_OF_30 = 30  # errors that must have been seen for a bound on dependent trials to be used


def most_errors(trials: int, rate: float) -> int:
    """The most errors in independent trials that still show the true rate to be below `rate`.

    It is the largest k such that, at a true rate of `rate`, k errors or fewer would be seen with a
    probability of at most 1 - CONFIDENCE; -1 if not even 0 errors would show it. rate: in (0, 1).
    Source: Clopper and Pearson, Biometrika 26, 1934, the upper limit inverted.
    """
    if (1 - rate) ** trials > 1 - CONFIDENCE:
        return -1
    counts = np.arange(math.floor(trials * rate) + 1)
    logs = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in counts
    ]
    logs += counts * math.log(rate) + (trials - counts) * math.log1p(-rate)
    return int(np.searchsorted(np.cumsum(np.exp(logs)), 1 - CONFIDENCE, side="right")) - 1


def smallest_rate(trials: int) -> float:
    """The smallest upper limit of the rate that trials without an error give; 1 without a trial."""
    return 1.0 if trials == 0 else 1 - (1 - CONFIDENCE) ** (1 / trials)


def pair_rate_bound(matches: NDArray[np.int64]) -> float:
    """The upper confidence limit of the share of pairs of people that match.

    matches: for each of n people, how many of the other n - 1 they match, (n,). Pairs that share a
    person depend on each other: the limit is the normal one with the variance of a U-statistic,
    which is 4 / n times the variance of a person's own share. For pairs that match independently
    that variance is too large, by a factor of at most 2.
    Source: Hoeffding, Annals of Mathematical Statistics 19, 1948.
    """
    people = len(matches)
    shares = matches / (people - 1)
    deviation = math.sqrt(4 * float(shares.var(ddof=1)) / people)
    return float(shares.mean()) + 1.645 * deviation
