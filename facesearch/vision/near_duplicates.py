"""Whether two photos of a face are copies of one picture: saved again, resized, cropped."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Pixels
from facesearch.core.face import Face, Point
from facesearch.vision import images
from facesearch.vision.alignment import TEMPLATE, TEMPLATE_SIZE, align, similarity

SIDE = 48  # pixels of a sketch; a small copy has no finer detail
ZOOM = 0.45  # of the template's size: two photos of a face differ most in what is around it
ROUNDS = 8  # steps of the registration; copies need three
EDGE = 3  # pixels left out all around: a registered sketch is undefined there
# measured: pictures saved again, resized or cropped have a likeness of 0.927 or more and a tint of
# 2.8 or less (some 15 of each kind); five pairs of different photos of a person reach 0.33
LEAST_LIKENESS = 0.92
MOST_TINT = 3.0  # mean difference of the colours, in grey levels

Plane = NDArray[np.float64]  # (SIDE, SIDE)


@dataclass(frozen=True, slots=True)
class Sketch:
    """A small picture of a face and what is around it: brightness and colours apart."""

    light: Plane
    colours: tuple[Plane, Plane]  # red and blue less green
    inside: Plane  # 1 where the photo is, 0 beyond its border


def sketch(path: Path, face: Face) -> Sketch:
    """The sketch of a face of a photo. Raises PhotoError."""
    return sketch_of(images.read(path), face.points)


def sketch_of(photo: Pixels, points: tuple[Point, ...]) -> Sketch:
    """The sketch of the face with these points, (5, 2) in pixels of the photo."""
    height, width = photo.shape[:2]
    middle = (TEMPLATE_SIZE - 1) / 2
    template = tuple(
        (middle + ZOOM * (x - middle), middle + ZOOM * (y - middle)) for x, y in TEMPLATE
    )
    chip = align(photo, points, SIDE, template=template)
    matrix = similarity(np.array(points), np.array(template) * (SIDE / TEMPLATE_SIZE))
    down, across = np.mgrid[:SIDE, :SIDE]
    places = np.column_stack([across.ravel(), down.ravel()])
    x, y = np.linalg.solve(matrix[:, :2], (places - matrix[:, 2]).T)
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    red, green, blue = np.moveaxis(chip.astype(np.float64), 2, 0)
    return Sketch(
        (red + green + blue) / 3,
        (red - green, blue - green),
        inside.reshape(SIDE, SIDE).astype(np.float64),
    )


def copies(a: Sketch, b: Sketch) -> bool:
    """Whether two sketches show one picture."""
    alike, tint = compared(a, b)
    return alike >= LEAST_LIKENESS and tint <= MOST_TINT


def compared(a: Sketch, b: Sketch) -> tuple[float, float]:
    """The likeness of two sketches, -1 to 1, and the difference of their colours in grey levels.

    The points found in two copies differ by a pixel or so, which shifts the sketches: an affine
    registration takes that out (Lucas and Kanade, IJCAI 1981), a gain and an offset take out that
    one is lighter. The likeness is the correlation of the fine detail, where both photos have
    pixels; the broad brightness is alike in any two photos of a face.
    """
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    middle = (SIDE - 1) / 2
    basis = np.stack([np.ones_like(x), (x - middle) / middle, (y - middle) / middle])
    moves = np.zeros(6)  # across: moves[:3], down: moves[3:], of each of the basis
    best, tint = -1.0, 255.0
    for _ in range(ROUNDS):
        where = x + np.tensordot(moves[:3], basis, 1), y + np.tensordot(moves[3:], basis, 1)
        light = _taken(b.light, *where)
        both = a.inside * (_taken(b.inside, *where) > 0.99)
        both[:EDGE], both[-EDGE:], both[:, :EDGE], both[:, -EDGE:] = 0, 0, 0, 0
        seen = both > 0
        if seen.mean() < 0.25:
            break
        alike = _correlation(_detail(a.light)[seen], _detail(light)[seen])
        if alike > best:
            pairs = zip(a.colours, b.colours, strict=True)
            apart = [np.abs(one - _taken(other, *where))[seen].mean() for one, other in pairs]
            best, tint = alike, float(np.mean(apart))
        down, across = np.gradient(light)
        slopes = np.concatenate([basis * across, basis * down])[:, seen]
        rows = np.vstack([slopes, light[seen], np.ones(int(seen.sum()))])
        solved = np.linalg.lstsq(rows.T, a.light[seen], rcond=None)[0]
        gain = solved[6]
        if abs(gain) < 0.1:
            break
        moves += np.clip(solved[:6] / gain, -2, 2)
        if np.abs(moves).max() > SIDE / 6:
            break
    return best, tint


def _correlation(a: Plane, b: Plane) -> float:
    first, second = a - a.mean(), b - b.mean()
    norms = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / max(norms, 1e-9)


def _detail(picture: Plane) -> Plane:
    """The picture minus its mean over 9 x 9 pixels."""
    total = np.pad(picture, ((5, 4), (5, 4)), mode="edge").cumsum(0).cumsum(1)
    smooth = total[9:, 9:] - total[:-9, 9:] - total[9:, :-9] + total[:-9, :-9]
    return np.asarray(picture - smooth / 81)


def _taken(picture: Plane, x: Plane, y: Plane) -> Plane:
    """The picture at other places, interpolated bilinearly; beyond its border it is repeated."""
    x, y = np.clip(x, 0, SIDE - 1.001), np.clip(y, 0, SIDE - 1.001)
    left, top = x.astype(int), y.astype(int)
    right, below = x - left, y - top
    upper = picture[top, left] * (1 - right) + picture[top, left + 1] * right
    lower = picture[top + 1, left] * (1 - right) + picture[top + 1, left + 1] * right
    return np.asarray(upper * (1 - below) + lower * below)
