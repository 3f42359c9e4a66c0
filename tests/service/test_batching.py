"""Many threads, one run of the network."""

import threading

import numpy as np
import pytest

from facesearch.core.errors import ModelError
from facesearch.core.paths import shipped_models
from facesearch.service.batching import BatchingModel
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import CHIPS_PER_RUN


@pytest.fixture(scope="module")
def batching() -> BatchingModel:
    return BatchingModel(shipped_models() / "default", None, None)


def test_the_same_vectors_in_fewer_runs(batching: BatchingModel, embedder: Embedder) -> None:
    rng = np.random.default_rng(0)
    size = batching.preprocessing.size
    counts = [1, 2, 0, 3, CHIPS_PER_RUN + 1, 1, 1, 5]
    asked = [rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8) for count in counts]
    found: list[object] = [None] * len(asked)
    barrier = threading.Barrier(len(asked))

    def ask(number: int) -> None:
        barrier.wait()
        found[number] = batching.embed_with_consistency(asked[number])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(asked))]
    before = batching.runs
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for chips, answer in zip(asked, found, strict=True):
        assert isinstance(answer, tuple)
        alone = embedder.model.embed_with_consistency(chips)
        for ours, theirs in zip(answer, alone, strict=True):
            assert ours.shape == theirs.shape
            np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert 1 <= batching.runs - before < sum(count > 0 for count in counts)


def test_whoever_asked_is_told_of_a_fault(batching: BatchingModel) -> None:
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        batching.embed_with_consistency(np.zeros((1, 7, 7, 3), np.uint8))
    size = batching.preprocessing.size
    assert batching.embed(np.zeros((1, size, size, 3), np.uint8)).shape == (1, 128)


def test_the_thread_ends() -> None:
    model = BatchingModel(shipped_models() / "default", None, None)
    size = model.preprocessing.size
    assert len(model.embed(np.zeros((2, size, size, 3), np.uint8))) == 2
    model.close()
    assert not model._thread.is_alive()


def test_no_model_no_thread() -> None:
    with pytest.raises(ModelError):
        BatchingModel(shipped_models() / "none", None, None)
