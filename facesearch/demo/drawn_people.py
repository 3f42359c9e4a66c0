"""Portraits of invented people, drawn with Pillow, in which detectors find the faces.

    python -m facesearch.demo.drawn_people OUT --people 8 --poses 4

writes OUT/person-00/pose-0.jpg and so on. Coordinates of a face: the origin lies between the eyes,
1 is half the width of an average face, x points right and y down.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Points = NDArray[np.float64]
Colour = tuple[int, int, int]

FINE = 3  # a portrait is drawn this many times larger and then shrunk
UNIT = 0.222  # of the picture's side; the detector's box is then half as wide as the picture
EYES_AT = 0.47  # of the picture's height
RIGHT, DOWN = np.array(((1.0, 0.0), (0.0, 1.0)))
PER_ROW = 5  # people of a group; a longer row would be a wide picture of small faces
BLACK, WHITE, SHADE, ROSE = (18, 14, 14), (250, 248, 244), (44, 22, 16), (196, 84, 84)
SKINS = [(242, 206, 184), (142, 92, 64), (226, 178, 142), (104, 68, 50), (194, 138, 100)]
HAIRS = [(60, 40, 30), (26, 23, 24), (176, 174, 170), (212, 170, 98), (152, 70, 34), (110, 72, 44)]
IRISES = [(84, 56, 36), (80, 118, 150), (88, 112, 72), (62, 44, 34)]
CLOTHES = [(58, 84, 120), (150, 60, 58), (70, 110, 84), (196, 170, 120), (90, 80, 110)]
WALLS = [(196, 204, 212), (214, 206, 190), (170, 188, 180), (150, 160, 178), (222, 222, 222)]
BEARDS = ["none", "full", "moustache", "goatee"]
GLASSES = ["none", "none", "round", "none", "square"]
STYLES = [["short", "bald", "parted", "curly", "quiff"], ["long", "fringe", "bun", "curly", "bob"]]
HAIRLINES = {  # from the middle of the forehead to beside the face
    "short": [(0, -1.1), (0.6, -1.06), (0.82, -0.85), (0.9, -0.5), (0.99, -0.1)],
    "quiff": [(0, -1.2), (0.55, -1.12), (0.82, -0.95), (0.9, -0.5), (0.99, -0.1)],
    "parted": [(0, -1.1), (0.6, -0.95), (0.86, -0.7), (0.93, -0.4), (0.99, 0)],
    "curly": [(0, -1), (0.5, -0.98), (0.8, -0.8), (0.9, -0.5), (0.99, -0.1)],
    "bun": [(0, -1.2), (0.6, -1.05), (0.86, -0.7), (0.93, -0.4), (0.99, 0)],
    "long": [(0, -1.4), (0.4, -1.1), (0.75, -0.6), (0.93, 0.1), (0.95, 0.9), (0.86, 1.9)],
    "bob": [(0, -1.25), (0.5, -1), (0.8, -0.55), (0.94, 0.1), (0.96, 0.6), (0.9, 1.15)],
    "fringe": [(0, -0.58), (0.5, -0.56), (0.82, -0.5), (0.93, 0), (0.97, 0.6), (0.92, 1.3)],
}
BEHIND = {  # the hair behind head and neck, its right half
    "long": [(0, -1.7), (0.9, -1.4), (1.22, -0.4), (1.28, 1), (1.2, 2.3), (0, 2.1)],
    "bob": [(0, -1.7), (0.9, -1.4), (1.26, -0.2), (1.3, 0.8), (1.05, 1.35), (0, 1.3)],
    "fringe": [(0, -1.7), (0.9, -1.4), (1.2, -0.2), (1.22, 0.8), (1.12, 1.5), (0, 1.5)],
    "bun": [(0, -2.02), (0.36, -1.9), (0.42, -1.6), (0, -1.3)],
    "curly": [(0, -1.78), (0.75, -1.6), (1.22, -1), (1.25, -0.3), (1.05, 0.2), (0, 0)],
}


class Person:
    """What stays the same from one photo to the next; lengths in units of the face.

    Neighbouring numbers differ in all that strikes the eye.
    """

    def __init__(self, number: int) -> None:
        rng = np.random.default_rng(number)
        pair, woman = divmod(number, 2)
        tone = (number + number // 10) % len(SKINS)
        dark = sum(SKINS[tone]) < 320
        self.seed = number
        self.skin = _mixed(SKINS[tone], (226, 150, 120), rng.uniform(0, 0.12))
        self.hair = HAIRS[rng.integers(3) if dark else 5 * pair % len(HAIRS)]
        self.iris = IRISES[3 if dark else rng.integers(len(IRISES))]
        self.lips = _mixed(self.skin, (165, 50, 58), 0.6 if woman else 0.4)
        self.style = STYLES[woman][pair % 5]
        self.beard = "none" if woman else BEARDS[(pair + 1) % len(BEARDS)]
        self.glasses = GLASSES[(2 * number + number // 5) % len(GLASSES)]
        self.hat = CLOTHES[number % 4] if number % 7 == 5 else None
        self.freckles = not dark and number % 4 == 3
        self.age = rng.uniform(0, 1)  # how deep the lines of the face are
        self.width = rng.uniform(0.88, 1.09)  # half, at the cheekbones
        self.jaw = self.width * rng.uniform(0.7, 0.82 if woman else 0.94)  # half its width
        self.chin = rng.uniform(1.42, 1.8)  # y
        self.eye = rng.uniform(0.16, 0.24), rng.uniform(0.065, 0.12)  # half width, half height
        self.apart = rng.uniform(0.4, 0.5)  # half the distance between the eyes
        self.slant = rng.uniform(-0.05, 0.07)  # of the eyes
        self.brow_height, self.brow_slope = rng.uniform(0.22, 0.38), rng.uniform(-0.04, 0.1)
        self.brow = rng.uniform(0.02, 0.07 if woman else 0.11)  # its thickness
        self.nose = rng.uniform(0.48, 0.66), rng.uniform(0.16, 0.3)  # y of the tip, half width
        self.mouth = self.nose[0] + 0.45 * (self.chin - self.nose[0])  # y
        self.grin = rng.uniform(0.27, 0.43)  # half the width of the mouth
        self.lip = rng.uniform(0.03, 0.1), rng.uniform(0.05, 0.14)  # upper and lower


class Pose:
    """What differs between two photos of a person; pose 0 is plain."""

    def __init__(self, person: int, pose: int) -> None:
        rng = np.random.default_rng((person, pose))
        self.clothes = CLOTHES[rng.integers(len(CLOTHES))]
        self.wall = WALLS[rng.integers(len(WALLS)) if pose else 0]
        cast = rng.uniform(-1, 1, 3) * (pose > 0)
        some = (rng.uniform(-1, 1, 10) * (pose > 0)).tolist()
        self.turn = math.radians(6 * some[0])
        self.scale = 1 + 0.04 * some[1]
        self.shift = 0.03 * some[2], 0.02 * some[3]  # of the picture's side
        self.light = some[4]  # -1 from the left to 1 from the right
        self.smile = 0.5 + 0.5 * some[5]  # 0 to 1
        self.opening = max(0, 0.1 * some[6])  # of the mouth
        self.gaze = some[7]  # -1 to 1
        self.gain = (0.96 + 0.1 * some[8]) * (1 + 0.04 * cast)  # of each colour
        self.contrast = 1 + 0.1 * some[9]
        self.blur = 0.0025 * some[9] ** 2  # of the picture's side
        self.noise = 1 + 3 * some[8] ** 2  # standard deviation, in grey levels


class Canvas:
    """A picture on which shapes are painted in the coordinates of the face."""

    def __init__(self, pose: Pose, size: int) -> None:
        self._size, self._unit = size, UNIT * size * pose.scale
        self._origin = size * (np.array((0.5, EYES_AT)) + pose.shift)
        sine, cosine = math.sin(pose.turn), math.cos(pose.turn)
        self._turn = self._unit * np.array(((cosine, sine), (-sine, cosine)))
        light = np.linspace(1.06, 0.88, size)[:, None, None] * np.array(pose.wall)
        self.image = Image.fromarray(light.astype(np.uint8).repeat(size, axis=1))

    def place(self, points: ArrayLike) -> Points:
        """Points of the face as points of the picture, shape (N, 2)."""
        placed: Points = np.asarray(points) @ self._turn + self._origin
        return placed

    def paint(
        self,
        shape: Points,
        colour: Colour,
        alpha: float = 1,
        blur: float = 0,
        line: float = 0,
        *,
        within: Points | None = None,
        both: bool = False,
    ) -> None:
        """Fill a shape, or draw its points as a line so thick; `both`: and its mirror image."""
        spots = [self.place(shape), self.place(shape * (-1, 1))][: 1 + both]
        reach = 2 + (3 * blur + line) * self._unit
        left, top = np.floor(np.min(np.concatenate(spots), axis=0) - reach).astype(int).tolist()
        right, bottom = np.ceil(np.max(np.concatenate(spots), axis=0) + reach).astype(int).tolist()
        mask = Image.new("L", (right - left, bottom - top))
        for spot in spots:
            corners = (spot - (left, top)).ravel().tolist()
            if line:
                thick = max(1, round(line * self._unit))
                ImageDraw.Draw(mask).line(corners, 255, thick, joint="curve")
            else:
                ImageDraw.Draw(mask).polygon(corners, 255)
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur * self._unit))
        if within is not None:
            window = Image.new("L", mask.size)
            corners = (self.place(within) - (left, top)).ravel().tolist()
            ImageDraw.Draw(window).polygon(corners, 255)
            mask = ImageChops.multiply(mask, window)
        mask = mask.point([round(alpha * level) for level in range(256)])
        self.image.paste(colour, (left, top, right, bottom), mask)


def _mixed(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with a share of `b`."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _curve(points: ArrayLike, closed: bool = False) -> Points:
    """A smooth curve through the points: Catmull and Rom's."""
    p = np.asarray(points, np.float64)
    p = np.concatenate([p[-1:], p, p[:2]] if closed else [p[:1], p, p[-1:]])
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    t = np.linspace(0, 1, 10)[:, None, None]
    bent = b + (c - a) * t / 2 + (a - 2.5 * b + 2 * c - d / 2) * t**2
    smooth: Points = bent + (1.5 * (b - c) + (d - a) / 2) * t**3
    return smooth.transpose(1, 0, 2).reshape(-1, 2)


