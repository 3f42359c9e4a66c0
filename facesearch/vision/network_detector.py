"""Finds faces and their five points with facesearch's own network."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facesearch.core.errors import ModelError
from facesearch.core.face import Box, Face, Point
from facesearch.core.paths import DETAIL
from facesearch.vision.alignment import TEMPLATE, TEMPLATE_SIZE, similarity, warped
from facesearch.vision.dlib_detector import DlibDetector
from facesearch.vision.onnx import session

DETECTOR_SURE = 0.5  # the least score, in (0, 1), of a face in the first look
CLEAR = 0.5  # the least score in the near look; both were chosen on photos kept out of training
# a face with this score, turned by no more degrees and with eyes this many pixels apart in the copy
# needs no near look, which dropped none of 1,700 such faces: see docs/development/detection.md
CERTAIN, UPRIGHT, LARGE = 0.85, 20.0, 12.0
MERGED_BOX_IOU = 0.4  # overlap (intersection over union) of two boxes of one face
PART = 0.85  # a box that lies in a surer one by this share is a part of the same face
STRIDES = (8, 16, 32)  # pixels between the cells of the network's three maps
CELL = 32  # the copy's sides are made multiples of it

# how the near look sees a face, upright: (side of the chip, pixels of the chip that the 112 x 112
# template takes, the point of the template that lies in the chip's middle)
CLOSE_LOOK = (160, 143.0, (56.0, 66.0))
# dlib's box is 91.6 pixels of the template wide (LFW's dev-train people), and 120 of this chip
CLOSE_POINTS = (240, 120 / 91.6 * TEMPLATE_SIZE, (58.3, 73.4))
ASTRAY = 0.25  # of the eye distance; dlib's points further from the network's are not taken

Array = NDArray[np.float64]


class NetworkDetector:
    """facesearch's own network, which finds faces of any size at any angle.

    It searches a copy of the photo whose longer side is `detail`; where it finds nothing it looks
    again, at twice and at half that size, and at the photo turned. The points are ordered as for
    the face held upright: the first eye is the one that is then on the left. A face that is
    uncertain, small or turned gets a near look, upright and at one size, so that its points depend
    little on its angle and size. dlib's predictor then places the points more exactly.

    Safe to call from several threads.
    """

    name = "network"

    def __init__(
        self, graph: Path, landmarks: Path, *, detail: int = DETAIL, sure: float = DETECTOR_SURE
    ) -> None:
        """graph: the network. landmarks: see DlibDetector. detail: pixels.

        sure: the least score of a face. Raises ModelError for files that are not these.
        """
        self._dlib = DlibDetector(landmarks)
        self.detail = detail
        self.least_side = 2 * detail  # pixels of a photo's longer side; more are of no use
        self.sure = sure
        try:
            # every photo has a shape of its own; the arena would keep the memory of all of them
            self._session = session(graph, arena=False)
            self._outputs = [f"stride{stride}" for stride in STRIDES]
            if {"pixels"} != {entry.name for entry in self._session.get_inputs()}:
                raise ValueError("its input is not called pixels")
        # ONNX Runtime's own errors share no base but Exception
        except Exception as error:
            raise ModelError(f"{graph}: no detector that ONNX Runtime can run") from error

    def __call__(self, image: NDArray[np.uint8]) -> list[Face]:
        """Every face in `image`, (H, W, 3) RGB, the largest first."""
        for looks in self._looks(max(image.shape[:2])):
            found = [self._looked(image, longest, turns) for longest, turns in looks]
            boxes, points, scores = (np.concatenate(part) for part in zip(*found, strict=True))
            if len(found) > 1:
                boxes, points, scores = merged(boxes, points, scores)
            scale = max(longest for longest, _ in looks) / max(image.shape[:2])
            refined = [
                self._refined(image, five, near=not _certain(five, score, scale))
                for five, score in zip(points, scores, strict=True)
            ]
            faces = [
                Face(Box(*map(float, box)), tuple((float(x), float(y)) for x, y in five), float(s))
                for box, five, s in zip(boxes, refined, scores, strict=True)
                if five is not None
            ]
            if faces:
                return sorted(faces, key=_order)
        return []

    def _looked(
        self, image: NDArray[np.uint8], longest: int, turns: int
    ) -> tuple[Array, Array, Array]:
        """Boxes, points and scores of `image`, searched at this size and after quarter turns."""
        height, width = image.shape[:2]
        small = _resized(image, max(height, width) / longest)
        working = np.ascontiguousarray(np.rot90(small, turns))
        boxes, points, scores = self._look(working, self.sure)
        boxes, points = _turned_back(boxes, points, turns, working.shape[:2])
        # the copy's sides are rounded: each way has a factor of its own
        scale = np.array([width / small.shape[1], height / small.shape[0]])
        return boxes * scale[[0, 1, 0, 1]], (points + 0.5) * scale - 0.5, scores

    def _refined(self, image: NDArray[np.uint8], points: Array, *, near: bool) -> Array | None:
        """The points, (5, 2), of a face, placed more exactly; None if the near look sees none."""
        seen = self.near(image, points) if near else points
        if seen is None:
            return None
        chip, back = upright(image, seen, *CLOSE_POINTS, grey=True)
        placed = np.array(self._dlib.placed(chip, Box(*close_box(len(chip)))))
        placed = placed @ back[:, :2].T + back[:, 2]
        far = np.linalg.norm(placed - seen, axis=1).max()
        return placed if far < ASTRAY * np.linalg.norm(seen[1] - seen[0]) else seen

    def near(self, image: NDArray[np.uint8], points: Array) -> Array | None:
        """The points, (5, 2), of a face of `image` as the near look sees them.

        None if it sees no face there.
        """
        chip, back = upright(image, points, *CLOSE_LOOK)
        boxes, found, _ = self._look(chip, CLEAR)
        middle = len(chip) / 2
        apart = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - middle).max(axis=1)
        sides = boxes[:, 2] - boxes[:, 0]
        same = (apart < middle / 2) & (sides > 0.6 * middle) & (sides < 2.2 * middle)
        if not same.any():
            return None
        nearest = np.where(same, apart, np.inf).argmin()
        return np.asarray(found[nearest] @ back[:, :2].T + back[:, 2])

    def _looks(self, longest: int) -> list[list[tuple[int, int]]]:
        """Sizes of the longest side, and quarter turns, to try until a face is found.

        The first look is at `detail`, and where that is more than usual at DETAIL as well: a face
        of more than some 500 pixels is larger than any that the network learnt.
        """
        first = min(longest, self.detail)
        looks = [[(first, 0)] if first <= DETAIL else [(DETAIL, 0), (first, 0)]]
        if first <= 2 * DETAIL:
            looks.append([(2 * first, 0)])
        looks.append([(math.ceil(first / 2), 0)])
        return looks + [[(min(first, DETAIL), turns)] for turns in (1, 2, 3)]

    def _look(self, image: NDArray[np.uint8], sure: float) -> tuple[Array, Array, Array]:
        """Boxes (N, 4), points (N, 5, 2) and scores (N,) in pixels of `image`, surest first."""
        height, width = image.shape[:2]
        padded = np.zeros((1, 3, _up(height), _up(width)), np.float32)
        padded[0, :, :height, :width] = image.transpose(2, 0, 1)
        maps = self._session.run(self._outputs, {"pixels": padded})
        return merged(*decoded([fields[0] for fields in maps], sure))


def decoded(maps: list[NDArray[np.float32]], sure: float) -> tuple[Array, Array, Array]:
    """What the network's maps say: boxes (N, 4), points (N, 5, 2), scores (N,) of at least `sure`.

    maps: a (15, rows, columns) for each of STRIDES: the score's logit; the box's centre from its
    cell's, and the logarithms of its sides; the points from the cell's centre; all in cells.
    Box edges count from the corner of the first pixel, points from its middle.
    """
    logit = math.log(sure / (1 - sure))
    parts = []
    for fields, stride in zip(maps, STRIDES, strict=True):
        rows, columns = np.nonzero(fields[0] >= logit)
        chosen = fields[:, rows, columns].T.astype(np.float64)
        centres = np.column_stack([columns, rows]) + 0.5
        middles, halves = centres + chosen[:, 1:3], np.exp(chosen[:, 3:5].clip(max=6)) / 2
        points = (centres[:, None] + chosen[:, 5:].reshape(-1, 5, 2)) * stride - 0.5
        boxes = np.concatenate([middles - halves, middles + halves], axis=1) * stride
        parts.append((boxes, points, 1 / (1 + np.exp(-chosen[:, 0]))))
    boxes, points, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
    return boxes, points, scores


def merged(boxes: Array, points: Array, scores: Array) -> tuple[Array, Array, Array]:
    """One box for each face: the surest and those that overlap it, averaged by their scores."""
    order = np.argsort(-scores, kind="stable")
    boxes, points, scores = boxes[order], points[order], scores[order]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    left = np.ones(len(boxes), bool)
    found: list[tuple[Array, Array, float]] = []
    for at in range(len(boxes)):
        if not left[at]:
            continue
        low = np.maximum(boxes[at, :2], boxes[:, :2])
        high = np.minimum(boxes[at, 2:], boxes[:, 2:])
        shared = (high - low).clip(0).prod(axis=1)
        same = left & (shared / (areas[at] + areas - shared) > MERGED_BOX_IOU)
        left &= ~same
        # a box of a part of the face, or of the face with its hair, is the same face, too
        left &= shared < PART * np.minimum(areas, areas[at])
        weights = scores[same] / scores[same].sum()
        found.append((weights @ boxes[same], np.tensordot(weights, points[same], 1), scores[at]))
    if not found:
        return np.empty((0, 4)), np.empty((0, 5, 2)), np.empty(0)
    return (
        np.array([box for box, _, _ in found]),
        np.array([five for _, five, _ in found]),
        np.array([score for _, _, score in found]),
    )


def close_box(side: int) -> tuple[int, int, int, int]:
    """The box that dlib would draw around the face in a chip made with CLOSE_POINTS."""
    return side // 4, side // 4, 3 * side // 4, 3 * side // 4


def upright(
    image: NDArray[np.uint8],
    points: Array,
    side: int,
    scale: float,
    middle: Point,
    *,
    grey: bool = False,
) -> tuple[NDArray[np.uint8], Array]:
    """A face set upright in a square chip, and the matrix, (2, 3), that leads back to the image.

    scale: pixels of the chip for the template's 112. middle: the template's point in the chip's
    middle. grey: whether to make the chip of the mean of the colours, which is all that dlib's
    predictor uses.
    """
    onto = (np.array(TEMPLATE) - middle) * (scale / TEMPLATE_SIZE) + side / 2
    back = np.linalg.inv(np.vstack([similarity(points, onto), [0, 0, 1]]))[:2]
    corners = back @ np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
    height, width = image.shape[:2]
    low = np.clip(np.floor(corners.min(axis=1)).astype(int) - 2, 0, (width - 1, height - 1))
    high = np.clip(np.ceil(corners.max(axis=1)).astype(int) + 3, low + 1, (width, height))
    part = image[low[1] : high[1], low[0] : high[0]]
    # simpler than `align` and three times as fast: good enough to find points in
    reduction = max(1, int(math.hypot(back[0, 0], back[1, 0]) + 0.3))
    if reduction > 1 or grey:
        picture = Image.fromarray(np.ascontiguousarray(part)).reduce(reduction)
        part = np.asarray(picture.convert("L", (1 / 3, 1 / 3, 1 / 3, 0)) if grey else picture)
    into = np.column_stack([back[:, :2], back[:, 2] - low]) / reduction
    into[:, 2] -= (reduction - 1) / (2 * reduction)  # pixels count from their middles
    return warped(part, into, side), back


def _certain(points: Array, score: float, scale: float) -> bool:
    """Whether a face needs no near look. scale: of the copy that was searched."""
    across, down = points[1] - points[0]
    apart = scale * math.hypot(across, down)
    turned = abs(math.degrees(math.atan2(down, across)))
    return score >= CERTAIN and turned <= UPRIGHT and apart >= LARGE


def _order(face: Face) -> tuple[float, float, float]:
    """A key to sort by: the largest face first; of equal ones the topmost, then the leftmost."""
    return -round(face.box.width * face.box.height, 3), face.box.top, face.box.left


def _up(side: int) -> int:
    return -(-side // CELL) * CELL


def _resized(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """The image shrunk by `factor` (enlarged where it is below 1), antialiased."""
    if factor == 1:
        return image
    height, width = image.shape[:2]
    size = max(1, round(width / factor)), max(1, round(height / factor))
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0))


def _turned_back(
    boxes: Array, points: Array, turns: int, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """Boxes and points found in an image that `np.rot90` turned, in the image before the turn.

    shape: of the turned image.
    """
    corners = boxes.reshape(-1, 2, 2)
    height, width = shape[:2]
    for _ in range(turns % 4):  # each undoes a quarter turn counter-clockwise
        corners = np.stack([height - corners[..., 1], corners[..., 0]], axis=-1)
        points = np.stack([height - 1 - points[..., 1], points[..., 0]], axis=-1)
        height, width = width, height
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate([low, high], axis=1), points
