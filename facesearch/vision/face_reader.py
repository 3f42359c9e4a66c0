"""From a photo to its faces and their chips."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from facesearch.core.arrays import Chips, Pixels
from facesearch.core.face import Face, principal
from facesearch.core.paths import DETAIL, MIN_FACE
from facesearch.vision import images
from facesearch.vision.alignment import TEMPLATE, TEMPLATE_SIZE, align
from facesearch.vision.dlib_detector import DlibDetector
from facesearch.vision.images import Reduced
from facesearch.vision.model import Preprocessing
from facesearch.vision.network_detector import NetworkDetector
from facesearch.vision.quality import unusable
from facesearch.vision.stored_chips import kept_chip


@dataclass(frozen=True, slots=True)
class AlignedPhoto:
    """A photo's size, its faces and their chips, the largest face first."""

    width: int
    height: int
    faces: list[Face]
    chips: Chips  # (len(faces), S, S, 3)
    reasons: list[str]  # why each face cannot be recognised; empty for one that can
    kept: list[bytes] | None = None  # the chip of each face for storage, where asked for


class FaceReader:
    """Finds the faces of photos and makes chips of them as a model's preprocessing says."""

    def __init__(
        self,
        preprocessing: Preprocessing,
        detector_files: Sequence[Path],
        detail: int = DETAIL,
        min_face: float = MIN_FACE,
    ) -> None:
        """detector_files: the files of the detector that `preprocessing` names.

        detail: pixels of the longer side of the copy in which the network detector searches.
        min_face: pixels of the photo; narrower faces are left out. Raises ModelError for files that
        are no such detector.
        """
        self.preprocessing = preprocessing
        self.detector_files = detector_files
        self.detail = detail
        self.min_face = min_face
        self._detector: DlibDetector | NetworkDetector = (
            NetworkDetector(*detector_files, detail=detail)
            if preprocessing.detector == NetworkDetector.name
            else DlibDetector(*detector_files)
        )
        (ax, ay), (bx, by) = preprocessing.template[:2]
        self._chip_eyes = math.hypot(bx - ax, by - ay) * preprocessing.size / TEMPLATE_SIZE

    def read(self, path: Path, *, keep: bool = False) -> AlignedPhoto:
        """Every face of a photo. keep: whether to make chips for storage. Raises PhotoError."""
        photo, faces = self._find(path)
        size = self.preprocessing.size
        chips = [self._chip(photo.pixels, face, 0) for face in faces]
        shape = (len(faces), size, size, 3)
        whole = [face.scaled(photo.factor) for face in faces]
        reasons = [self._unusable(*pair, photo) for pair in zip(whole, chips, strict=True)]
        stacked = np.array(chips, np.uint8).reshape(shape)
        kept = [kept_chip(photo.pixels, face.points) for face in faces] if keep else None
        return AlignedPhoto(photo.width, photo.height, whole, stacked, reasons, kept)

    def read_principal(self, path: Path, margin: int = 0) -> Pixels | None:
        """The chip of the face that a photo is about, with `margin` pixels more on every side.

        None if that face is not usable, or there is none. Raises PhotoError.
        """
        photo, faces = self._find(path)
        if not faces:
            return None
        height, width = photo.pixels.shape[:2]
        face = principal(faces, width, height)
        chip = self._chip(photo.pixels, face, 0)
        if self._unusable(face.scaled(photo.factor), chip, photo):
            return None
        return self._chip(photo.pixels, face, margin) if margin else chip

    def read_aligned(self, path: Path) -> Pixels:
        """The chip made of a picture that is aligned onto TEMPLATE already. Raises PhotoError."""
        how = self.preprocessing
        picture = images.read(path)
        if how.template == TEMPLATE:
            resized = Image.fromarray(picture).resize(
                (how.size, how.size), Image.Resampling.BILINEAR
            )
            return np.asarray(resized)
        points = np.array(TEMPLATE) * (np.array(picture.shape[1::-1]) / TEMPLATE_SIZE)
        return align(picture, points, how.size, template=how.template)

    def _find(self, path: Path) -> tuple[Reduced, list[Face]]:
        """A photo's pixels, and the faces in coordinates of these pixels.

        A large JPEG is read at a smaller size, unless a face would then have fewer pixels than its
        chip.
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

    def _unusable(self, face: Face, chip: Pixels, photo: Reduced) -> str:
        """See `quality.unusable`. face: in pixels of the photo at its full size."""
        detector = self.preprocessing.detector
        return unusable(face, chip, photo.width, photo.height, detector)
