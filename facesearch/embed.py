"""The one way of a photo: pixels, faces, chips, embeddings."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from facesearch import images
from facesearch.align import TEMPLATE_SIZE, align
from facesearch.detect import DETAIL, DlibDetector, NetworkDetector
from facesearch.errors import PhotoError
from facesearch.face import Face, principal
from facesearch.images import Pixels, Reduced
from facesearch.model import Chips, Embeddings, Model, Preprocessing

MIN_EYE_DISTANCE = 12  # pixels; below it dlib's points and any chip are guesses
MIN_FACE = 10.0  # pixels; what is narrower is not even reported
MAX_OUTSIDE = 0.4  # the share of a face's box that may lie outside the photo

WORKERS = os.cpu_count() or 1

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Portrait:
    """One photo read: its size, its faces and their chips, the largest face first."""

    width: int
    height: int
    faces: list[Face]
    chips: Chips  # (len(faces), S, S, 3)


class FaceReader:
    """Photos to faces and chips, as a model's preprocessing wants them."""

    def __init__(
        self,
        preprocessing: Preprocessing,
        finders: Sequence[Path],
        detail: int = DETAIL,
        min_face: float = MIN_FACE,
    ) -> None:
        """finders: the files that the detector named in `preprocessing` needs.

        detail: the longest side, in pixels, of what the network looks at. min_face: pixels of the
        photo; narrower faces are left out.
        """
        self.preprocessing = preprocessing
        self.finders = finders
        self.min_face = min_face
        self._detector: DlibDetector | NetworkDetector = (
            NetworkDetector(*finders, detail=detail)
            if preprocessing.detector == NetworkDetector.name
            else DlibDetector(*finders)
        )
        (ax, ay), (bx, by) = preprocessing.template[:2]
        self._chip_eyes = math.hypot(bx - ax, by - ay) * preprocessing.size / TEMPLATE_SIZE

    def read(self, path: Path) -> Portrait:
        """Every face of a photo. Raises PhotoError."""
        photo, faces = self._find(path)
        size = self.preprocessing.size
        chips = [self._chip(photo.pixels, face, 0) for face in faces]
        shape = (len(faces), size, size, 3)
        return Portrait(
            photo.width,
            photo.height,
            [face.scaled(photo.factor) for face in faces],
            np.array(chips, np.uint8).reshape(shape),
        )

    def read_principal(self, path: Path, margin: int = 0) -> Pixels | None:
        """The chip of the face that a photo is about, `margin` pixels more on every side.

        None if there is no usable face. Raises PhotoError.
        """
        photo, faces = self._find(path)
        if not faces:
            return None
        height, width = photo.pixels.shape[:2]
        face = principal(faces, width, height)
        if unusable(face.scaled(photo.factor), photo.width, photo.height):
            return None
        return self._chip(photo.pixels, face, margin)

    def _find(self, path: Path) -> tuple[Reduced, list[Face]]:
        """A photo and its faces, in the pixels it was read with.

        A large JPEG is read smaller, unless a face then has fewer pixels than its chip.
        """
        photo = images.read_reduced(path, self._detector.least_side)
        faces = [
            face
            for face in self._detector(photo.pixels)
            if face.box.width * photo.factor >= self.min_face
        ]
        if photo.factor > 1 and any(face.eye_distance < self._chip_eyes for face in faces):
            whole = images.read_reduced(path, None)
            return whole, [face.scaled(photo.factor) for face in faces]
        return photo, faces

    def _chip(self, pixels: Pixels, face: Face, margin: int) -> Pixels:
        how = self.preprocessing
        return align(pixels, face.points, how.size, margin, how.template)


class Embedder(FaceReader):
    """A model with its detector: photos to faces with embeddings."""

    def __init__(self, model: Model) -> None:
        super().__init__(model.preprocessing, model.finders)
        self.model = model

    def embed(self, chips: Chips) -> Embeddings:
        """Unit vectors, (N, D)."""
        return self.model.embed(chips)


def unusable(face: Face, width: int, height: int) -> str:
    """Why a face in a photo of this size cannot be recognised; empty if it can."""
    if face.eye_distance < MIN_EYE_DISTANCE:
        return f"face too small: {face.eye_distance:.0f} pixels between the eyes"
    box = face.box
    across = max(0.0, min(box.right, width) - max(box.left, 0))
    down = max(0.0, min(box.bottom, height) - max(box.top, 0))
    outside = 1 - across * down / (box.width * box.height)
    if outside > MAX_OUTSIDE:
        return f"face cut off: {outside:.0%} of it outside the photo"
    return ""


def in_order(
    work: Callable[[Path], Result], paths: Iterable[Path]
) -> Iterator[tuple[Path, Result | PhotoError]]:
    """`work` done on each path, on all cores, the results in the order of the paths.

    A photo that cannot be read comes back as its PhotoError. Bounded: no more than a few photos
    are held at once. Closing the iterator drops what has not begun.
    """
    waiting: deque[tuple[Path, Future[Result]]] = deque()

    def first() -> tuple[Path, Result | PhotoError]:
        path, future = waiting.popleft()
        try:
            return path, future.result()
        except PhotoError as error:
            return path, error

    try:
        for path in paths:
            waiting.append((path, _pool().submit(work, path)))
            if len(waiting) > 4 * WORKERS:
                yield first()
        while waiting:
            yield first()
    finally:
        for _, future in waiting:
            future.cancel()


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads that look at photos. They stay: each has made a detector of its own."""
    return ThreadPoolExecutor(WORKERS, thread_name_prefix="photos")
