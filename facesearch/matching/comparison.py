"""Whether two photos show one person."""

import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from facesearch.core.embedded import EmbeddedFace
from facesearch.core.parallel import in_order
from facesearch.core.photos import Photo
from facesearch.matching.calibration import Calibration
from facesearch.matching.decision import EVEN, Answer
from facesearch.matching.evidence import probability

if TYPE_CHECKING:
    from facesearch.vision.embedder import Embedder


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answer for two photos."""

    a: Photo  # as it was given
    b: Photo
    answer: Answer  # match, unknown (different people) or unusable
    distance: float | None  # between the two faces
    threshold: float  # the largest distance that was accepted
    probability: float | None  # that both are one person
    reason: str  # why there is no answer, or which of several faces was used
    # the faces that were compared, as far as they were found
    faces: tuple[EmbeddedFace, ...] = field(default=(), repr=False)
    warning: str = ""  # what there is to say about the threshold

    @property
    def same(self) -> bool | None:
        """Whether both are one person; None if a photo has no usable face."""
        return None if self.answer == "unusable" else self.answer == "match"


def compare(
    embedder: "Embedder",
    calibration: Calibration,
    a: Path,
    b: Path,
    threshold: float,
    prior: float = EVEN,
    *,
    keep: bool = False,
) -> Comparison:
    """Compare the largest usable faces of two photos.

    prior: the probability, before the photos were looked at, that they show one person.
    keep: whether the result's faces carry their chips, for storage. Raises PhotoError.
    """
    notes: list[str] = []
    faces: list[EmbeddedFace] = []
    for path, photo in in_order(partial(embedder.embed_photo, keep=keep), (a, b)):
        face, why = _main_face(photo.result().faces)
        if face is None:
            reason = f"{path}: {why}"
            return Comparison(a, b, "unusable", None, threshold, None, reason, tuple(faces))
        if why:
            notes.append(f"{path}: {why}")
        faces.append(face)
    distance = math.dist(faces[0].embedding, faces[1].embedding)
    answer: Answer = "match" if distance <= threshold else "unknown"
    worse = min(face.flip_consistency for face in faces)
    likely = probability(calibration.evidence.log_ratio(distance, worse), prior)
    return Comparison(a, b, answer, distance, threshold, likely, "; ".join(notes), tuple(faces))


def _main_face(faces: list[EmbeddedFace]) -> tuple[EmbeddedFace | None, str]:
    """The largest usable face, or None, and what there is to say about the choice."""
    if not faces:
        return None, "no face found"
    good = [face for face in faces if not face.reason]
    if not good:
        return None, faces[0].reason
    return good[0], f"the largest of {len(good)} faces was used" * (len(good) > 1)
