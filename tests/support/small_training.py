"""A training run that takes seconds: its settings, its people, and a way to stop it."""

from pathlib import Path

import numpy as np
from PIL import Image

from facesearch.core.paths import shipped_models
from facesearch.core.progress import Silent
from facesearch.demo.drawn_people import portrait
from facesearch.training.config import TrainConfig
from facesearch.training.dataset import Faces
from facesearch.training.network import NetworkConfig

DETECTOR_FILES = [shipped_models() / "default" / "landmarks.dat"]
SMALL = TrainConfig(
    size=48,
    network=NetworkConfig(widths=(8, 16, 16, 32), blocks=(1, 1, 1, 1)),
    people=6,
    photos=3,
    singles=2,
    epochs=2,
    batches=6,
)


def draw_album(root: Path) -> None:
    """Ten invented people with three photos each and four with one; one photo shows nobody."""
    for person in range(14):
        folder = root / f"person-{person:02}"
        folder.mkdir()
        for pose in range(3 if person < 10 else 1):
            portrait(person, pose, size=200).save(folder / f"{pose}.png")
    Image.new("RGB", (200, 200), "grey").save(root / "person-00" / "wall.png")


class StopAt(Silent):
    """Ctrl-C when a stage begins."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self.totals: dict[str, int] = {}

    def start(self, stage: str, total: int) -> None:
        self.totals[stage] = total
        if stage.startswith(self.stage):
            raise KeyboardInterrupt


def coloured_faces() -> Faces:
    """Eight people: four with four chips, four with one; a chip's colour tells whose it is."""
    people = np.array([0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [4, 5, 6, 7])
    chips = np.repeat(people[:, None, None, None] * 30, 64 * 64 * 3, axis=1)
    return Faces(chips.reshape(-1, 64, 64, 3).astype(np.uint8), np.arange(len(people)), people)