def _mirrored(half: ArrayLike) -> Points:
    """A smooth curve from its right half, which starts on the axis; closed if it ends there too."""
    right = np.asarray(half, np.float64)
    if right[-1, 0] == 0:
        return _curve(np.concatenate([right, right[-2:0:-1] * (-1, 1)]), closed=True)
    return _curve(np.concatenate([right[:0:-1] * (-1, 1), right]))


def _oval(x: float, y: float, a: float, b: float, power: float = 1) -> Points:
    """An ellipse with the half axes a and b; a rounded rectangle if power is below 1."""
    angles = np.linspace(0, 2 * math.pi, 48)
    spots = np.column_stack([np.cos(angles), np.sin(angles)])
    oval: Points = np.sign(spots) * np.abs(spots) ** power * (a, b) + (x, y)
    return oval


def _body(canvas: Canvas, who: Person, pose: Pose) -> None:
    if who.style in BEHIND:
        behind = _mirrored(BEHIND[who.style])
        canvas.paint(behind, _mixed(who.hair, BLACK, 0.3), blur=0.01)
        if who.style == "curly":
            for x, y in behind[::4]:
                canvas.paint(_oval(x, y, 0.16, 0.16), _mixed(who.hair, BLACK, 0.3), blur=0.02)
    neck = 0.7 * who.jaw
    throat = _mirrored([(0, 0.8), (neck, 0.9), (neck, 1.7), (1.2 * neck, 2), (0, 2.6)])
    collar = _mirrored([(0, 2.32), (0.4, 2.23), (1.25 * neck, 1.88)])
    shoulders = [(1.5, 2.12), (2, 2.45), (2.2, 4), (-2.2, 4), (-2, 2.45), (-1.5, 2.12)]
    clothes = np.concatenate([collar, shoulders])
    canvas.paint(throat, who.skin)
    canvas.paint(throat, SHADE, 0.5, 0.1, line=0.1, within=throat)
    canvas.paint(_oval(0, who.chin, 0.8, 0.35), SHADE, 0.6, 0.12, within=throat)
    canvas.paint(clothes, pose.clothes)
    canvas.paint(_oval(0, 2.9, 0.9, 0.6), WHITE, 0.12, 0.3, within=clothes)
    canvas.paint(collar + 0.05 * DOWN, SHADE, 0.3, 0.01, line=0.03)


