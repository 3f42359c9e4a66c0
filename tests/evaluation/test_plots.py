"""Plots are drawn into files, each with what it is about."""

from pathlib import Path

import numpy as np
from PIL import Image

from facesearch.evaluation.plots import SamplePairs, draw_losses, draw_pairs


def test_losses_and_pairs(tmp_path: Path) -> None:
    history = [
        {"epoch": epoch, "train_loss": 1 / epoch, "validation_loss": 2 / epoch} for epoch in (1, 2)
    ]
    draw_losses(history, tmp_path / "loss.png")
    rng = np.random.default_rng(0)
    chips = rng.integers(0, 256, (2, 5, 48, 48, 3), dtype=np.uint8)
    same = np.array([True, True, False, False, False])
    sample = SamplePairs("test", chips[0], chips[1], same, np.linspace(0.1, 1.5, 5))
    draw_pairs(sample, 0.8, tmp_path / "pairs.png")
    for name in ("loss.png", "pairs.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.convert("L").getextrema() == (0, 255), "ink on white"
    draw_pairs(sample, 0.0, tmp_path / "refused.png")
    assert (tmp_path / "refused.png").read_bytes() != (tmp_path / "pairs.png").read_bytes()
