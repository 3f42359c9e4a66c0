"""The chips of ../shared/data/train: who learns, calibrates and measures; and their disguises.

A tenth of the people measures, a tenth calibrates; of the people with a single photo, whose face
can only ever be a stranger's, every second one calibrates as well. Everybody else is learnt from.
"""

import csv
import io
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from facesearch.vision.alignment import TEMPLATE, TEMPLATE_SIZE, align
from facesearch.vision.model import Preprocessing

SIDE, MARGIN = 128, 8  # pixels of a chip as it is stored, and around the 112 x 112 template
CACHE = Path(__file__).parents[2] / ".cache" / "chips.npy"
POPULATIONS = {"celeba": "celebrities", "pins": "celebrities", "fiw": "families"}


@dataclass(frozen=True, slots=True)
class Chips:
    """Every chip of the data, in the order of the index."""

    pixels: NDArray[np.uint8]  # (N, 128, 128, 3)
    people: NDArray[np.int64]  # (N,)
    sources: NDArray[np.str_]  # (N,): celeba, pins, fiw or lag
    frames: NDArray[np.float32]  # (N, 4, 2): the photo's corners in chip pixels, clockwise

    @classmethod
    def load(cls, train: Path, cache: Path = CACHE) -> "Chips":
        with (train / "index.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not cache.exists():
            archives = [zipfile.ZipFile(train / f"chips-{number}.zip") for number in (0, 1)]
            holder = {name: archive for archive in archives for name in archive.namelist()}
            pixels = np.empty((len(rows), SIDE, SIDE, 3), np.uint8)
            for number, row in enumerate(rows):
                content = io.BytesIO(holder[row["file"]].read(row["file"]))
                pixels[number] = np.asarray(Image.open(content).convert("RGB"))
            cache.parent.mkdir(parents=True, exist_ok=True)
            np.save(cache, pixels)
        return cls(
            np.load(cache, mmap_mode="r"),
            np.array([int(row["person"].strip("p")) for row in rows]),
            np.array([row["source"] for row in rows]),
            np.array([_corners(row["frame"]) for row in rows], np.float32),
        )

    def of(self, part: str, population: str) -> NDArray[np.int64]:
        """The rows of one part of a population."""
        sources = [source for source, name in POPULATIONS.items() if name == population]
        return np.flatnonzero((self.parts == part) & np.isin(self.sources, sources))

    def aligned(self, row: int, how: Preprocessing) -> NDArray[np.uint8]:
        """One chip as a model wants it, (S, S, 3)."""
        points = np.array(TEMPLATE) + MARGIN
        return align(
            np.ascontiguousarray(self.pixels[row]), points, how.size, template=how.template
        )

    @property
    def parts(self) -> NDArray[np.str_]:
        """ "learn", "calibrate" or "measure" for each chip, (N,)."""
        photos = np.bincount(self.people)[self.people]
        last = self.people % 10
        calibrates = (last == 5) | ((photos == 1) & (self.people % 2 == 1))
        return np.where(last == 0, "measure", np.where(calibrates, "calibrate", "learn"))


def _corners(frame: str) -> list[list[float]]:
    if not frame:  # the chip lies inside its photo
        far = 10.0 * SIDE
        return [[-far, -far], [far, -far], [far, far], [-far, far]]
    numbers = [float(number) for number in frame.replace(";", " ").replace(",", " ").split()]
    return [numbers[at : at + 2] for at in range(0, 8, 2)]


@dataclass(frozen=True, slots=True)
class View:
    """Where a network's chip lies in the stored one."""

    size: int  # pixels of the network's chip
    scale: float  # of its pixels to the template's
    middle: tuple[float, float]  # the point of the 112 x 112 template in the middle of it

    @property
    def template(self) -> NDArray[np.float64]:
        """The five points for `alignment.align`, as if the chip had 112 pixels."""
        points = (np.array(TEMPLATE) - self.middle) * self.scale + (self.size - 1) / 2
        return points * (TEMPLATE_SIZE / self.size)


def sampled(pixels: Tensor, frames: Tensor, view: View, rng: torch.Generator | None) -> Tensor:
    """Stored chips (B, 128, 128, 3) uint8 to network chips (B, 3, S, S), values in [-1, 1].

    rng: for the disguises; None for the chips as they are.
    """
    count = len(pixels)
    x = pixels.permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)
    offset = (torch.arange(view.size) - (view.size - 1) / 2) / view.scale
    grid = torch.stack(torch.meshgrid(offset, offset, indexing="ij")[::-1], -1)  # (S, S, 2) x, y
    middle = torch.tensor(view.middle) + MARGIN
    if rng is None:
        return _taken(x, (grid + middle).expand(count, -1, -1, -1))

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape or (count,), generator=rng) * (high - low) + low

    def drawn(p: float) -> list[int]:
        return torch.nonzero(torch.rand(count, generator=rng) < p).flatten().tolist()

    x = _lit(x, uniform)
    angle = torch.randn(count, generator=rng) * math.radians(5)
    zoom = torch.exp(torch.randn(count, generator=rng) * 0.05)
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    turn = torch.stack([cosine * mirror, -sine, sine * mirror, cosine], 1).reshape(count, 2, 2)
    shift = torch.randn((count, 2), generator=rng) * 1.5
    where = grid.reshape(1, -1, 2) @ turn.transpose(1, 2) + (middle + shift)[:, None]
    where = where.reshape(count, view.size, view.size, 2)
    out = _taken(x, where)

    def filling() -> Tensor:
        """One colour, or coloured noise, (3, S, S)."""
        if uniform(0, 1, 1) < 0.6:
            return uniform(-1, 1, 3, 1, 1).expand(3, view.size, view.size)
        coarse = uniform(-1, 1, 1, 3, 12, 12)
        return functional.interpolate(coarse, view.size, mode="bilinear")[0]

    # what lies outside the photo repeats its border, or not
    for number in drawn(0.7):
        corners = frames[number]
        if float(corners.abs().max()) < 5 * SIDE:
            side = torch.roll(corners, -1, 0) - corners
            rest = where[number, None] - corners[:, None, None]
            turns = side[:, None, None, 0] * rest[..., 1] - side[:, None, None, 1] * rest[..., 0]
            out[number] = torch.where((turns < 0).any(0), filling(), out[number])
    for number in drawn(0.25):  # fewer pixels
        small = int(torch.randint(view.size // 6, view.size // 2, (), generator=rng))
        one = functional.interpolate(out[number : number + 1], small, mode="area")
        out[number] = functional.interpolate(one, view.size, mode="bilinear")[0]
    for number in drawn(0.2):
        noise = torch.randn((3, view.size, view.size), generator=rng)
        out[number] += noise * uniform(0, 0.11, 1)
    # something before the face: a mask, dark glasses, a patch
    eyes, mouth = (view.size * height for height in _heights(view))
    for number in drawn(0.3):
        kind, low, high, y, x_, tall, wide = uniform(0, 1, 7).tolist()
        if kind < 0.35:
            edges = mouth - view.size * (0.08 + 0.12 * low), view.size, 0, view.size
        elif kind < 0.5:
            above, below = view.size * (0.05 + 0.05 * low), view.size * (0.04 + 0.05 * high)
            edges = eyes - above, eyes + below, 0, view.size
        else:
            height, width = (view.size * (0.12 + 0.32 * part) for part in (tall, wide))
            top, left = y * view.size - height / 2, x_ * view.size - width / 2
            edges = top, top + height, left, left + width
        top, bottom, left, right = (min(view.size, max(0, round(edge))) for edge in edges)
        out[number, :, top:bottom, left:right] = filling()[:, top:bottom, left:right]
    return out.clamp_(-1, 1)


def _lit(x: Tensor, uniform: Callable[..., Tensor]) -> Tensor:
    """Other light, contrast and colour; x: (B, 3, H, W), values in [-1, 1]."""
    count = len(x)
    saturation = torch.where(uniform(0, 1) < 0.15, 0.0, uniform(0.6, 1.4))[:, None, None]
    tint = uniform(0.92, 1.08, count, 3, 1) * uniform(0.6, 1.3, count, 1, 1)
    mix = tint * (saturation * torch.eye(3) + (1 - saturation) / 3)
    level = x.mean((2, 3))[..., None]
    brighter = uniform(-0.3, 0.3, count, 1, 1)
    moved = torch.baddbmm(level - mix @ level + brighter, mix, x.flatten(2))
    # a bend of the tones, darker or lighter in the middle
    bend = uniform(-0.35, 0.35, count, 1, 1)
    moved.clamp_(-1, 1)
    return torch.addcmul(moved, bend, 1 - moved * moved).reshape(x.shape)


def _taken(x: Tensor, where: Tensor) -> Tensor:
    """x at the places `where`, (B, S, S, 2) in pixels; the border is repeated beyond it."""
    normal = (where + 0.5) * (2 / SIDE) - 1
    return functional.grid_sample(x, normal, padding_mode="border", align_corners=False)


def _heights(view: View) -> tuple[float, float]:
    """How far down the chip the eyes and the mouth are, 0 to 1."""
    ys = view.template[:, 1] / 112
    return float(ys[:2].mean()), float(ys[3:].mean())
