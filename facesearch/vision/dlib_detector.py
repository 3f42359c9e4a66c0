"""Finds faces with dlib's frontal detector and places their five points with dlib's predictor."""

import threading
from pathlib import Path

import dlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesearch.core.errors import ModelError
from facesearch.core.face import Box, Face, Point

MAX_SIDE = 1600  # pixels; of a larger photo dlib searches a smaller copy

BOX_SIDE = 200  # pixels; the width of a face's box when its five points are looked for

_local = threading.local()  # a detector for each thread: dlib's keeps a pyramid inside itself


def boxes(image: NDArray[np.uint8]) -> list[tuple[Box, float]]:
    """Boxes and scores from dlib's frontal detector; if it finds none, from an enlarged copy."""
    if not hasattr(_local, "detector"):
        _local.detector = dlib.get_frontal_face_detector()
    image = np.ascontiguousarray(image)
    for upsampled in (0, 1):
        found, scores, _ = _local.detector.run(image, upsampled, 0.0)
        if found:
            break
    return [
        (Box(box.left(), box.top(), box.right() + 1, box.bottom() + 1), float(score))
        for box, score in zip(found, scores, strict=True)
    ]


class DlibDetector:
    """dlib's frontal detector and facesearch's own predictor of the five points.

    It finds upright, nearly frontal faces that are at least 80 pixels wide, or 40 if there is no
    larger one. In a photo larger than MAX_SIDE these limits grow in proportion.
    Safe to call from several threads.
    """

    name = "dlib"
    least_side = None  # it needs photos in their full size

    def __init__(self, landmarks: Path) -> None:
        """landmarks: a dlib shape predictor of five points. Raises ModelError if it is not one."""
        try:
            self._predictor = dlib.shape_predictor(str(landmarks))
        except RuntimeError as error:
            raise ModelError(f"{landmarks}: no shape predictor that dlib can read") from error

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]:
        """Every face in `image`, (H, W, 3) RGB, the largest first."""
        factor = max(1.0, max(image.shape[:2]) / MAX_SIDE)
        working = image if factor == 1 else _shrunk(image, factor)
        faces = [
            Face(box, tuple(self.points(working, box)), score).scaled(factor)
            for box, score in boxes(working)
        ]
        return sorted(faces, key=lambda face: -face.box.width)

    def points(self, image: NDArray[np.uint8], box: Box) -> list[Point]:
        """The five points of the face in `box`, both in pixels of `image`, (H, W, 3) RGB."""
        around, inner, factor, (left, top) = patch(image, box)
        return [
            ((x + 0.5) / factor - 0.5 + left, (y + 0.5) / factor - 0.5 + top)
            for x, y in self.placed(around, Box(*inner))
        ]

    def placed(self, image: NDArray[np.uint8], box: Box) -> list[Point]:
        """The five points, as the predictor gives them for this box: all in whole pixels."""
        left, top, right, bottom = box.rounded()
        rectangle = dlib.rectangle(left, top, right - 1, bottom - 1)
        shape = self._predictor(np.ascontiguousarray(image), rectangle)
        return [(part.x, part.y) for part in shape.parts()]


def patch(
    image: NDArray[np.uint8], box: Box
) -> tuple[NDArray[np.uint8], list[int], float, tuple[int, int]]:
    """The surroundings of a box, scaled so that the box is BOX_SIDE wide.

    dlib's points are whole pixels, and at this size the rounding does not matter. image: (H, W) or
    (H, W, 3). Returns the patch, the box inside it, its scale, and the place of its top left corner
    in the image.
    """
    height, width = image.shape[:2]
    left, top = max(0, int(box.left - box.width / 2)), max(0, int(box.top - box.height / 2))
    right = min(width, int(box.right + box.width / 2))
    bottom = min(height, int(box.bottom + box.height / 2))
    factor = BOX_SIDE / box.width
    size = max(1, round((right - left) * factor)), max(1, round((bottom - top) * factor))
    around = Image.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    scaled = np.array(around.resize(size, Image.Resampling.BILINEAR))
    inner = Box(box.left - left, box.top - top, box.right - left, box.bottom - top)
    return scaled, inner.scaled(factor).rounded(), factor, (left, top)


def _shrunk(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    size = max(1, round(width / factor)), max(1, round(height / factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
