"""Chips as a network sees them on one visit: changed in every way a photograph may differ.

`sampled` of scripts/train_chips.py turns, shifts, lights, covers, shrinks; here chips are first
blurred or compressed, and a share of every batch stays nearly as it is.
"""

import io

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from models.recipes.train_chips import View, sampled

VIEW = View(112, 1.0, (55.5, 55.5))  # the template that SFace and its kin are made for
PLAIN = 0.25  # of a batch that is only mirrored
BLURRED, COMPRESSED = 0.12, 0.2  # of the others

Pixels = NDArray[np.uint8]


def worn(chip: Pixels, rng: np.random.Generator) -> Pixels:
    """A chip that was blurred or compressed, or neither."""
    blurred, compressed = rng.random(2) < (BLURRED, COMPRESSED)
    if not (blurred or compressed):
        return chip
    picture = Image.fromarray(chip)
    if blurred:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.5, 2.5))))
    if compressed:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(8, 70)))
        picture = Image.open(file)
    return np.asarray(picture)


def visited(pixels: Pixels, frames: NDArray[np.float32], seed: int) -> torch.Tensor:
    """Stored chips (B, 128, 128, 3) to network chips (B, 3, 112, 112), channels last."""
    rng = np.random.default_rng((1, seed))
    generator = torch.Generator().manual_seed(seed)
    plain = round(PLAIN * len(pixels))
    changed = np.stack([worn(chip, rng) for chip in pixels[plain:]])
    clean = torch.from_numpy(pixels[:plain, 8:120, 8:120].transpose(0, 3, 1, 2).copy())
    mirrored = torch.from_numpy(rng.random(plain) < 0.5)[:, None, None, None]
    first = clean.float().sub_(127.5).div_(127.5)
    first = torch.where(mirrored, first.flip(3), first)
    rest = sampled(torch.from_numpy(changed), torch.from_numpy(frames[plain:]), VIEW, generator)
    return torch.cat([first, rest]).contiguous(memory_format=torch.channels_last)


def plain(pixels: Pixels) -> torch.Tensor:
    """The chips as they are."""
    chips = torch.from_numpy(pixels[:, 8:120, 8:120].transpose(0, 3, 1, 2).copy())
    chips = chips.float().sub_(127.5).div_(127.5)
    return chips.contiguous(memory_format=torch.channels_last)
