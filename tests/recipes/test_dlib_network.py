"""The PyTorch form of dlib's network gives what dlib gives."""

from pathlib import Path

import dlib
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from models.recipes.dlib_network import DlibNetwork, load_dlib  # noqa: E402
from models.recipes.teachers import CACHE  # noqa: E402

WEIGHTS = CACHE / "dlib_face_recognition_resnet_model_v1.dat"


@pytest.fixture
def weights() -> Path:
    if not WEIGHTS.is_file():
        pytest.skip("dlib's weights were not fetched (models/recipes/teachers.py)")
    return WEIGHTS


def test_the_same_as_dlib(weights: Path, hopper: Path) -> None:
    rng = np.random.default_rng(0)
    photo = Image.open(hopper).convert("RGB").crop((130, 40, 380, 290)).resize((150, 150))
    chips = [np.asarray(photo), rng.integers(0, 256, (150, 150, 3), dtype=np.uint8)]
    theirs = dlib.face_recognition_model_v1(str(weights))
    expected = np.array([theirs.compute_face_descriptor(chip) for chip in chips])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    pixels = (torch.tensor(np.array(chips)).permute(0, 3, 1, 2).float() - 127.5) / 127.5
    network = load_dlib(weights)
    with torch.no_grad():
        assert np.abs(network(pixels).numpy() - expected).max() < 1e-5
        assert np.abs(network.fused()(pixels).numpy() - expected).max() < 1e-5


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.dat").write_bytes(b"no network")
    with pytest.raises(ValueError, match="no tensor of"):
        load_dlib(tmp_path / "other.dat")


def test_folding_the_affine_layers_changes_nothing() -> None:
    torch.manual_seed(0)
    network = DlibNetwork().eval()
    for name, value in network.named_parameters():
        if name.endswith(("gain", "shift")):
            value.data.uniform_(0.5, 1.5)
    x = torch.rand(2, 3, 150, 150)
    with torch.no_grad():
        before = network(x)
        assert torch.allclose(network.fused()(x), before, atol=1e-5)
