"""Faces of people whom neither a model's training nor its calibration saw, to measure with.

press: LFW's dev-test people (photos). celebrities, families: the odd half of the people of
../shared/data/train (aligned chips; the even half calibrates, see calibrate_default.py). Embeddings
are kept below .cache/held-out, by the model's fingerprint.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from unpack_chips import unpack

from facesearch.data import people_in, people_list
from facesearch.embed import Embedder
from facesearch.evaluate import gather
from facesearch.model import Agreements, Embeddings, Model
from facesearch.progress import Silent

Faces = tuple[Embeddings, Agreements, NDArray[np.int64]]  # and who is on each

CACHE = Path(__file__).parent.parent / ".cache" / "held-out"


@dataclass(frozen=True, slots=True)
class People:
    """Usable faces of one population; the faces of photos without one are not here."""

    name: str
    embeddings: Embeddings  # (N, D)
    agreements: Agreements  # (N,)
    people: NDArray[np.int64]  # (N,), 0 to P - 1


def held_out(data: Path, model: Model, half: str = "odd") -> list[People]:
    """The three populations, LFW's first; `half` of the people of the chips."""
    return [
        _kept(model, "press", partial(_press, data / "lfw", model)),
        *(
            _kept(model, f"{name}-{half}", partial(_chips, data, model, name, half))
            for name in ("celebrities", "families")
        ),
    ]


def _kept(model: Model, name: str, make: Callable[[], Faces]) -> People:
    path = CACHE / model.fingerprint[:16] / f"{name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        vectors, agreements, people = make()
        np.savez(path, vectors=vectors, agreements=agreements, people=people)
    kept = np.load(path)
    _, people = np.unique(kept["people"], return_inverse=True)
    return People(name.split("-")[0], kept["vectors"], kept["agreements"], people)


def _press(lfw: Path, model: Model) -> Faces:
    names = people_list(lfw / "peopleDevTest.txt")
    found = people_in(lfw)
    return _embedded(model, [found[name] for name in names], aligned=False)


def _chips(data: Path, model: Model, name: str, half: str) -> Faces:
    with tempfile.TemporaryDirectory() as folder:
        unpack(data / "train", Path(folder), half)
        found = people_in(Path(folder) / name)
        return _embedded(model, list(found.values()), aligned=True)


def _embedded(model: Model, people: list[list[Path]], *, aligned: bool) -> Faces:
    photos = [path for paths in people for path in paths]
    owners = np.repeat(np.arange(len(people)), [len(paths) for paths in people])
    faces = gather(Embedder(model), photos, Silent(), aligned=aligned)
    return faces.embeddings[faces.found], faces.agreements[faces.found], owners[faces.found]
