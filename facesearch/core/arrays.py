"""The arrays that the packages pass to each other, and the key of a photo's content."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (H, W, 3), RGB
Chips = NDArray[np.uint8]  # (N, S, S, 3), RGB: aligned faces
Embeddings = NDArray[np.float32]  # (N, D), unit vectors
FlipConsistencies = NDArray[np.float32]  # (N,), of each chip with its mirror image
Distances = NDArray[np.float64]  # Euclidean, between unit vectors


def content_key(sha256: str) -> int:
    """64 bits of a file's SHA-256, given in hexadecimal: enough to know a photo again."""
    return int(sha256[:16], 16)
