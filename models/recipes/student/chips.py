"""The sets of chips that the student meets, and which of their faces teach.

`labelled` is the development data's train/, `photos` what photo_chips.py made, `lfw` the same of
LFW, which never teaches: it only says who resembles its people.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.recipes.train_chips import SIDE, Chips

SETS = ("labelled", "photos", "lfw")
MEASURE_ONLY = {"profiles1900"}
CALIBRATING = 5  # one face of fairface in so many calibrates and never teaches


@dataclass(frozen=True, slots=True)
class Faces:
    """A set of chips."""

    name: str
    pixels: NDArray[np.uint8]  # (N, 128, 128, 3)
    frames: NDArray[np.float32]  # (N, 4, 2): the photo's corners in chip pixels
    teach: NDArray[np.bool_]  # (N,): whether a face may teach, likeness apart
    order: NDArray[np.int64]  # the rows, those that are needed first before the others


def calibrates(original: str) -> bool:
    """Whether a picture of fairface is held out of teaching: by its name there, not by chance."""
    digest = hashlib.sha256(original.encode()).digest()
    return digest[0] % CALIBRATING == 0


def corners(frame: str) -> list[list[float]]:
    if not frame:
        far = 10.0 * SIDE
        return [[-far, -far], [far, -far], [far, far], [-far, far]]
    numbers = [float(number) for number in frame.split()]
    return [numbers[at : at + 2] for at in range(0, 8, 2)]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "faces.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def faces_of(name: str, work: Path, train: Path) -> Faces:
    if name == "labelled":
        chips = Chips.load(train, work / "labelled.npy")
        parts = chips.parts
        ranks = [np.flatnonzero(parts == part) for part in ("calibrate", "learn", "measure")]
        rng = np.random.default_rng(0)
        order = np.concatenate([rng.permutation(rank) for rank in ranks])
        return Faces(name, chips.pixels, chips.frames, parts == "learn", order)
    folder = work / name
    rows = rows_of(folder)
    frames = np.array([corners(row["frame"]) for row in rows], np.float32)
    teach = np.array(
        [
            name != "lfw"
            and not row["reason"]
            and row["set"] not in MEASURE_ONLY
            and not (row["set"] == "fairface" and calibrates(row["original"]))
            for row in rows
        ]
    )
    order = np.random.default_rng(0).permutation(len(rows))
    order = np.concatenate([order[teach[order]], order[~teach[order]]])
    return Faces(name, np.load(folder / "pixels.npy", mmap_mode="r"), frames, teach, order)
