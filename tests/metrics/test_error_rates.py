"""Tallies agree with loops over pairs, and their rates are those of the pairs."""

import math

import numpy as np
import pytest

from facesearch.metrics.error_rates import Ranked, binned

GENUINE = np.array([0.2, 0.5, 0.5, 0.9])
IMPOSTOR = np.array([0.5, 0.8, 0.9, 1.2, 1.3])


def test_counts_by_distance() -> None:
    tally = Ranked(GENUINE, IMPOSTOR).tally()
    assert tally.distance.tolist() == [0.2, 0.5, 0.8, 0.9, 1.2, 1.3]
    assert tally.genuine.tolist() == [1, 2, 0, 1, 0, 0]
    assert tally.impostor.tolist() == [0, 1, 1, 1, 1, 1]
    fmr, fnmr = tally.rates()
    assert fmr.tolist() == pytest.approx([0, 0, 0.2, 0.4, 0.6, 0.8, 1])
    assert fnmr.tolist() == pytest.approx([1, 0.75, 0.25, 0.25, 0, 0, 0])


def test_weights_are_pairs_repeated() -> None:
    rng = np.random.default_rng(0)
    genuine, impostor = rng.integers(1, 4, 4), rng.integers(1, 4, 5)
    weighed = Ranked(GENUINE, IMPOSTOR).tally(genuine.astype(float), impostor.astype(float))
    repeated = Ranked(np.repeat(GENUINE, genuine), np.repeat(IMPOSTOR, impostor)).tally()
    assert weighed.auc() == pytest.approx(repeated.auc())
    assert weighed.eer() == pytest.approx(repeated.eer())
    for rate in (0.0, 0.2, 0.5, 1.0):
        assert weighed.fnmr_at_fmr(rate) == pytest.approx(repeated.fnmr_at_fmr(rate))


def test_equal_distances_are_accepted_or_refused_together() -> None:
    tally = Ranked(GENUINE, IMPOSTOR).tally()
    assert tally.fnmr_at_fmr(0.19) == pytest.approx(0.75)  # 0.5 would let an impostor in
    assert tally.fnmr_at_fmr(0.2) == pytest.approx(0.25)
    assert tally.fnmr_at_fmr(1.0) == 0
    assert Ranked(GENUINE, np.array([0.1])).tally().fnmr_at_fmr(0.5) == 1


def test_without_pairs_of_one_kind_nothing_is_known() -> None:
    for one in (Ranked(GENUINE, IMPOSTOR[:0]), Ranked(GENUINE[:0], IMPOSTOR)):
        tally = one.tally()
        assert math.isnan(tally.auc())
        assert math.isnan(tally.fnmr_at_fmr(0.1))


def test_bins_are_fine_enough() -> None:
    rng = np.random.default_rng(1)
    genuine, impostor = rng.uniform(0, 1.2, 500), rng.uniform(0.7, 2, 2000)
    exact, coarse = Ranked(genuine, impostor).tally(), binned(genuine, impostor)
    assert coarse.genuine.sum() == 500
    assert coarse.impostor.sum() == 2000
    assert coarse.auc() == pytest.approx(exact.auc(), abs=1e-3)
    assert coarse.eer() == pytest.approx(exact.eer(), abs=2e-3)
    assert binned(np.array([0.0, 2.0001]), impostor).genuine.sum() == 2
