"""The one way of a photo: read it, find the faces, align them, embed them."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from facesearch.core import parallel
from facesearch.core.arrays import Chips, Embeddings
from facesearch.core.embedded import EmbeddedFace as EmbeddedFace
from facesearch.core.embedded import EmbeddedPhoto as EmbeddedPhoto
from facesearch.core.errors import PhotoError
from facesearch.core.parallel import Item, Result
from facesearch.core.paths import DETAIL, MIN_FACE
from facesearch.vision.face_reader import AlignedPhoto, FaceReader
from facesearch.vision.model import Model
from facesearch.vision.quality import unrecognisable


class Embedder(FaceReader):
    """A model with its detector: finds the faces of photos and embeds them."""

    def __init__(self, model: Model, detail: int = DETAIL, min_face: float = MIN_FACE) -> None:
        super().__init__(model.preprocessing, model.detector_files, detail, min_face)
        self.model = model
        model.load_in_background()

    def embed_photo(self, path: Path, *, keep: bool = False) -> EmbeddedPhoto:
        """A photo and its faces. keep: whether they carry chips for storage. Raises PhotoError."""
        aligned = self.read(path, keep=keep)
        return EmbeddedPhoto(aligned.width, aligned.height, self.faces(aligned))

    def embed(self, chips: Chips) -> Embeddings:
        """The unit vectors, (N, D), of chips, (N, S, S, 3)."""
        return self.model.embed(chips)

    def faces(self, aligned: AlignedPhoto) -> list[EmbeddedFace]:
        """The faces of a photo with their embeddings, in the order of `aligned`."""
        embeddings, flip_consistencies = self.model.embed_with_consistency(aligned.chips)
        least = self.model.least_flip_consistency
        kept: list[bytes] | list[None] = aligned.kept or [None] * len(aligned.faces)
        return [
            EmbeddedFace(
                face,
                embedding,
                float(flip_consistency),
                reason or unrecognisable(flip_consistency, least),
                chip,
            )
            for face, reason, embedding, flip_consistency, chip in zip(
                aligned.faces, aligned.reasons, embeddings, flip_consistencies, kept, strict=True
            )
        ]


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result | PhotoError]]:
    """`parallel.in_order`, where a photo that cannot be read gives its PhotoError as the result."""
    for item, future in parallel.in_order(work, items):
        try:
            yield item, future.result()
        except PhotoError as error:
            yield item, error
