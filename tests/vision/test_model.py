"""A model folder is whole or a clear error; ONNX Runtime and torch agree."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import ModelError
from facesearch.core.paths import find_model, shipped_models
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(
        shutil.copytree(
            shipped_models() / "default", tmp_path / "copy", ignore=shutil.ignore_patterns(".*")
        )
    )


def test_torch_gives_the_same_embeddings(embedder: Embedder, people: Path) -> None:
    """The shipped weights are kept in half precision, to go on from."""
    torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
    from safetensors.torch import load_file

    from models.recipes.dlib_network import DlibNetwork

    model = Model(embedder.model.folder, precision="fp32")
    weights = load_file(model.folder / "network.safetensors")
    network = DlibNetwork().fused().eval()
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    paths = sorted(people.glob("*/pose-0.jpg"))
    chips = np.concatenate([embedder.read(path).chips[:1] for path in paths])
    with torch.no_grad():
        pixels = (torch.from_numpy(chips).permute(0, 3, 1, 2).float() - 127.5) / 127.5
        both = network(pixels) + network(pixels.flip(3))
        expected = torch.nn.functional.normalize(both, dim=1).numpy()
    assert np.linalg.norm(model.embed(chips) - expected, axis=1).max() < 5e-3


def test_eight_bits_tell_much_the_same(embedder: Embedder, people: Path) -> None:
    quick = embedder.model
    exact = Model(quick.folder, precision="fp32")
    assert quick.fingerprint == Model(quick.folder, precision="int8").fingerprint
    assert quick.fingerprint != exact.fingerprint
    assert (quick.name, exact.name) == ("default", "default --precision fp32")
    chips = np.concatenate([embedder.read(path).chips[:1] for path in people.glob("*/pose-0.jpg")])
    apart = np.linalg.norm(exact.embed(chips) - quick.embed(chips), axis=1)
    assert 0 < apart.max() < 0.15
    with pytest.raises(ModelError, match=r"network-int8\.onnx is missing"):
        Model(shipped_models() / "accurate", precision="int8")


def test_the_fingerprint_covers_weights_and_preprocessing(copy: Path) -> None:
    first = Model(copy).fingerprint
    assert first == Model(shipped_models() / "default").fingerprint
    config = json.loads((copy / "config.json").read_text())
    config["preprocessing"]["flip_average"] = not config["preprocessing"]["flip_average"]
    (copy / "config.json").write_text(json.dumps(config))
    second = Model(copy).fingerprint
    with (copy / "network-int8.onnx").open("ab") as file:
        file.write(b"\0")
    assert len({first, second, Model(copy).fingerprint}) == 3


@pytest.mark.parametrize("missing", ["config.json", "network-int8.onnx", "landmarks.dat"])
def test_a_missing_part_is_named(copy: Path, missing: str) -> None:
    (copy / missing).unlink()
    with pytest.raises(ModelError, match=missing):
        Model(copy)


def test_damaged_parts_are_named(copy: Path) -> None:
    (copy / "network-int8.onnx").write_bytes(b"nonsense")
    size = Model(copy).preprocessing.size
    with pytest.raises(ModelError, match=r"network-int8\.onnx: no graph"):
        Model(copy).embed(np.zeros((1, size, size, 3), np.uint8))
    (copy / "config.json").write_text('{"preprocessing": {"size": 80, "misspelt": 1}}')
    with pytest.raises(ModelError, match=r"config\.json: damaged"):
        Model(copy)


def test_models_are_found_by_name_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model() == shipped_models() / "default"
    mine = tmp_path / "models" / "mine"
    mine.mkdir(parents=True)
    assert find_model("mine") == mine
    assert find_model(str(mine)) == mine
    monkeypatch.setenv("FACESEARCH_MODEL", "mine")
    assert find_model() == mine
    with pytest.raises(ModelError, match="nobody: no such model; looked in"):
        find_model("nobody")


def test_agreement_is_the_length_of_the_mean(embedder: Embedder, hopper: Path) -> None:
    chips = embedder.read(hopper).chips
    both = np.concatenate([chips, chips[:, :, ::-1]])
    half = chips.shape[2] // 2
    symmetric = np.concatenate([chips[:, :, :half], chips[:, :, half - 1 :: -1]], axis=2)
    vectors, flip_consistencies = embedder.model.embed_with_consistency(
        np.concatenate([both, symmetric])
    )
    assert flip_consistencies[0] == pytest.approx(flip_consistencies[1], abs=1e-5)
    assert np.allclose(vectors[0], vectors[1], atol=1e-5)
    assert flip_consistencies[2] == pytest.approx(1, abs=1e-5)
    assert embedder.model.embed_with_consistency(chips[:0])[1].shape == (0,)


def test_a_model_s_detector_may_be_another(embedder: Embedder) -> None:
    folder = embedder.model.folder
    dlib, network = Model(folder, "dlib"), Model(folder, "network")
    assert dlib.fingerprint != network.fingerprint
    assert embedder.model.fingerprint in (dlib.fingerprint, network.fingerprint)
    assert {dlib.name, network.name} > {"default"}
