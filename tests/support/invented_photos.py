"""Photos with invented faces, to be enrolled without a picture."""

from pathlib import Path

import numpy as np

from facesearch.core.face import Box, Face
from facesearch.storage.records import ModelStamp, NewPhoto

MODEL = ModelStamp("default", "f" * 64, 128)


def photo(name: str, number: int, faces: int = 1, path: Path | None = None) -> NewPhoto:
    """Another number is another photo, with other faces; the same number always the same."""
    rng = np.random.default_rng(number)
    points = tuple((float(x), float(y)) for x, y in rng.uniform(0, 100, (5, 2)))
    vectors = rng.normal(size=(faces, 128)).astype(np.float32)
    return NewPhoto(
        name=name,
        path=path or Path(f"/photos/{number}.jpg"),
        sha256=f"{number:064x}",
        width=640,
        height=480,
        faces=[Face(Box(100.0 * at, 2, 100 * at + 60, 80), points, 0.5) for at in range(faces)],
        embeddings=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        flip_consistencies=[0.9] * faces,
    )