def _head(canvas: Canvas, who: Person, pose: Pose) -> None:
    """The bare head with its lights and shadows."""
    w, jaw, chin = who.width, who.jaw, who.chin
    upper = [(0, -1.5), (0.62 * w, -1.32), (0.95 * w, -0.7), (w, 0), (0.6 * w + 0.4 * jaw, 0.62)]
    face = _mirrored([*upper, (0.95 * jaw, 0.68 * chin), (0.5 * jaw, 0.94 * chin), (0, chin)])
    pale = _mixed(who.skin, WHITE, 0.5)
    canvas.paint(_oval(w, 0.18, 0.15, 0.3), _mixed(who.skin, SHADE, 0.2), both=True)
    canvas.paint(_oval(1.02 * w, 0.18, 0.06, 0.18), SHADE, 0.4, 0.03, both=True)
    canvas.paint(face, who.skin)
    canvas.paint(face, SHADE, 0.55, 0.13, line=0.2, within=face)
    away = -math.copysign(1.1 * w, pose.light)
    canvas.paint(_oval(away, 0.2, 0.6, 1.6), SHADE, 0.4 * abs(pose.light), 0.3, within=face)
    canvas.paint(_oval(0, -0.8, 0.5, 0.25), pale, 0.5, 0.15)
    canvas.paint(_oval(0, chin - 0.17, 0.16, 0.08), pale, 0.5, 0.06)
    canvas.paint(_oval(0.58, 0.42, 0.24, 0.16), pale, 0.55, 0.1, both=True)
    canvas.paint(_oval(0.62, 0.62, 0.22, 0.16), ROSE, 0.3, 0.12, both=True)
    canvas.paint(_oval(0.85, 0.95, 0.2, 0.4), SHADE, 0.3, 0.12, within=face, both=True)
    y, half = who.mouth, who.grin
    fold = _curve([(0.24, who.nose[0]), (0.42, y - 0.25), (half + 0.13, y)])
    canvas.paint(fold, SHADE, 0.15 + 0.4 * who.age, 0.025, line=0.035, both=True)
    for y in (-0.62, -0.78, -0.94):
        wrinkle = _mirrored([(0, y - 0.04), (0.45, y)])
        canvas.paint(wrinkle, SHADE, max(0, 0.5 * who.age - 0.15), 0.02, line=0.03)
    if who.freckles:
        for x, y in np.random.default_rng(who.seed).normal((0, 0.42), (0.4, 0.13), (70, 2)):
            canvas.paint(_oval(x, y, 0.02, 0.02), (150, 84, 50), 0.6, 0.005, within=face)


