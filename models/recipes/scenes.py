"""Scenes that the detector learns from: mosaics of turned, scaled, covered, spoilt photos.

A face turned by an angle has the upright box around the turned ellipse that its own box holds, so
that a box says the same at every angle: 0 leaves it as it is, 90 swaps its sides.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from models.recipes.face_labels import Labelled

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

MIRRORED = [1, 0, 2, 4, 3]  # a mirrored face's points, in our order
LEAST_SIDE = 9.0  # pixels; a smaller face is neither a face nor background
VISIBLE, GONE = 0.5, 0.1  # the share of a box that must be seen to be a face, to count at all
DOUBT = (0.35, 0.6)  # the score from which a lone CenterFace's, a lone YuNet's box is in doubt


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """pixels: (H, W, 3). Faces: boxes (N, 4), points (N, 5, 2), exact (N,). ignored: (M, 4)."""

    pixels: Pixels
    boxes: Array
    points: Array
    exact: NDArray[np.bool_]
    ignored: Array


def turned_boxes(boxes: Array, matrix: Array) -> Array:
    """Boxes, (N, 4), moved by a similarity, (2, 3): upright, around the ellipses they held."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    new = np.sqrt(half**2 @ (matrix[:, :2] ** 2).T)
    return np.concatenate([centres - new, centres + new], axis=1)


def warped(
    pixels: Pixels, matrix: Array, size: tuple[int, int]
) -> tuple[Pixels, NDArray[np.bool_]]:
    """`pixels` moved by a similarity (photo to tile; pixel corners count) into (height, width).

    Shrinking is antialiased. Returns the tile and where it shows the photo.
    """
    back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    height, width = pixels.shape[:2]
    corners = back[:, :2] @ np.array([[0, size[1], 0, size[1]], [0, 0, size[0], size[0]]])
    corners += back[:, 2:]
    # only the part that is seen
    low = np.maximum(np.floor(corners.min(axis=1)).astype(int) - 2, 0)
    high = np.minimum(np.ceil(corners.max(axis=1)).astype(int) + 2, (width, height))
    if (high <= low).any():
        return np.zeros((*size, 3), np.uint8), np.zeros(size, bool)
    part = Image.fromarray(np.ascontiguousarray(pixels[low[1] : high[1], low[0] : high[0]]))
    shrink = float(np.hypot(back[0, 0], back[1, 0]))
    reduction = max(1, int(shrink + 0.3))
    if reduction > 1:
        part = part.reduce(reduction)
    linear, shift = back[:, :2] / reduction, (back[:, 2] - low) / reduction
    tile = part.transform(
        (size[1], size[0]),
        Image.Transform.AFFINE,
        (*linear[0], shift[0], *linear[1], shift[1]),
        resample=Image.Resampling.BILINEAR,
    )
    x = np.arange(size[1], dtype=np.float32) + 0.5
    y = np.arange(size[0], dtype=np.float32)[:, None] + 0.5
    u = np.float32(back[0, 0]) * x + np.float32(back[0, 1]) * y + np.float32(back[0, 2])
    v = np.float32(back[1, 0]) * x + np.float32(back[1, 1]) * y + np.float32(back[1, 2])
    seen = (u > 0.5) & (u < width - 0.5) & (v > 0.5) & (v < height - 0.5)
    return np.asarray(tile), seen


