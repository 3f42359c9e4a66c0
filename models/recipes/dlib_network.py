"""dlib's face recognition network (public domain) in PyTorch, and the weights of its .dat file.

The network of dlib's examples/dnn_face_recognition_ex.cpp: 5.6 million weights, 29 convolutions. It
looks at 150 x 150 RGB chips of a geometry of its own, DLIB_TEMPLATE.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

SIZE = 150
MEAN = (122.782, 117.001, 104.298)
SCALE = 256.0
# (channels in, out, whether the side is halved) of the residual blocks
BLOCKS = (
    *[(32, 32, False)] * 3,
    (32, 64, True),
    *[(64, 64, False)] * 3,
    (64, 128, True),
    *[(128, 128, False)] * 2,
    (128, 256, True),
    *[(256, 256, False)] * 2,
    (256, 256, True),
)


class Affine(nn.Module):
    """A batch normalisation with fixed statistics."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain[:, None, None] + self.shift[:, None, None]


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut without weights."""

    def __init__(self, inner: int, outer: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.first = nn.Conv2d(inner, outer, 3, 2 if down else 1, 0 if down else 1)
        self.first_affine: nn.Module = Affine(outer)
        self.second = nn.Conv2d(outer, outer, 3, 1, 1)
        self.second_affine: nn.Module = Affine(outer)
        self.grown = outer - inner

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.first_affine(self.first(x)))
        y = self.second_affine(self.second(y))
        if self.down:
            x = functional.avg_pool2d(x, 2)
            # dlib adds what differs in size as if the smaller were continued with zeros
            x = functional.pad(x, (0, 0, 0, 0, 0, self.grown))
            y = functional.pad(y, (0, x.shape[3] - y.shape[3], 0, x.shape[2] - y.shape[2]))
        return functional.relu(x + y)


class DlibNetwork(nn.Module):
    """Chips (B, 3, 150, 150), (value - 127.5) / 127.5, to unit embeddings (B, D)."""

    size = SIZE

    def __init__(self, dimension: int = 128) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, 2)
        self.stem_affine: nn.Module = Affine(32)
        self.blocks = nn.Sequential(*(Block(*block) for block in BLOCKS))
        self.head = nn.Linear(BLOCKS[-1][1], dimension)

    def features(self, chips: Tensor) -> Tensor:
        """The input of the last layer, (B, 256)."""
        x = functional.relu(self.stem_affine(self.stem(chips)))
        return self.blocks(functional.max_pool2d(x, 3, 2)).mean((2, 3))

    def forward(self, chips: Tensor) -> Tensor:
        return functional.normalize(self.head(self.features(chips)).float(), dim=1)

    @torch.no_grad()
    def fused(self) -> "DlibNetwork":
        """The network itself, with every affine layer folded into the convolution before it."""
        pairs = [(self, "stem")]
        pairs += [(block, part) for block in self.blocks for part in ("first", "second")]
        for holder, part in pairs:
            affine = getattr(holder, f"{part}_affine")
            if isinstance(affine, Affine):
                convolution = getattr(holder, part)
                convolution.weight.mul_(affine.gain[:, None, None, None])
                convolution.bias.mul_(affine.gain).add_(affine.shift)
                setattr(holder, f"{part}_affine", nn.Identity())
        return self


def load_dlib(path: Path) -> DlibNetwork:
    """The network with the weights of dlib_face_recognition_resnet_model_v1.dat.

    Its input is scaled as this project scales chips, not as dlib does: the first layer makes up
    for it. Raises ValueError if the file is another network's.
    """
    reader = _Tensors(path.read_bytes())
    network = DlibNetwork()
    network.head.bias.data.zero_()
    # the file holds the layers from the last to the first, and their weights in between from the
    # first to the last
    layers = [(network.stem, network.stem_affine)]
    for block in network.blocks:
        layers += [(block.first, block.first_affine), (block.second, block.second_affine)]
    for convolution, affine in layers:
        weight = convolution.weight
        values = reader.take(weight.numel() + convolution.bias.numel())
        weight.data = torch.from_numpy(values[: weight.numel()].reshape(weight.shape).copy())
        convolution.bias.data = torch.from_numpy(values[weight.numel() :].copy())
        values = reader.take(2 * affine.gain.numel())
        affine.gain.data = torch.from_numpy(values[: affine.gain.numel()].copy())
        affine.shift.data = torch.from_numpy(values[affine.gain.numel() :].copy())
    values = reader.take(256, 128)
    network.head.weight.data = torch.from_numpy(values.T.copy())
    mean = torch.tensor(MEAN)
    stem = network.stem
    with torch.no_grad():
        offset = (127.5 - mean) / SCALE
        stem.bias += (stem.weight * offset[None, :, None, None]).sum((1, 2, 3))
        stem.weight *= 127.5 / SCALE
    return network.eval()


class _Tensors:
    """Finds tensors of known sizes, one after the other, in what dlib has serialised."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def take(self, rows: int, columns: int = 1) -> NDArray[np.float32]:
        """The next tensor of this shape; a vector for one column."""
        shape = (rows, columns, 1, 1) if columns == 1 else (rows, columns)
        header = b"".join(map(_packed, (2, *(shape + (1, 1))[:4])))
        start = self._content.find(header, self._at)
        if start < 0:
            raise ValueError(f"no tensor of {rows} x {columns} where one is expected")
        self._at = start + len(header) + 4 * rows * columns
        values = np.frombuffer(self._content[start + len(header) : self._at], "<f4")
        return values.reshape(rows, columns) if columns > 1 else values


def _packed(value: int) -> bytes:
    """dlib's form of a whole number: how many bytes it takes, then these."""
    content = value.to_bytes((value.bit_length() + 7) // 8, "little")
    return bytes([len(content)]) + content