def _eyes(canvas: Canvas, who: Person, pose: Pose) -> None:
    (a, b), x = who.eye, who.apart
    lid = _curve([(-a, 0.2 * b), (-0.4 * a, -0.8 * b), (0.3 * a, -b), (a, -who.slant)]) + x * RIGHT
    low = _curve([(a, -who.slant), (0.3 * a, 0.75 * b), (-0.45 * a, 0.7 * b), (-a, 0.2 * b)])
    low += x * RIGHT
    ball = np.concatenate([lid, low])
    canvas.paint(_oval(x, -0.06, 1.35 * a, 2 * b), SHADE, 0.55, 0.07, both=True)
    canvas.paint(_oval(x - 1.1 * a, -0.1, 0.12, 0.14), SHADE, 0.4, 0.07, both=True)
    canvas.paint(low + 0.09 * DOWN, SHADE, 0.2 + 0.3 * who.age, 0.03, line=0.03, both=True)
    canvas.paint(ball, (236, 232, 228), both=True)
    for side, shape in ((-1, ball * (-1, 1)), (1, ball)):
        at = side * x + 0.25 * a * pose.gaze
        rings = ((1.05, _mixed(who.iris, BLACK, 0.4)), (0.85, who.iris), (0.45, BLACK))
        for radius, colour in rings:
            canvas.paint(_oval(at, -0.1 * b, radius * b, radius * b), colour, within=shape)
        canvas.paint(_oval(at - 0.3 * b, -0.4 * b, 0.22 * b, 0.22 * b), WHITE, within=shape)
    canvas.paint(lid + 0.03 * DOWN, BLACK, 0.4, 0.02, line=0.05, both=True)
    canvas.paint(lid, _mixed(SHADE, BLACK, 0.5), 1, 0.006, line=0.045, both=True)
    canvas.paint(lid - 0.09 * DOWN, SHADE, 0.55, 0.015, line=0.025, both=True)
    canvas.paint(low, SHADE, 0.5, 0.01, line=0.02, both=True)
    up, thick, slope = who.brow_height, who.brow, who.brow_slope
    top = _curve([(-1.1 * a, -up), (0, -up - thick), (1.3 * a, slope - up)])
    under = _curve([(1.3 * a, slope - up + 0.02), (0, 0.4 * thick - up), (-1.1 * a, thick - up)])
    brow = np.concatenate([top, under]) + x * RIGHT
    canvas.paint(brow, _mixed(who.hair, SHADE, 0.5), 0.9, 0.02, both=True)


