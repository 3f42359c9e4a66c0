"""Embeddings of invented people, to measure with."""

import numpy as np
from numpy.typing import NDArray

from facesearch.matching.cohort import Cohort


def crowd(people: int, photos: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """A random place for each person, and photos scattered around it: (N, 32) and (N,)."""
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(people, 32))
    vectors = places[:, None] + rng.normal(0, 0.7, (people, photos, 32))
    vectors = vectors.reshape(-1, 32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), np.repeat(np.arange(people), photos)


def cohort(people: int, photos: int, seed: int, name: str = "crowd") -> Cohort:
    vectors, owners = crowd(people, photos, seed)
    keys = np.arange(len(owners), dtype=np.uint64) + np.uint64(1000 * seed)
    return Cohort.drawn(vectors, np.ones(len(owners), np.float32), owners, keys, name)
