"""Batches repeat themselves, and hold the people and photos that the settings ask for."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from facesearch.training.batches import Batches  # noqa: E402
from tests.support.small_training import SMALL, coloured_faces  # noqa: E402

FACES = coloured_faces()


def test_batches_repeat_with_the_seed_and_nothing_else() -> None:
    config = replace(SMALL, people=3, photos=2, singles=2)
    first, second = (
        Batches(FACES, config, epoch=4),
        Batches(FACES, config, epoch=4),
    )
    second[1]  # what was drawn before does not matter
    torch.rand(5)
    for a, b in zip(first[3], second[3], strict=True):
        assert torch.equal(a, b)
    for other in (
        Batches(FACES, config, epoch=5)[3],
        first[2],
        Batches(FACES, replace(config, seed=1), epoch=4)[3],
    ):
        assert not torch.equal(first[3][0], other[0])


def test_a_batch_holds_people_photos_and_singles() -> None:
    chips, people = Batches(FACES, replace(SMALL, people=3, photos=3, singles=2), epoch=0)[0]
    assert chips.shape == (11, 3, 48, 48)
    assert chips.dtype == torch.float32
    counts = sorted(np.bincount(people).tolist(), reverse=True)[:5]
    assert counts == [3, 3, 3, 1, 1]
    assert set(people[-2:].tolist()) <= {4, 5, 6, 7}
    few = Batches(FACES, replace(SMALL, people=2, photos=6, singles=0), epoch=0)[0][1]
    assert sorted(np.bincount(few)[np.bincount(few) > 0].tolist()) == [6, 6]