def _nose(canvas: Canvas, who: Person) -> None:
    tip, wing = who.nose
    pale = _mixed(who.skin, WHITE, 0.6)
    bridge = _curve([(0.15, -0.25), (0.11, 0.1), (0.6 * wing, tip - 0.1)])
    edge = _curve([(0.85 * wing, tip - 0.11), (wing, tip + 0.02), (0.75 * wing, tip + 0.11)])
    canvas.paint(bridge, SHADE, 0.4, 0.05, line=0.08, both=True)
    canvas.paint(_oval(0.72 * wing, tip + 0.02, 0.1, 0.1), SHADE, 0.25, 0.04, both=True)
    canvas.paint(edge, SHADE, 0.6, 0.015, line=0.03, both=True)
    canvas.paint(_oval(0.48 * wing, tip + 0.12, 0.07, 0.035), BLACK, 0.85, 0.012, both=True)
    canvas.paint(_oval(0, tip + 0.19, 0.9 * wing, 0.06), SHADE, 0.5, 0.05)
    canvas.paint(np.array([(0, -0.1), (0, tip - 0.1)]), pale, 0.5, 0.03, line=0.07)
    canvas.paint(_oval(0, tip - 0.02, 0.09, 0.07), pale, 0.7, 0.04)


def _beard(canvas: Canvas, who: Person) -> None:
    jaw, chin, top = who.jaw, who.chin, who.nose[0] + 0.2
    y, half = who.mouth, who.grin
    cheek = [(half + 0.1, y - 0.08), (0.65 * jaw, 0.75), (0.93 * who.width, 0.1)]
    rim = [(who.width, 0.15), (1.02 * jaw, 0.68 * chin), (0.55 * jaw, chin), (0, chin + 0.1)]
    halves = {
        "full": [(0, top), *cheek, *rim],
        "goatee": [(0, top), (0.3, y - 0.12), (0.38, y), (0.27, chin - 0.06), (0, chin + 0.06)],
        "moustache": [(0, top), (0.2, top), (half + 0.1, y), (0.2, y - 0.05), (0, y - 0.07)],
    }
    if who.beard == "none":
        return
    shape = _mirrored(halves[who.beard])
    canvas.paint(shape, who.hair, 0.9, 0.03)
    rng = np.random.default_rng(who.seed)
    for x, y in rng.uniform((-1, 0.1), (1, chin), (160, 2)):
        tone = _mixed(who.hair, WHITE if rng.uniform() < 0.3 else BLACK, 0.4)
        stroke = np.array([(x, y), (0.97 * x, y + 0.14)])
        canvas.paint(stroke, tone, 0.4, 0.006, line=0.016, within=shape)