class SceneMaker:
    """Draws scenes from sets of labelled photos."""

    def __init__(
        self,
        sets: list[tuple[Labelled, NDArray[np.int64], float]],
        seed: int,
        alarms: list[tuple[int, int, Array]] | None = None,
    ) -> None:
        """sets: photos, which of them to use, and how often each set is drawn from.

        alarms: where an earlier network saw a face that is none: set, photo, box (4,).
        """
        self._sets = sets
        self._alarms = alarms or []
        self._chances = np.array([chance for *_, chance in sets])
        self.rng = np.random.default_rng(seed)
        self._noise = self.rng.normal(0, 1, (1 << 21)).astype(np.float32)

    def scene(self, side: int) -> Scene:
        """A square mosaic."""
        rng = self.rng
        canvas = self._ground(side)
        tiles = self._tiles(side)
        found: list[tuple[Array, Array, NDArray[np.bool_]]] = []
        ignored: list[Array] = []
        for left, top, right, bottom in tiles:
            boxes, points, exact, doubtful = self._tile(canvas, left, top, right, bottom)
            found.append((boxes, points, exact))
            ignored.append(doubtful)
        boxes, points, exact = (np.concatenate(parts) for parts in zip(*found, strict=True))
        small = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)) < LEAST_SIDE
        ignored.append(boxes[small])
        boxes, points, exact = boxes[~small], points[~small], exact[~small]
        picture = Image.fromarray(canvas)
        for box, marks in zip(boxes, points, strict=True):
            if rng.random() < 0.3:
                self._cover(picture, box, marks)
        pixels = self._spoilt(picture)
        return Scene(pixels, boxes, points, exact, np.concatenate(ignored))

    def _photo(self) -> tuple[Labelled, int]:
        chosen, which, _ = self._sets[self.rng.choice(len(self._sets), p=self._chances)]
        return chosen, int(self.rng.choice(which))

    def _ground(self, side: int) -> Pixels:
        """The background: one colour, or a part of a photo without a face."""
        rng = self.rng
        canvas = np.empty((side, side, 3), np.uint8)
        canvas[:] = rng.integers(0, 256, 3) * (rng.random() < 0.7)
        if rng.random() < 0.25:
            return canvas
        photos, at = self._photo()
        pixels, labels = photos.pixels(at), photos.labels[at]
        height, width = pixels.shape[:2]
        taken = np.concatenate([labels.boxes, labels.unsure[:, :4]])
        if not len(taken):
            return canvas
        left, top = (round(low) for low in taken[:, :2].min(axis=0).clip(0))
        right, bottom = (round(high) for high in taken[:, 2:].max(axis=0))
        strips = [(0, 0, left, height), (right, 0, width, height)]
        strips += [(0, 0, width, top), (0, bottom, width, height)]
        strips = [strip for strip in strips if min(strip[2] - strip[0], strip[3] - strip[1]) >= 40]
        if not strips:
            return canvas
        x, y, right, bottom = strips[rng.integers(len(strips))]
        part = Image.fromarray(pixels[y:bottom, x:right])
        if rng.random() < 0.5:
            part = part.transpose(Image.Transpose(int(rng.integers(0, 7))))
        # as it is rather than enlarged: repeated until it fills the scene
        shrink = rng.uniform(1, 2.5) * (side / max(part.size)) ** rng.uniform(0, 1)
        size = max(16, round(part.width * shrink)), max(16, round(part.height * shrink))
        scaled = np.asarray(part.resize(size, Image.Resampling.BILINEAR))[:side, :side]
        times = -(-side // scaled.shape[0]), -(-side // scaled.shape[1])
        return np.ascontiguousarray(np.tile(scaled, (*times, 1))[:side, :side])

    def _tiles(self, side: int) -> list[tuple[int, int, int, int]]:
        """The canvas cut at random into one to twelve rectangles."""
        rng = self.rng
        tiles = [(0, 0, side, side)]
        for _ in range(int(rng.choice([0, 1, 3, 5, 8, 11], p=[0.12, 0.12, 0.24, 0.24, 0.18, 0.1]))):
            at = int(rng.integers(len(tiles)))
            left, top, right, bottom = tiles[at]
            share = rng.uniform(0.35, 0.65)
            if max(right - left, bottom - top) < 48:
                continue
            if right - left > bottom - top:
                cut = round(left + share * (right - left))
                tiles[at : at + 1] = [(left, top, cut, bottom), (cut, top, right, bottom)]
            else:
                cut = round(top + share * (bottom - top))
                tiles[at : at + 1] = [(left, top, right, cut), (left, cut, right, bottom)]
        return tiles

    def _tile(
        self, canvas: Pixels, left: int, top: int, right: int, bottom: int
    ) -> tuple[Array, Array, NDArray[np.bool_], Array]:
        """Draw one photo into the canvas; its faces and doubtful boxes, in the canvas."""
        rng = self.rng
        alarm = None
        if self._alarms and rng.random() < 0.1:
            which, at, alarm = self._alarms[rng.integers(len(self._alarms))]
            photos = self._sets[which][0]
        else:
            photos, at = self._photo()
        pixels, labels = photos.pixels(at), photos.labels[at]
        height, width = bottom - top, right - left
        doubtful = labels.unsure[
            labels.unsure[:, 4] >= np.take(DOUBT, labels.unsure[:, 5].astype(int))
        ][:, :4]
        boxes, points, exact = labels.boxes, labels.points, labels.exact
        if alarm is not None or (len(boxes) and rng.random() > 0.1):
            box = boxes[rng.integers(len(boxes))] if alarm is None else alarm
            side = np.sqrt((box[2:] - box[:2]).prod())
            # from a photo that just fills the tile to a face larger than the tile
            fill = max(width, height) / max(pixels.shape[:2]) * side
            least, most = max(8.0, 0.4 * fill), max(12.0, 1.25 * min(width, height))
            scale = np.exp(rng.uniform(np.log(least), np.log(max(most, least + 1)))) / side
            middle = (box[:2] + box[2:]) / 2
            inset = 0.35 * min(scale * side, width, height)
        else:  # anywhere in the photo
            scale = np.exp(rng.uniform(np.log(0.3), np.log(2.0)))
            middle = rng.uniform(0, 1, 2) * [pixels.shape[1], pixels.shape[0]]
            inset = 0.0
        onto = [rng.uniform(inset, width - inset), rng.uniform(inset, height - inset)]
        angle = rng.normal(0, 12) if rng.random() < 0.45 else rng.uniform(-180, 180)
        turn = np.radians(angle)
        spin = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        mirror = rng.random() < 0.5
        if mirror:
            spin = spin @ np.diag([-1.0, 1.0])
        matrix = np.column_stack([spin, onto - spin @ middle])
        tile, seen = warped(pixels, matrix, (height, width))
        np.copyto(canvas[top:bottom, left:right], tile, where=seen[..., None])
        matrix[:, 2] += [left, top]
        window = np.array([left, top, right, bottom], np.float64)
        boxes = turned_boxes(boxes, matrix)
        points = points @ matrix[:, :2].T + matrix[:, 2]
        if mirror:
            points = points[:, MIRRORED]
        shown, all_of = _clipped(boxes, window)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        within = ((centres > window[:2]) & (centres < window[2:])).all(axis=1)
        kept = within & (all_of >= VISIBLE)
        partly = ~kept & (all_of > GONE)
        doubts, share = _clipped(turned_boxes(doubtful, matrix), window)
        return (
            boxes[kept],
            points[kept],
            exact[kept],
            np.concatenate([shown[partly], doubts[share > GONE]]),
        )

    def _cover(self, picture: Image.Image, box: Array, points: Array) -> None:
        """Draw a mask, a bar, glasses, a hand or something else over a face."""
        rng = self.rng
        draw = ImageDraw.Draw(picture)
        eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
        down = mouth - eyes
        length = float(np.hypot(*down))
        side = float(np.sqrt((box[2:] - box[:2]).prod()))
        if length < 0.15 * side:  # a profile seen from above: no axis to draw along
            return
        down = down / length
        across = np.array([-down[1], down[0]])
        # the frame of the face: 1 down is from the eyes to the mouth
        unit = max(length, 0.3 * side)
        colour = self._colour()

        def shape(corners: list[tuple[float, float]]) -> list[tuple[float, float]]:
            # image-right of the upright face is -across of a y axis that points down
            return [tuple(eyes - across * x * unit + down * y * unit) for x, y in corners]

        kind = rng.choice(6, p=[0.28, 0.2, 0.17, 0.12, 0.13, 0.1])
        if kind == 0:  # from somewhere at the nose to below the chin: a mask, a scarf
            high, low, wide = rng.uniform(0.3, 0.75), rng.uniform(1.5, 2.2), rng.uniform(0.8, 1.3)
            bulge = rng.uniform(-0.1, 0.15)
            corners = [(-wide, high + bulge), (0, high), (wide, high + bulge)]
            corners += [(0.7 * wide, low), (-0.7 * wide, low)]
            draw.polygon(shape(corners), fill=colour)
        elif kind == 1:  # a bar over the eyes
            half, wide = rng.uniform(0.15, 0.45), rng.uniform(0.7, 1.4)
            draw.polygon(
                shape([(-wide, -half), (wide, -half), (wide, half), (-wide, half)]), fill=colour
            )
        elif kind == 2:  # glasses
            radius = rng.uniform(0.2, 0.38) * unit
            thick = max(1, round(rng.uniform(0.03, 0.1) * unit))
            fill = colour if rng.random() < 0.6 else None
            for x, y in points[:2]:
                edges = (x - radius, y - radius, x + radius, y + radius)
                draw.ellipse(edges, fill=fill, outline=colour, width=thick)
            draw.line([tuple(points[0]), tuple(points[1])], fill=colour, width=thick)
        elif kind == 3:  # fingers
            x, y = rng.uniform(-0.8, 0.8), rng.uniform(0.2, 1.6)
            lean = rng.uniform(-0.6, 0.6)
            for finger in range(int(rng.integers(2, 5))):
                start = np.array([x + 0.24 * finger, y])
                end = start + [lean, rng.uniform(0.8, 1.6) * rng.choice([-1, 1])]
                line = shape([(start[0], start[1]), (end[0], end[1])])
                draw.line(line, fill=colour, width=max(1, round(0.22 * unit)))
        elif kind == 4:  # the lower part of the box, as a censor would
            share = rng.uniform(0.25, 0.45)
            reach = (box[2:] - box[:2]).max() / 2 / unit
            middle = ((box[:2] + box[2:]) / 2 - eyes) @ down / unit
            low = middle + reach
            high = low - 2 * reach * share
            draw.polygon(
                shape([(-reach, high), (reach, high), (reach, low), (-reach, low)]), fill=colour
            )
        else:  # anything, anywhere
            middle = rng.uniform(box[:2], box[2:])
            half = rng.uniform(0.1, 0.3, 2) * side
            edges = (*(middle - half), *(middle + half))
            (draw.ellipse if rng.random() < 0.5 else draw.rectangle)(edges, fill=colour)

    def _colour(self) -> tuple[int, int, int]:
        rng = self.rng
        kind = rng.random()
        if kind < 0.35:
            return (0, 0, 0)
        if kind < 0.55:  # skin
            light = rng.uniform(0.4, 1.1)
            return tuple(int(min(255, light * value)) for value in (224, 172, 140))  # type: ignore[return-value]
        if kind < 0.75:  # cloth
            light = int(rng.integers(120, 256))
            return (light, light, min(255, light + int(rng.integers(0, 40))))
        red, green, blue = (int(value) for value in rng.integers(0, 256, 3))
        return (red, green, blue)

    def _spoilt(self, picture: Image.Image) -> Pixels:
        """Darker, flatter, tinted, grey, blurred, noisy, compressed: each now and then."""
        rng = self.rng
        if rng.random() < 0.12:
            picture = picture.convert("L").convert("RGB")
        if rng.random() < 0.8:
            ramp = np.arange(256) / 255
            tables = []
            gamma, gain = np.exp(rng.normal(0, 0.3)), np.exp(rng.normal(0, 0.25))
            lift = rng.normal(0, 0.06)
            tint = rng.normal(0, 0.06, 3) if rng.random() < 0.5 else np.zeros(3)
            for channel in range(3):
                curve = (ramp**gamma - 0.5) * gain * (1 + tint[channel]) + 0.5 + lift
                if gain < 0.9 and rng.random() < 0.5:
                    curve -= 0.5 * (1 - gain)  # dark rather than flat
                tables.append((curve * 255).clip(0, 255).astype(np.uint8))
            picture = picture.point(np.concatenate(tables).tolist())
        kind = rng.random()
        if kind < 0.12:
            picture = picture.filter(ImageFilter.BoxBlur(float(rng.uniform(0.3, 1.8))))
        elif kind < 0.22:  # enlarged from a smaller picture
            side = picture.width
            small = max(32, round(side / rng.uniform(1.2, 2.5)))
            picture = picture.resize((small, small), Image.Resampling.BILINEAR)
            picture = picture.resize((side, side), Image.Resampling.BILINEAR)
        elif kind < 0.27:
            picture = picture.filter(ImageFilter.SHARPEN)
        if rng.random() < 0.2:
            pixels = np.asarray(picture)
            start = int(rng.integers(0, len(self._noise) - pixels.size))
            noise = self._noise[start : start + pixels.size].reshape(pixels.shape)
            spread = np.float32(rng.uniform(2, 20))
            noisy = pixels.astype(np.float32) + spread * noise
            picture = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
        if rng.random() < 0.3:
            buffer = io.BytesIO()
            picture.save(buffer, "JPEG", quality=int(rng.integers(20, 85)))
            picture = Image.open(buffer)
        return np.asarray(picture)


def _clipped(boxes: Array, window: Array) -> tuple[Array, Array]:
    """Boxes cut to a window, and the share of each that is left."""
    shown = np.concatenate(
        [np.maximum(boxes[:, :2], window[:2]), np.minimum(boxes[:, 2:], window[2:])], axis=1
    )
    left = (shown[:, 2:] - shown[:, :2]).clip(0).prod(axis=1)
    return shown, left / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-9)
