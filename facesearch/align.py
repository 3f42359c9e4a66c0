"""A face to a chip: a similarity transform of its five points onto the template."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

# ArcFace's five points, in pixels of a 112 x 112 chip; it scales with the chip
TEMPLATE_SIZE = 112
TEMPLATE = ((38.29, 51.70), (73.53, 51.50), (56.03, 71.74), (41.55, 92.37), (70.73, 92.20))


def similarity(source: ArrayLike, target: ArrayLike) -> NDArray[np.float64]:
    """The 2 x 3 matrix of turn, scale and shift that takes `source` nearest to `target`.

    source, target: (N, 2) points, not all the same. Least squares.
    Raises ValueError if the source points coincide.
    Source: Umeyama, PAMI 13(4), 1991, equations 40 to 43.
    """
    source = np.asarray(source, np.float64)
    target = np.asarray(target, np.float64)
    from_mean, to_mean = source.mean(axis=0), target.mean(axis=0)
    centred = source - from_mean
    variance = (centred**2).sum() / len(source)
    if variance == 0:
        raise ValueError("the points coincide")
    covariance = (target - to_mean).T @ centred / len(source)
    u, spread, vt = np.linalg.svd(covariance)
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])  # no mirroring
    turn = u @ np.diag(sign) @ vt
    scale = (spread * sign).sum() / variance
    return np.column_stack([scale * turn, to_mean - scale * turn @ from_mean])


def align(
    image: NDArray[np.uint8],
    points: ArrayLike,
    size: int = TEMPLATE_SIZE,
    margin: int = 0,
    template: ArrayLike = TEMPLATE,
) -> NDArray[np.uint8]:
    """The chip of one face, (size + 2 margin, size + 2 margin, 3).

    image: (H, W, 3). points: (5, 2), pixels of the image. template: (5, 2), pixels of a chip of
    TEMPLATE_SIZE. The inner part is the same whatever the margin. Shrinking is antialiased: the
    chip is drawn at twice its size from a photo reduced by whole numbers, then halved. What lies
    outside the photo repeats its border.
    """
    side = size + 2 * margin
    onto = np.asarray(template, np.float64) * (size / TEMPLATE_SIZE) + margin
    forward = np.vstack([similarity(points, onto), [0, 0, 1]])
    back = np.linalg.inv(forward)  # chip to photo, both with pixel (0, 0) centred on (0, 0)
    corners = back @ np.array([[-1, side, side, -1], [-1, -1, side, side], [1, 1, 1, 1]])
    reduction = max(1, math.ceil(math.hypot(back[0, 0], back[1, 0]) / 2))
    # a whole multiple of the reduction, so that a larger margin falls on the same grid
    left, top = (math.floor(low / reduction - 2) * reduction for low in corners[:2].min(axis=1))
    right, bottom = (
        math.ceil(high / reduction + 3) * reduction for high in corners[:2].max(axis=1)
    )
    height, width = image.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        patch = image[top:bottom, left:right]
    else:
        rows = np.clip(np.arange(top, bottom), 0, height - 1)
        columns = np.clip(np.arange(left, right), 0, width - 1)
        patch = image[rows[:, None], columns]
    small = Image.fromarray(np.ascontiguousarray(patch))
    if reduction > 1:
        small = small.reduce(reduction)
    # Pillow's transform counts pixel corners: (x + 0.5) of the doubled chip to the reduced patch
    linear = back[:2, :2] / (2 * reduction)
    shift = (back[:2] @ [-0.5, -0.5, 1] + 0.5 - [left, top]) / reduction
    doubled = small.transform(
        (2 * side, 2 * side),
        Image.Transform.AFFINE,
        (*linear[0], shift[0], *linear[1], shift[1]),
        resample=Image.Resampling.BILINEAR,
    )
    return np.asarray(doubled.reduce(2))
