"""Random changes to training chips, like those of cameras, light, distance and covered faces."""

import math

import torch
from torch import Tensor
from torch.nn import functional

PART = 16  # chips at a time, which fit into the processor's cache as floats
GREY = (0.299, 0.587, 0.114)  # the luma of ITU-R BT.601


def augmented(chips: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """A random view of each chip: (B, E, E, 3) uint8, E > size, to (B, 3, size, size) in [-1, 1].

    Chips are mirrored, turned, zoomed and moved within their margin, get other light, contrast and
    colour, or none; some lose resolution, and some are partly covered with noise.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(shape or (len(chips),), generator=rng) * (high - low) + low

    def drawn(p: float) -> Tensor:
        return uniform(0, 1) < p

    edge = chips.shape[1]
    angle, zoom = uniform(-1, 1) * math.radians(12), uniform(0.85, 1.15)
    cosine, sine = torch.cos(angle) / zoom, torch.sin(angle) / zoom
    mirror = torch.where(drawn(0.5), -1.0, 1.0)
    shift = uniform(-0.1, 0.1, len(chips), 2)  # 2 is the whole chip's side
    turn = torch.stack([cosine * mirror, -sine, shift[:, 0], sine * mirror, cosine, shift[:, 1]], 1)
    # the chip spans [-1, 1]: only its middle, `size` pixels of `edge`, is wanted
    middle = (2 * torch.arange(size) + 1 - size) / edge
    x, y, move = turn.reshape(-1, 1, 1, 2, 3).unbind(-1)
    grid = (x * middle[:, None] + move) + y * middle[:, None, None]  # affine_grid is slower
    parts = zip(torch.split(chips.permute(0, 3, 1, 2), PART), torch.split(grid, PART), strict=True)
    pixels = torch.cat(
        [
            functional.grid_sample(part.float(), where, padding_mode="border", align_corners=False)
            for part, where in parts
        ]
    )

    saturation = torch.where(drawn(0.2), 0.0, uniform(0.6, 1.4))[:, None, None]
    mixed = saturation * torch.eye(3) + (1 - saturation) * torch.tensor(GREY)
    brightness, contrast = (uniform(0.6, 1.4)[:, None, None] for _ in range(2))
    level = torch.tensor(GREY) @ pixels.mean((2, 3)).T / 255  # of each chip
    base = (brightness * (1 - contrast) * level[:, None, None]).expand(-1, 3, 1)
    pixels = torch.baddbmm(base, brightness * contrast / 255 * mixed, pixels.flatten(2))
    pixels = pixels.clamp_(0, 1).reshape(-1, 3, size, size).mul_(2).sub_(1)

    for number in torch.nonzero(drawn(0.2)).flatten().tolist():
        small = int(torch.randint(size // 4, size, (), generator=rng))
        one = functional.interpolate(pixels[number : number + 1], small, mode="area")
        pixels[number] = functional.interpolate(one, size, mode="bilinear")[0]
    for number in torch.nonzero(drawn(0.5)).flatten().tolist():
        share, aspect, x, y = uniform(0, 1, 4).tolist()
        area, aspect = 0.02 + 0.28 * share, math.exp((2 * aspect - 1) * math.log(3))
        tall, wide = (min(size, round(size * math.sqrt(area * a))) for a in (aspect, 1 / aspect))
        top, left = round(y * (size - tall)), round(x * (size - wide))
        noise = torch.randn((3, tall, wide), generator=rng)
        pixels[number, :, top : top + tall, left : left + wide] = noise
    return pixels
