"""A face in a photo. Coordinates are pixels of the upright image, origin top left, x before y."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, which may reach beyond the photo; right and bottom lie just outside it."""

    left: float
    top: float
    right: float
    bottom: float

    def __iter__(self) -> Iterator[float]:
        """left, top, right, bottom: a box unpacks like a tuple."""
        return iter((self.left, self.top, self.right, self.bottom))

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def centre(self) -> Point:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def overlap(self, other: "Box") -> float:
        """Intersection over union: 0 for boxes that lie apart, 1 for equal ones."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        shared = max(0.0, across) * max(0.0, down)
        whole = self.width * self.height + other.width * other.height - shared
        return shared / whole if whole > 0 else 0.0

    def scaled(self, factor: float) -> "Box":
        """The same rectangle in an image whose sides are `factor` times as long."""
        return Box(*(factor * side for side in (self.left, self.top, self.right, self.bottom)))

    def rounded(self) -> list[int]:
        """[left, top, right, bottom] in whole pixels."""
        return [round(side) for side in (self.left, self.top, self.right, self.bottom)]


@dataclass(frozen=True, slots=True)
class Face:
    """One detection."""

    box: Box  # its edges count from the corner of the first pixel, points from its middle
    points: tuple[Point, ...]  # eye centres, nose tip, mouth corners; image-left before right
    score: float  # the detector's own; higher is surer

    def scaled(self, factor: float) -> "Face":
        """The same face in an image whose sides are `factor` times as long."""
        points = tuple((factor * (x + 0.5) - 0.5, factor * (y + 0.5) - 0.5) for x, y in self.points)
        return Face(self.box.scaled(factor), points, self.score)

    @property
    def eye_distance(self) -> float:
        """Pixels between the eye centres."""
        (ax, ay), (bx, by) = self.points[:2]
        return math.hypot(bx - ax, by - ay)


def principal(faces: list[Face], width: int, height: int) -> Face:
    """The face that a photo of one person is about: the one that is large and central.

    It has the largest area less twice the squared offset from the photo's middle, a rule for data
    sets, whose photos are cropped around a person. faces: at least one. width, height: the photo's.
    Source: the preparation of LFW in pipelines built on MTCNN.
    """

    def prominence(face: Face) -> float:
        x, y = face.box.centre
        offset = (x - width / 2) ** 2 + (y - height / 2) ** 2
        return face.box.width * face.box.height - 2 * offset

    return max(faces, key=prominence)


# two boxes of one photo with this overlap are one face, though another detector or setting drew one
SAME_BOX_IOU = 0.5
