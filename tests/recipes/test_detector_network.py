"""The detector's network: maps of every stride, the same on ONNX Runtime, at any size."""

import facesearch  # noqa: F401  # isort: skip  # before ONNX Runtime, which else calls home

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from models.recipes.detector_network import (
    FIELDS,
    STRIDES,
    Convolution,
    DetectorConfig,
    DetectorNetwork,
    export_detector,
    folded,
    load_detector,
)

SMALL = DetectorConfig(stem=(8, 8), widths=(8, 16, 16), blocks=(1, 1, 1), neck=8)


@pytest.fixture(scope="module")
def network() -> DetectorNetwork:
    """A small one with random weights whose normalisations have seen something."""
    torch.manual_seed(0)
    network = DetectorNetwork(SMALL).train()
    for _ in range(3):
        network(torch.rand(2, 3, 64, 64) * 255)
    return network.eval()


@torch.no_grad()
def test_a_map_for_every_stride(network: DetectorNetwork) -> None:
    maps = network(torch.zeros(2, 3, 96, 160))
    assert [tuple(values.shape) for values in maps] == [
        (2, FIELDS, 96 // stride, 160 // stride) for stride in STRIDES
    ]


@torch.no_grad()
def test_folding_changes_nothing(network: DetectorNetwork) -> None:
    pixels = torch.rand(1, 3, 64, 96) * 255
    plain = folded(network)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in plain.modules())
    for before, after in zip(network(pixels), plain(pixels), strict=True):
        assert torch.allclose(before, after, atol=1e-4)
    assert isinstance(network.stem[0], Convolution)
    assert isinstance(network.stem[0].norm, torch.nn.BatchNorm2d)  # the original is left alone


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (64, 160), (224, 96)])
def test_onnx_agrees_at_any_size(
    network: DetectorNetwork, tmp_path: Path, size: tuple[int, int]
) -> None:
    export_detector(network, tmp_path / "detector.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "detector.onnx")
    pixels = torch.rand(1, 3, *size) * 255
    names = [f"stride{stride}" for stride in STRIDES]
    found = session.run(names, {"pixels": pixels.numpy()})
    for expected, values in zip(network(pixels), found, strict=True):
        assert np.abs(expected.numpy() - values).max() < 1e-4


@torch.no_grad()
def test_weights_survive(network: DetectorNetwork, tmp_path: Path) -> None:
    save_file(network.state_dict(), tmp_path / "detector.safetensors")
    again = load_detector(SMALL, tmp_path / "detector.safetensors")
    pixels = torch.rand(1, 3, 64, 64) * 255
    for one, other in zip(network(pixels), again(pixels), strict=True):
        assert torch.equal(one, other)


def test_the_default_size() -> None:
    weights = sum(weight.numel() for weight in DetectorNetwork(DetectorConfig()).parameters())
    assert 75_000 < weights < 700_000
