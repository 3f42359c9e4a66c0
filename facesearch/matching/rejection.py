"""Which faces are known not to be a person's."""

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

NEAR = (
    0.15  # where no calibration says more; experiments/copy_distances.py shows how far copies move
)


def near_of(model: "Model") -> float:
    """The distance within which, by this model, a face is taken for a copy of another."""
    try:
        return near_enough(calibration_of(model))
    except ModelError:
        return NEAR


@dataclass(frozen=True, slots=True)
class Rejection:
    """One face that is not one person's."""

    number: int
    name: str  # of the person whose face it is not
    sha256: str  # of the photo
    box: Box
    embedding: Embeddings  # (D,), or empty where the face could not be recognised
    at: str  # ISO 8601, UTC
    near: float = NEAR  # the distance within which another face is a copy of this one

    def bars(self, sha256: str, box: Box, embedding: Embeddings) -> bool:
        """Whether this is the face: in the same photo and place, or so near that it is a copy."""
        if sha256 == self.sha256:
            return box.overlap(self.box) >= SAME_BOX_IOU
        if len(embedding) != len(self.embedding) or not len(embedding):
            return False  # another model's
        return float(np.linalg.norm(embedding - self.embedding)) <= self.near


def barred(said: list[Rejection], sha256: str, box: Box, embedding: Embeddings) -> set[str]:
    """The people whose a face is known not to be."""
    return {each.name for each in said if each.bars(sha256, box, embedding)}
