"""A run leaves a whole model: weights, graph, calibration, report and card."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from facesearch.core.progress import Silent  # noqa: E402
from facesearch.matching.calibration import Calibration  # noqa: E402
from facesearch.training.network import load_network  # noqa: E402
from facesearch.training.release import sample_pairs  # noqa: E402
from facesearch.training.train import train  # noqa: E402
from facesearch.vision.embedder import Embedder  # noqa: E402
from facesearch.vision.model import Model  # noqa: E402
from tests.support.small_training import DETECTOR_FILES, SMALL, coloured_faces  # noqa: E402


def test_a_run_leaves_a_whole_model(model: Model, album: Path) -> None:
    assert sorted(path.name for path in model.folder.iterdir()) == [
        "calibration.json",
        "card.md",
        "cohort.safetensors",
        "config.json",
        "landmarks.dat",
        "landmarks.json",
        "left_out.txt",
        "network.onnx",
        "network.safetensors",
        "report",
    ]
    record = model.config
    assert record["training"]["seed"] == 0
    assert record["data"]["people"] == {"train": 10, "validation": 2, "test": 2}
    assert record["data"]["left_out"] == 1
    assert "wall.png: no usable face" in (model.folder / "left_out.txt").read_text()
    card = (model.folder / "card.md").read_text()
    assert "facesearch train album" in card
    assert "mean error 3.69% of the eye distance on 3,576 faces" in card
    page = (model.folder / "report" / "report.md").read_text()
    shown = [line.split("](")[1].rstrip(")") for line in page.splitlines() if line[:2] == "!["]
    assert sorted(shown) == sorted(
        path.name for path in (model.folder / "report").iterdir() if path.suffix == ".png"
    )
    results = json.loads((model.folder / "report" / "results.json").read_text())
    assert [row["people"] for row in results] == ["train", "validation", "test"]
    for row in results:
        assert f"| {row['people']} | {row['pairs']} | {row['f1']:.3f} |" in page
    assert {"loss.png", "roc.png", "det.png", "distances.png", "pairs-test.png"} <= set(shown)
    for part in ("train", "validation", "test"):
        assert f"| {part} |" in page
    assert Calibration.load(model.folder / "calibration.json").people == 2


def test_the_graph_and_the_weights_agree(model: Model, album: Path) -> None:
    network = load_network(SMALL.network, SMALL.size, model.folder / "network.safetensors")
    chips = Embedder(model).read(album / "person-01" / "0.png").chips
    with torch.no_grad():
        pixels = (torch.from_numpy(chips).permute(0, 3, 1, 2).float() - 127.5) / 127.5
        both = network(pixels) + network(pixels.flip(3))
        expected = torch.nn.functional.normalize(both, dim=1).numpy()
    assert np.abs(model.embed(chips) - expected).max() < 1e-4


@pytest.mark.slow
def test_a_shipped_model_shows_no_pictures(album: Path, tmp_path: Path) -> None:
    config = replace(SMALL, epochs=1, batches=1)
    made = train(album, tmp_path / "m", config, DETECTOR_FILES, Silent(), pictures=False)
    names = {path.name for path in (made.folder / "report").iterdir()}
    assert names == {
        "report.md",
        "results.json",
        "loss.png",
        "roc.png",
        "det.png",
        "distances.png",
    }


def test_sample_pairs_are_what_they_are_said_to_be() -> None:
    crowd = coloured_faces()
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(len(crowd), 8)).astype(np.float32)
    shown = sample_pairs("test", crowd, embeddings, SMALL.size, seed=0, count=5)
    colours = [side[:, 0, 0, 0] // 30 for side in (shown.first, shown.second)]
    assert shown.same.tolist() == [True] * 5 + [False] * 5
    assert (colours[0] == colours[1]).tolist() == shown.same.tolist()
    assert shown.first.shape == (10, 48, 48, 3)
