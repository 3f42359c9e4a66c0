"""What is stored of a photo that is enrolled."""

import os
from pathlib import Path

import numpy as np

from facesearch.core.uploads import Upload
from facesearch.enrollment.journal import PhotoScan
from facesearch.storage.records import ModelStamp, NewPhoto
from facesearch.vision.embedder import Embedder


def new_photo(name: str, scan: PhotoScan) -> NewPhoto:
    """The record of a photo whose faces, at least one, are all one person's."""
    return NewPhoto(
        name=name,
        path=_absolute(scan.path),
        sha256=scan.sha256,
        width=scan.width,
        height=scan.height,
        faces=[seen.face for seen in scan.faces],
        embeddings=np.array([seen.embedding for seen in scan.faces]),
        flip_consistencies=[seen.flip_consistency for seen in scan.faces],
        chips=[seen.kept for seen in scan.faces if seen.kept is not None] or None,
    )


def stamp(embedder: Embedder) -> ModelStamp:
    """The model that made the embeddings, as the gallery notes it."""
    model = embedder.model
    return ModelStamp(model.name, model.fingerprint, model.dimension)


def _absolute(path: Path) -> Path:
    if isinstance(path, Upload):
        return path
    return Path(os.path.abspath(path))  # noqa: PTH100 - keeps links as they are
