"""Embeddings of invented people that lie as far apart as those of the shipped model do."""

import numpy as np
from numpy.typing import NDArray

D = 128
BETWEEN, WITHIN = 0.52, 0.19  # scatter of people around their mean, of photos around their person


def faces_of(person: int, photos: int, within: float = WITHIN) -> NDArray[np.float32]:
    """Photos of one person, (N, D): about 0.27 from one another, 0.7 from other people."""
    common = _unit(np.random.default_rng(10**6).normal(size=D))
    rng = np.random.default_rng(person)
    place = _unit(common + BETWEEN * rng.normal(size=D) / np.sqrt(D))
    scatter = within * rng.normal(size=(photos, D)) / np.sqrt(D)
    return _unit(place + scatter).astype(np.float32)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
