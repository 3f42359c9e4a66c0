"""Which faces cannot be recognised, and why. docs/development/error-rates.md has the figures."""

import numpy as np
from PIL import Image

from facesearch.core.arrays import Pixels
from facesearch.core.face import Face
from facesearch.vision.alignment import TEMPLATE, similarity

MIN_EYE_DISTANCE = 12  # pixels; below it the five points are guesses
MAX_OUTSIDE = 0.4  # the share of a face's box that may lie outside the photo
MIN_SCORE = {"dlib": 0.1}  # half of dlib's detections below it are no faces
# of the eye distance; the most frontal faces have 0.08. dlib finds frontal faces alone, so that a
# larger skew mostly means no face; the network finds profiles, too, and its score tells
MAX_SKEW = {"dlib": 0.25, "network": 0.45}
MIN_SHARPNESS = 0.05  # the sharpest photos have 0.5, those with a blur as wide as an iris 0.08
SHARPNESS_SIDE = 80  # pixels; sharpness depends on the size at which it is measured
MIN_CONTRAST = 4.0  # grey levels of 255


def skew(face: Face) -> float:
    """How far the aligned five points are from the template's, in eye distances.

    The root mean square over the points: about 0.08 for a frontal face, more for a face turned
    away, or for points that belong to no face.
    """
    points, template = np.array(face.points), np.array(TEMPLATE)
    matrix = similarity(points, template)
    aligned = points @ matrix[:, :2].T + matrix[:, 2]
    eyes = float(np.linalg.norm(template[1] - template[0]))
    return float(np.sqrt(((aligned - template) ** 2).sum(axis=1).mean())) / eyes


def sharpness(chip: Pixels) -> tuple[float, float]:
    """(sharpness, contrast) of a chip, (S, S, 3).

    sharpness: the standard deviation of the Laplacian, divided by that of the grey values.
    contrast: the standard deviation of the grey values, in grey levels.
    """
    if chip.shape[0] != SHARPNESS_SIDE:
        picture = Image.fromarray(chip)
        chip = np.asarray(picture.resize((SHARPNESS_SIDE, SHARPNESS_SIDE), Image.Resampling.BOX))
    grey = chip @ np.full(3, 1 / 3, np.float32)
    centre = 4 * grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    contrast = float(grey.std())
    return float((centre - around).std()) / max(contrast, 1e-6), contrast


def unusable(face: Face, chip: Pixels, width: int, height: int, detector: str) -> str:
    """Why a face in a photo of this size cannot be recognised; empty if it can.

    chip: the aligned face. detector: the one that found it.
    """
    if face.eye_distance < MIN_EYE_DISTANCE:
        return f"face too small: {face.eye_distance:.0f} pixels between the eyes"
    box = face.box
    across = max(0.0, min(box.right, width) - max(box.left, 0))
    down = max(0.0, min(box.bottom, height) - max(box.top, 0))
    outside = 1 - across * down / (box.width * box.height)
    if outside > MAX_OUTSIDE:
        return f"face cut off: {outside:.0%} of it outside the photo"
    if face.score < MIN_SCORE.get(detector, 0):
        return f"perhaps no face: the detector is unsure ({face.score:.2f})"
    if skew(face) > MAX_SKEW[detector]:
        return f"face turned away, or no face: its points lie askew ({skew(face):.2f})"
    sharp, contrast = sharpness(chip)
    if contrast < MIN_CONTRAST:
        return f"no contrast: {contrast:.1f} grey levels"
    if sharp < MIN_SHARPNESS:
        return f"face blurred: sharpness {sharp:.2f}"
    return ""


def unrecognisable(flip_consistency: float, least: float) -> str:
    """Why a face cannot be recognised by its embedding; empty if it can.

    flip_consistency: see Model.embed_with_consistency. least: Model.least_flip_consistency.
    """
    if flip_consistency < least:
        return f"the network is unsure of this face (agreement {flip_consistency:.3f})"
    return ""