def _mouth(canvas: Canvas, who: Person, pose: Pose) -> None:
    y, (upper, lower), gap = who.mouth, who.lip, pose.opening
    half, lift = _corner(who, pose)
    end = (half, y + lift)
    line = _mirrored([(0, y + 0.01), (0.4 * half, y), end])
    part = _mirrored([(0, y + 0.01 + gap), (0.4 * half, y + gap), end])
    rise = _mirrored([(0, y - 0.75 * upper), (0.25 * half, y - upper), end])
    sink = _mirrored([(0, y + lower + gap), (0.45 * half, y + 0.8 * lower + gap), end])
    canvas.paint(_oval(0, y + lower + gap + 0.1, 0.24, 0.06), SHADE, 0.5, 0.04)
    canvas.paint(np.concatenate([rise, line[::-1]]), _mixed(who.lips, SHADE, 0.3), 1, 0.012)
    canvas.paint(np.concatenate([line, sink[::-1]]), who.lips, 1, 0.012)
    canvas.paint(_oval(0, y + 0.55 * lower + gap, 0.15, 0.02), WHITE, 0.3, 0.025)
    canvas.paint(np.concatenate([line, part[::-1]]), (70, 24, 26))
    teeth = np.concatenate([line, (0.4 * line + 0.6 * part)[::-1]])
    canvas.paint(teeth, (235, 230, 222), 0.9)
    canvas.paint(line, (60, 22, 22), 0.9, 0.008, line=0.035)
    canvas.paint(_oval(half + 0.02, y + lift, 0.05, 0.04), SHADE, 0.6, 0.025, both=True)


def _corner(who: Person, pose: Pose) -> tuple[float, float]:
    """x of the right corner of the mouth, and how far it lies below the middle."""
    return who.grin * (1 + 0.06 * pose.smile), -0.09 * pose.smile


def _hair(canvas: Canvas, who: Person) -> None:
    """The hair in front: what lies between the hairline and the edge of the head."""
    if who.style == "bald":
        return
    w, (_, low) = who.width, HAIRLINES[who.style][-1]
    inner = _mirrored(np.array(HAIRLINES[who.style]) * (w, 1))
    if who.style == "parted":
        inner[:, 1] -= 0.28 * np.exp(-(((inner[:, 0] + 0.4) / 0.25) ** 2))
    high = -1.88 if who.style == "quiff" else -1.68
    beside = [(1.07 * w, -0.5), (1.07 * w, 0.1)] if low < 0.5 else [(1.18 * w, -0.4), (1.24, low)]
    outer = _mirrored([(0, high), (0.55 * w, high + 0.12), (0.92 * w, -1.15), *beside])
    outer = outer[np.linspace(0, len(outer) - 1, len(inner)).round().astype(int)]
    shape = np.concatenate([outer, inner[::-1]])
    canvas.paint(inner, SHADE, 0.4, 0.06, line=0.14)
    canvas.paint(shape, who.hair, blur=0.012)
    rng = np.random.default_rng(who.seed)
    for share in rng.uniform(0.01, 0.99, 60):
        tone = _mixed(who.hair, WHITE if rng.uniform() < 0.4 else BLACK, 0.35)
        spot = round(share * (len(inner) - 1))
        if who.style == "curly":
            curl = share * outer[spot] + (1 - share) * inner[spot]
            x, y = rng.uniform(0, 1) * (outer[spot] - curl) + curl
            canvas.paint(_oval(x, y, 0.1, 0.1), tone, 0.4, 0.03)
        elif who.style in ("short", "quiff", "fringe", "bun"):
            strand = _curve([outer[spot], 0.5 * (outer[spot] + inner[spot]), inner[spot]])
            canvas.paint(strand, tone, 0.4, 0.008, line=0.022, within=shape)
        else:
            strand = share * outer + (1 - share) * inner
            canvas.paint(strand, tone, 0.35, 0.008, line=0.022, within=shape)
    canvas.paint(_oval(-0.3, -1.35, 0.4, 0.12), WHITE, 0.2, 0.1, within=shape)


