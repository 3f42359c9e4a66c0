"""From a face to its chip: a similarity transform takes its five points onto the template."""

import math

import dlib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

# ArcFace's five points, in pixels of a 112 x 112 chip; they scale with the chip
TEMPLATE_SIZE = 112
TEMPLATE = ((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20))


def similarity(source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """The rotation, scale and shift, as a 2 x 3 matrix, that take `source` nearest to `target`.

    source, target: (N, 2) points. Least squares. Raises ValueError if the source points coincide.
    Source: a regression of complex numbers, which in the plane is the solution of Umeyama, PAMI
    13(4), 1991, equations 40 to 43.
    """
    start, end = (np.asarray(points, np.float64) @ (1, 1j) for points in (source, target))
    from_mean, to_mean = start.mean(), end.mean()
    centred = start - from_mean
    variance = np.vdot(centred, centred).real
    if variance == 0:
        raise ValueError("the points coincide")
    turn = np.vdot(centred, end - to_mean) / variance  # a complex number: rotation and scale in one
    shift = to_mean - turn * from_mean
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def align(
    image: NDArray[np.uint8],
    points: ArrayLike,
    size: int = TEMPLATE_SIZE,
    margin: int = 0,
    template: ArrayLike = TEMPLATE,
) -> NDArray[np.uint8]:
    """The chip of one face, (size + 2 margin, size + 2 margin, 3).

    image: (H, W, 3). points: (5, 2), pixels of the image. margin: pixels more on every side; the
    inner part does not depend on it. template: (5, 2), pixels of a chip of TEMPLATE_SIZE.
    Shrinking is antialiased: the photo is reduced by a whole number, the chip drawn from it at
    twice its size and halved. A face smaller than its chip is enlarged in one step. Outside the
    photo its border is repeated.
    """
    side = size + 2 * margin
    onto = np.asarray(template, np.float64) * (size / TEMPLATE_SIZE) + margin
    back = np.linalg.inv(np.vstack([similarity(points, onto), (0, 0, 1)]))[:2]  # chip to photo
    scale = math.hypot(back[0, 0], back[1, 0])  # pixels of the photo for one of the chip
    corners = back @ np.array([[-1, side, side, -1], [-1, -1, side, side], [1, 1, 1, 1]])
    reduction = max(1, math.ceil(scale / 2))
    # a whole multiple of the reduction, so that a larger margin falls on the same grid
    left, top = (math.floor(low / reduction - 2) * reduction for low in corners.min(axis=1))
    right, bottom = (math.ceil(high / reduction + 3) * reduction for high in corners.max(axis=1))
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        patch = image[top:bottom, left:right]
    else:
        rows = np.clip(np.arange(top, bottom), 0, height - 1)
        columns = np.clip(np.arange(left, right), 0, width - 1)
        patch = image[rows[:, None], columns]
    back[:, 2] -= left, top
    if reduction > 1:
        patch = np.asarray(Image.fromarray(np.ascontiguousarray(patch)).reduce(reduction))
        back /= reduction
        back[:, 2] -= (reduction - 1) / (2 * reduction)  # pixels count from their middles
    if scale <= 1:
        return warped(patch, back, side)
    back[:, 2] -= back[:, :2] @ (0.25, 0.25)
    back[:, :2] /= 2
    return np.asarray(Image.fromarray(warped(patch, back, 2 * side)).reduce(2))


def warped(picture: NDArray[np.uint8], back: NDArray[np.float64], side: int) -> NDArray[np.uint8]:
    """A square of `side` pixels, interpolated from a picture; black outside the picture.

    picture: (H, W, 3) or (H, W). back: (2, 3), takes a place in the square to the place in the
    picture that it shows; both have the middle of their first pixel at (0, 0).
    """
    way = dlib.point_transform_projective(np.vstack([back, (0, 0, 1)]))
    drawn: NDArray[np.uint8] = dlib.transform_image(np.ascontiguousarray(picture), way, side, side)
    return drawn
