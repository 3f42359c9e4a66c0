"""The embedding network in PyTorch, its weights as safetensors and its graph as ONNX."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

EMBEDDING_DIMENSION = 128


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """The sizes of a residual network: a stem and stages, each of which halves the chip.

    Only the first stage leaves the size as it is.
    """

    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: tuple[int, ...] = (1, 1, 2, 1)
    dropout: float = 0.2
    dimension: int = EMBEDDING_DIMENSION


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut; the weight of the last normalisation starts at 0."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outer)
        self.second = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outer)
        nn.init.zeros_(self.second_norm.weight)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inner != outer:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride), nn.Conv2d(inner, outer, 1, bias=False), nn.BatchNorm2d(outer)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


class EmbeddingNetwork(nn.Module):
    """From chips (B, 3, S, S) with values in [-1, 1] to unit embeddings (B, D)."""

    def __init__(self, config: NetworkConfig, size: int) -> None:
        super().__init__()
        self.config = config
        self.size = size
        self.stem = nn.Sequential(
            nn.Conv2d(3, config.widths[0], 3, 2, 1, bias=False),
            nn.BatchNorm2d(config.widths[0]),
            nn.ReLU(),
        )
        stages: list[nn.Module] = []
        inner = config.widths[0]
        for stage, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
            for block in range(count):
                stages.append(Block(inner, width, 2 if stage > 0 and block == 0 else 1))
                inner = width
        self.stages = nn.Sequential(*stages)
        side = size // 2 ** len(config.widths)
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(config.dropout),
            nn.Linear(inner * side * side, config.dimension, bias=False),
            nn.BatchNorm1d(config.dimension),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, chips: Tensor) -> Tensor:
        features = self.stages(self.stem(chips))
        return functional.normalize(self.head(features).float(), dim=1)


def save_weights(network: nn.Module, path: Path) -> None:
    """Write weights and running statistics as safetensors."""
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()
    }
    save_file(tensors, path)


def load_network(config: NetworkConfig, size: int, path: Path) -> EmbeddingNetwork:
    """The network with the weights of a file, ready to embed."""
    network = EmbeddingNetwork(config, size)
    network.load_state_dict(load_file(path))
    return network.eval()


def export_onnx(network: nn.Module, size: int, path: Path) -> None:
    """Write the network for ONNX Runtime: input `chips`, output `embeddings`, any batch size."""
    network = network.eval().cpu().to(memory_format=torch.contiguous_format)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # torch warns that this exporter is its older one, which needs fewer packages
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, size, size),),
            str(path),
            input_names=["chips"],
            output_names=["embeddings"],
            dynamic_axes={"chips": {0: "batch"}, "embeddings": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
