"""Photos and faces as a model sees them."""

from dataclasses import dataclass

from facesearch.core.arrays import Embeddings
from facesearch.core.face import Face


@dataclass(frozen=True, slots=True)
class EmbeddedFace:
    """A face as the model sees it."""

    face: Face
    embedding: Embeddings  # (D,)
    flip_consistency: float  # see Model.embed_with_consistency
    reason: str  # why it cannot be recognised; empty if it can
    kept: bytes | None = None  # its chip to keep, where that was asked for


@dataclass(frozen=True, slots=True)
class EmbeddedPhoto:
    """One photo as the model sees it: its size and its faces, the largest first."""

    width: int
    height: int
    faces: list[EmbeddedFace]
