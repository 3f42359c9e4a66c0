"""Invented photos to be put into a store: no model has seen them."""

from pathlib import Path

import numpy as np

from facesearch.core.face import Box, Face
from facesearch.storage.records import ModelStamp, NewPhoto

MODEL = ModelStamp("default", "f" * 64, 128)


def photo(name: str, number: int, faces: int = 1) -> NewPhoto:
    """A photo of a person; the number gives its path, its content and the embeddings."""
    rng = np.random.default_rng(number)
    points = tuple((float(x), float(y)) for x, y in rng.uniform(0, 100, (5, 2)))
    return NewPhoto(
        name=name,
        path=Path(f"/photos/{number}.jpg"),
        sha256=f"{number:064}",
        width=640,
        height=480,
        faces=[Face(Box(1.5, 2, 30, 40), points, 0.5)] * faces,
        embeddings=rng.normal(size=(faces, 128)).astype(np.float32),
        flip_consistencies=[0.9 + number / 100] * faces,
    )
