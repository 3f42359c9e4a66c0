"""The scores of benchmarks.clusters."""

import numpy as np

from benchmarks.clusters import scores


def test_scores() -> None:
    perfect = np.array([0, 0, 1, 2])
    assert scores(perfect, perfect).b_f == 1
    one = scores(np.zeros(4, np.int64), np.array([0, 0, 1, 1]))
    assert (one.precision, one.recall) == (2 / 6, 1)
    assert (one.b_precision, one.b_recall) == (0.5, 1)
    split = scores(np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1]))
    assert (split.recall, split.b_precision, split.b_recall) == (0, 1, 0.5)
