"""Faces that the user rejected as a person's, and how they are recognised again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import ModelError
from facesearch.core.face import SAME_BOX_IOU, Box
from facesearch.matching.calibration import calibration_of
from facesearch.matching.duplicates import near_enough

if TYPE_CHECKING:
    from facesearch.vision.model import Model

# where there is no calibration; experiments/copy_distances.py shows how far copies move
NEAR = 0.15


def near_of(model: "Model") -> float:
    """The distance within which a model's embeddings of two faces count as copies of one face."""
    try:
        return near_enough(calibration_of(model))
    except ModelError:
        return NEAR


@dataclass(frozen=True, slots=True)
class Rejection:
    """The user's word that a face is not a person's."""

    number: int
    name: str  # of the person that the face does not show
    sha256: str  # of the photo
    box: Box
    embedding: Embeddings  # (D,), or empty where the face could not be recognised
    at: str  # ISO 8601, UTC
    near: float = NEAR  # the distance within which another face is a copy of this one

    def bars(self, sha256: str, box: Box, embedding: Embeddings) -> bool:
        """Whether this is the rejected face, in the same place of the photo, or a copy of it."""
        if sha256 == self.sha256:
            return box.overlap(self.box) >= SAME_BOX_IOU
        if len(embedding) != len(self.embedding) or not len(embedding):
            return False  # the embedding of another model, or none
        return float(np.linalg.norm(embedding - self.embedding)) <= self.near


def barred(said: list[Rejection], sha256: str, box: Box, embedding: Embeddings) -> set[str]:
    """The names of the people that a face was rejected as."""
    return {each.name for each in said if each.bars(sha256, box, embedding)}
