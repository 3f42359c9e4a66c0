"""Faces of people whom neither a model's training nor its calibration saw, to measure with.

press: LFW's dev-test people (photos). celebrities, families: the odd half of the people of
../shared/data/train (aligned chips; the even half calibrates, see calibrate_default.py). Embeddings
are kept below .cache/held-out, by the model's fingerprint.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from unpack_chips import unpack

from facesearch.data import people_in, people_list
from facesearch.embed import Embedder, in_order
from facesearch.errors import PhotoError
from facesearch.model import Agreements, Embeddings, Model

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
        _kept(model, "press", lambda: _press(data / "lfw", model)),
        *(
            _kept(model, f"{name}-{half}", lambda name=name: _chips(data, model, name, half))
            for name in ("celebrities", "families")
        ),
    ]


def _kept(model: Model, name: str, make) -> People:  # type: ignore[no-untyped-def]
    path = CACHE / model.fingerprint[:16] / f"{name}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        vectors, agreements, people = make()
        np.savez(path, vectors=vectors, agreements=agreements, people=people)
    kept = np.load(path)
    _, people = np.unique(kept["people"], return_inverse=True)
    return People(name.split("-")[0], kept["vectors"], kept["agreements"], people)


def _press(lfw: Path, model: Model):  # type: ignore[no-untyped-def]
    names = people_list(lfw / "peopleDevTest.txt")
    found = people_in(lfw)
    photos = [(n, path) for n, name in enumerate(names) for path in found[name]]
    return _embedded(model, photos, Embedder(model).read_principal)


def _chips(data: Path, model: Model, name: str, half: str):  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory() as folder:
        unpack(data / "train", Path(folder), half)
        found = people_in(Path(folder) / name)
        photos = [(n, path) for n, paths in enumerate(found.values()) for path in paths]
        return _embedded(model, photos, Embedder(model).read_aligned)


def _embedded(model: Model, photos, read):  # type: ignore[no-untyped-def]
    chips, people = [], []
    results = in_order(read, [path for _, path in photos])
    for (number, _), (_, chip) in zip(photos, results, strict=True):
        if chip is not None and not isinstance(chip, PhotoError):
            chips.append(chip)
            people.append(number)
    vectors, agreements = model.embed_rated(np.array(chips))
    return vectors, agreements, np.array(people)
