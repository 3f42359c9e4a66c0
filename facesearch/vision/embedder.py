"""The one way of a photo: pixels, faces, chips, embeddings."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from facesearch.core import parallel
from facesearch.core.arrays import Chips, Embeddings
from facesearch.core.errors import PhotoError
from facesearch.core.face import Face
from facesearch.core.parallel import Item, Result
from facesearch.core.paths import DETAIL, MIN_FACE
from facesearch.vision.face_reader import AlignedPhoto, FaceReader
from facesearch.vision.model import Model
from facesearch.vision.quality import unrecognisable


@dataclass(frozen=True, slots=True)
class EmbeddedFace:
    """A face as the model sees it."""

    face: Face
    embedding: Embeddings  # (D,)
    agreement: float  # see Model.embed_rated
    reason: str  # why it cannot be recognised; empty if it can
    kept: bytes | None = None  # its chip to keep, where that was asked for


@dataclass(frozen=True, slots=True)
class EmbeddedPhoto:
    """One photo as the model sees it: its size and its faces, the largest first."""

    width: int
    height: int
    faces: list[EmbeddedFace]


class Embedder(FaceReader):
    """A model with its detector: photos to faces with embeddings."""

    def __init__(self, model: Model, detail: int = DETAIL, min_face: float = MIN_FACE) -> None:
        super().__init__(model.preprocessing, model.detector_files, detail, min_face)
        self.model = model
        model.load_in_background()

    def embed_photo(self, path: Path, *, keep: bool = False) -> EmbeddedPhoto:
        """A photo with its faces. keep: with chips to keep. Raises PhotoError."""
        portrait = self.read(path, keep=keep)
        return EmbeddedPhoto(portrait.width, portrait.height, self.faces(portrait))

    def embed(self, chips: Chips) -> Embeddings:
        """Unit vectors, (N, D)."""
        return self.model.embed(chips)

    def faces(self, portrait: AlignedPhoto) -> list[EmbeddedFace]:
        """The faces of a photo with their embeddings, in its order."""
        embeddings, agreements = self.model.embed_with_consistency(portrait.chips)
        least = self.model.least_agreement
        kept: list[bytes] | list[None] = portrait.kept or [None] * len(portrait.faces)
        return [
            EmbeddedFace(
                face, embedding, float(agreement), reason or unrecognisable(agreement, least), chip
            )
            for face, reason, embedding, agreement, chip in zip(
                portrait.faces, portrait.reasons, embeddings, agreements, kept, strict=True
            )
        ]


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result | PhotoError]]:
    """See `threads.in_order`; a photo that cannot be read comes back as its PhotoError."""
    for item, future in parallel.in_order(work, items):
        try:
            yield item, future.result()
        except PhotoError as error:
            yield item, error
