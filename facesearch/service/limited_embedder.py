"""An embedder that refuses photos beyond the limits of the service."""

from pathlib import Path

from typing_extensions import override

from facesearch.core.errors import PhotoError, TooManyPixels
from facesearch.service.settings import Limits
from facesearch.vision import images
from facesearch.vision.embedder import Embedder
from facesearch.vision.face_reader import AlignedPhoto
from facesearch.vision.model import Model


class LimitedEmbedder(Embedder):
    """Reads no photo with more pixels or faces than the limits allow."""

    def __init__(self, model: Model, limits: Limits, detail: int, min_face: float) -> None:
        super().__init__(model, detail, min_face)
        self._limits = limits

    @override
    def read(self, path: Path, *, keep: bool = False) -> AlignedPhoto:
        width, height = images.size(path)  # from the head of the file, before it is decoded
        if width * height > self._limits.pixels:
            raise TooManyPixels(
                f"{path}: {width} x {height} pixels, more than the "
                f"{self._limits.pixels / 1e6:g} million allowed; shrink it first"
            )
        photo = super().read(path, keep=keep)
        if len(photo.faces) > self._limits.faces:
            raise PhotoError(
                f"{path}: {len(photo.faces)} faces, more than the {self._limits.faces} allowed; "
                "cut it into parts"
            )
        return photo
