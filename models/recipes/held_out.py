"""Faces of people whom neither a model's training nor its calibration saw, to measure with.

press: LFW's dev-test people (photos). celebrities, families: the people of ../shared/data/train who
measure (aligned chips, see train_chips.py). Embeddings are kept below .cache/held-out, by the
model's fingerprint.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings, FlipConsistencies
from facesearch.core.progress import Silent
from facesearch.evaluation.evaluate import gather
from facesearch.evaluation.lfw import people_list
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from facesearch.vision.photo_files import people_in
from facesearch.vision.quality import unrecognisable
from models.recipes.train_chips import Chips

Faces = tuple[Embeddings, FlipConsistencies, NDArray[np.int64]]  # and who is on each

CACHE = Path(__file__).parents[2] / ".cache" / "held-out"


@dataclass(frozen=True, slots=True)
class People:
    """Usable faces of one population; the faces of photos without one are not here."""

    name: str
    embeddings: Embeddings  # (N, D)
    flip_consistencies: FlipConsistencies  # (N,)
    people: NDArray[np.int64]  # (N,), 0 to P - 1


def held_out(data: Path, model: Model) -> list[People]:
    """The three populations, LFW's first."""
    return [
        _kept(model, "press", partial(_press, data / "lfw", model)),
        *(
            _kept(model, name, partial(_chips, data, model, name))
            for name in ("celebrities", "families")
        ),
    ]


def _kept(model: Model, name: str, make: Callable[[], Faces]) -> People:
    path = CACHE / model.fingerprint[:16] / f"{name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        vectors, flip_consistencies, people = make()
        np.savez(path, vectors=vectors, agreements=flip_consistencies, people=people)
    kept = np.load(path)
    _, people = np.unique(kept["people"], return_inverse=True)
    return People(name, kept["vectors"], kept["agreements"], people)


def _press(lfw: Path, model: Model) -> Faces:
    names = people_list(lfw / "peopleDevTest.txt")
    found = people_in(lfw)
    photos = [path for name in names for path in found[name]]
    owners = np.repeat(np.arange(len(names)), [len(found[name]) for name in names])
    faces = gather(Embedder(model), photos, Silent())
    return faces.embeddings[faces.found], faces.flip_consistencies[faces.found], owners[faces.found]


def _chips(data: Path, model: Model, name: str) -> Faces:
    return embedded_chips(Chips.load(data / "train"), model, "measure", name)


def embedded_chips(chips: Chips, model: Model, part: str, population: str) -> Faces:
    """The chips of one part of a population that the model can use."""
    rows = chips.of(part, population)
    pixels = (
        np.stack([chips.aligned(row, model.preprocessing) for row in some])
        for some in np.array_split(rows, len(rows) // 256 + 1)
    )
    vectors, flip_consistencies = (
        np.concatenate(part)
        for part in zip(*map(model.embed_with_consistency, pixels), strict=True)
    )
    usable = np.array(
        [not unrecognisable(each, model.least_flip_consistency) for each in flip_consistencies]
    )
    return vectors[usable], flip_consistencies[usable], chips.people[rows[usable]]
