"""A person as one vector: the only place that says how near a face is to a person."""

import numpy as np
from numpy.typing import NDArray

from facesearch.model import Embeddings


def templates(embeddings: Embeddings, people: NDArray[np.int64]) -> Embeddings:
    """The mean of each person's embeddings, normalised; a person is as near as their template.

    embeddings: unit vectors, (N, D). people: who is on each, (N,), numbers 0 to P - 1, each at
    least once. Returns unit vectors, (P, D). docs/error-rates.md says what else was measured.
    """
    order = np.argsort(people, kind="stable")
    starts = np.searchsorted(people[order], np.arange(people.max() + 1 if len(people) else 0))
    if not len(starts):
        return embeddings[:0]
    sums = np.add.reduceat(embeddings[order].astype(np.float64), starts, axis=0)
    # faces exactly opposite would cancel out; the floor keeps such a person at an equal distance
    norms = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    return np.asarray(sums / norms, np.float32)
