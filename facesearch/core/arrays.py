"""The arrays that the packages pass to each other, and the key of a photo's content."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3), RGB
Chips = NDArray[np.uint8]  # (N, S, S, 3), RGB: aligned faces
Embeddings = NDArray[np.float32]  # (N, D), unit vectors
FlipConsistencies = NDArray[np.float32]  # (N,), see Model.embed_with_consistency
Distances = NDArray[np.float64]  # Euclidean, between unit vectors


def content_key(sha256: str) -> int:
    """The first 64 bits of a file's SHA-256, which is given in hexadecimal: a photo's short key."""
    return int(sha256[:16], 16)
