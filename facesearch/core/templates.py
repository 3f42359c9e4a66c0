"""A person as one vector, their template: a face is as near to a person as to it."""

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings

PEOPLE = 1 << 15  # people whose faces are held in double precision at a time


def templates(embeddings: Embeddings, people: NDArray[np.int64]) -> Embeddings:
    """The normalised mean of each person's embeddings.

    embeddings: unit vectors, (N, D). people: who is on each, (N,), numbers 0 to P - 1, each at
    least once. Returns unit vectors, (P, D). docs/development/error-rates.md compares it with other
    distances to a person.
    """
    order = np.argsort(people, kind="stable")
    starts = np.searchsorted(people[order], np.arange(people.max() + 2 if len(people) else 1))
    made = np.empty((len(starts) - 1, embeddings.shape[1]), np.float32)
    for at in range(0, len(made), PEOPLE):
        part = starts[at : at + PEOPLE + 1]
        rows = embeddings[order[part[0] : part[-1]]].astype(np.float64)
        sums = np.add.reduceat(rows, part[:-1] - part[0], axis=0)
        # faces exactly opposite cancel out; the floor keeps such a person at an equal distance
        norms = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
        made[at : at + PEOPLE] = sums / norms
    return made
