"""The detector's network in PyTorch, its weights as safetensors and its graph as ONNX."""

import copy
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

STRIDES = (8, 16, 32)
FIELDS = 15  # of a cell: score, box (4), points (10)
START_SCORE = -4.6  # the score's bias at first: one cell in a hundred
START_SIDE = 1.1  # the logarithm of a box's side at first, in cells


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Channels and 3 x 3 convolutions: two that halve, then a stage for each of STRIDES."""

    stem: tuple[int, int] = (16, 32)
    widths: tuple[int, int, int] = (48, 80, 112)
    blocks: tuple[int, int, int] = (1, 2, 2)
    neck: int = 48


class Convolution(nn.Module):
    """Convolution, normalisation, ReLU; added to its input where `residual`."""

    def __init__(
        self, inner: int, outer: int, side: int, stride: int = 1, residual: bool = False
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inner, outer, side, stride, side // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm2d(outer, momentum=0.03)
        self.residual = residual
        nn.init.kaiming_normal_(self.convolution.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.norm(self.convolution(x)))
        return x + y if self.residual else y


class DetectorNetwork(nn.Module):
    """Pixels (B, 3, H, W), 0 to 255, to a map (B, FIELDS, H / s, W / s) for each stride s.

    H and W are multiples of 32. A cell's fields: the score's logit; the box's centre from the
    cell's own and the logarithms of its sides; the points from the cell's centre. All in cells.
    Source: the anchor-free head of YOLOX (Ge et al., 2021), as in YuNet (Wu et al., 2023).
    """

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Sequential(
            Convolution(3, config.stem[0], 3, 2),
            Convolution(config.stem[0], config.stem[1], 3, 2),
        )
        stages, inner = [], config.stem[1]
        for width, count in zip(config.widths, config.blocks, strict=True):
            blocks = [Convolution(width, width, 3, residual=True) for _ in range(count)]
            stages.append(nn.Sequential(Convolution(inner, width, 3, 2), *blocks))
            inner = width
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(Convolution(width, config.neck, 1) for width in config.widths)
        self.mixes = nn.ModuleList(Convolution(config.neck, config.neck, 3) for _ in STRIDES)
        self.heads = nn.ModuleList(nn.Conv2d(config.neck, FIELDS, 1) for _ in STRIDES)
        for head in self.heads:
            assert isinstance(head, nn.Conv2d)
            assert head.bias is not None
            nn.init.normal_(head.weight, std=0.01)
            with torch.no_grad():
                head.bias.zero_()
                head.bias[0] = START_SCORE
                head.bias[3:5] = START_SIDE

    def forward(self, pixels: Tensor) -> list[Tensor]:
        x = self.stem((pixels - 127.5) / 127.5)
        maps = []
        for stage, lateral in zip(self.stages, self.laterals, strict=True):
            x = stage(x)
            maps.append(lateral(x))
        for level in (1, 0):  # what the coarse maps know flows down to the fine ones
            maps[level] = maps[level] + functional.interpolate(maps[level + 1], scale_factor=2.0)
        result = []
        for mix, head, features in zip(self.mixes, self.heads, maps, strict=True):
            mixed = mix(features)
            # whole floats: with eight bits of mantissa a point would be off by a pixel
            with torch.autocast(mixed.device.type, enabled=False):
                result.append(head(mixed.float()))
        return result


def folded(network: DetectorNetwork) -> DetectorNetwork:
    """A copy for inference, its normalisations folded into its convolutions."""
    network = copy.deepcopy(network).eval().cpu().to(memory_format=torch.contiguous_format)
    for module in network.modules():
        if isinstance(module, Convolution):
            assert isinstance(module.norm, nn.BatchNorm2d)
            module.convolution = fuse_conv_bn_eval(module.convolution, module.norm)
            module.norm = nn.Identity()
    return network


def load_detector(config: DetectorConfig, path: Path) -> DetectorNetwork:
    """The network with weights of a safetensors file."""
    network = DetectorNetwork(config)
    network.load_state_dict(load_file(path))
    return network.eval()


def export_detector(network: DetectorNetwork, path: Path) -> None:
    """The graph for ONNX Runtime: input `pixels`, an output `stride<s>` for each; any H and W."""
    outputs = [f"stride{stride}" for stride in STRIDES]
    axes = {2: "height", 3: "width"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own older exporter, which needs less
        torch.onnx.export(
            folded(network),
            (torch.zeros(1, 3, 128, 96),),
            str(path),
            input_names=["pixels"],
            output_names=outputs,
            dynamic_axes={"pixels": axes} | dict.fromkeys(outputs, axes),
            opset_version=17,
            dynamo=False,
        )