def _things(canvas: Canvas, who: Person) -> None:
    """Glasses and a hat."""
    if who.glasses != "none":
        frame = BLACK if who.seed % 2 else (120, 72, 40)
        lens = _oval(who.apart + 0.01, 0.04, 0.33, 0.27, 1 if who.glasses == "round" else 0.5)
        arm = np.array([(who.apart + 0.33, -0.04), (who.width, -0.08)])
        canvas.paint(lens, WHITE, 0.1, both=True)
        canvas.paint(lens, frame, line=0.05, both=True)
        canvas.paint(arm, frame, line=0.05, both=True)
        canvas.paint(_mirrored([(0, -0.05), (who.apart - 0.31, 0.02)]), frame, line=0.05)
    if who.hat:
        w = 1.12 * who.width
        crown = _mirrored([(0, -1.9), (0.6 * w, -1.75), (0.95 * w, -1.25), (w, -0.8), (0, -0.9)])
        brim = [(0, -1.08), (0.6 * w, -1.03), (w, -0.9), (1.02 * w, -0.62), (0.6 * w, -0.72)]
        band = _mirrored([*brim, (0, -0.76)])
        canvas.paint(band + 0.08 * DOWN, SHADE, 0.5, 0.06)
        for shape, colour in ((crown, who.hat), (band, _mixed(who.hat, BLACK, 0.25))):
            canvas.paint(shape, colour)
            canvas.paint(shape, SHADE, 0.4, 0.08, line=0.1, within=shape)


def portrait(person: int, pose: int = 0, size: int = 300) -> Image.Image:
    """An invented person's head and shoulders, RGB, `size` by `size` pixels.

    person: a seed, 0 or more, for who it is. pose: another, for how this photo differs from the
    person's others; 0 is the plain one. The same arguments give the same pixels.
    """
    who, how = Person(person), Pose(person, pose)
    canvas = Canvas(how, FINE * size)
    _body(canvas, who, how)
    _head(canvas, who, how)
    _eyes(canvas, who, how)
    _nose(canvas, who)
    _beard(canvas, who)
    _mouth(canvas, who, how)
    _hair(canvas, who)
    _things(canvas, who)
    small = canvas.image.resize((size, size), Image.Resampling.BOX)
    small = small.filter(ImageFilter.GaussianBlur(how.blur * size))
    levels = (np.asarray(small, np.float64) - 128) * how.contrast + 128
    grain = np.random.default_rng((person, pose, size)).normal(0, how.noise, levels.shape)
    return Image.fromarray((levels * how.gain + grain).clip(0, 255).astype(np.uint8))


def points(person: int, pose: int = 0, size: int = 300) -> list[tuple[float, float]]:
    """Where `portrait` draws the eye centres, nose tip and mouth corners, in its pixels."""
    who, how = Person(person), Pose(person, pose)
    half, lift = _corner(who, how)
    mouth = who.mouth + lift
    spots = [(-who.apart, 0), (who.apart, 0), (0, who.nose[0]), (-half, mouth), (half, mouth)]
    return [(x - 0.5, y - 0.5) for x, y in Canvas(how, size).place(spots).tolist()]


def group(people: list[int], pose: int = 0, size: int = 300) -> Image.Image:
    """Several people side by side in one picture, in rows of five; each is `size` pixels wide."""
    rows = math.ceil(len(people) / PER_ROW)
    picture = Image.new("RGB", (min(len(people), PER_ROW) * size, rows * size), WALLS[0])
    for place, person in enumerate(people):
        row, column = divmod(place, PER_ROW)
        picture.paste(portrait(person, pose, size), (column * size, row * size))
    return picture


def main() -> None:
    """Write the portraits that the command line asks for."""
    parser = argparse.ArgumentParser(description="Draw portraits of invented people.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--poses", type=int, default=4)
    arguments = parser.parse_args()
    for person in range(arguments.people):
        folder = arguments.out / f"person-{person:02}"
        folder.mkdir(parents=True, exist_ok=True)
        for pose in range(arguments.poses):
            portrait(person, pose).save(folder / f"pose-{pose}.jpg", quality=92)


if __name__ == "__main__":
    main()
