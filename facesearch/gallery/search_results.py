"""What a search of a gallery answers."""

from dataclasses import dataclass

from facesearch.core.errors import PhotoError
from facesearch.core.photos import Photo
from facesearch.matching.decision import Candidate, Decision
from facesearch.matching.identification import IdentifiedFace


@dataclass(frozen=True, slots=True)
class IdentifyResult:
    """The answers for one photo, or why it could not be read."""

    photo: Photo  # as it was given
    faces: list[IdentifiedFace]  # the largest first; empty with an error
    error: PhotoError | None = None
    threshold: float | None = None  # the largest distance that was accepted
    warning: str = ""  # what there is to say about the threshold
    width: int | None = None  # of the upright photo
    height: int | None = None


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Whose an embedding is."""

    decision: Decision
    threshold: float  # the largest distance that was accepted
    candidates: list[Candidate]  # the nearest people, nearest first
    warning: str = ""  # what there is to say about the threshold
