"""The cohort of a model: people whom its training never saw, with whom it is calibrated."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from facesearch.core.arrays import Embeddings, FlipConsistencies
from facesearch.core.errors import ModelError

FACES_OF_ONE = 4  # the most of a person: enough for genuine pairs, and nobody weighs too much
MOST_PEOPLE = 5000  # the most of a population


@dataclass(frozen=True, slots=True)
class Cohort:
    """The embeddings of people's faces, by person and by population, without names or pictures.

    The photos of a population are of one kind, such as press photos or family albums. An error rate
    is promised for each population, not for their mean.
    """

    embeddings: Embeddings  # unit vectors, (N, D)
    flip_consistencies: FlipConsistencies  # (N,), see Model.embed_with_consistency
    people: NDArray[np.int64]  # who is on each face, (N,): 0 to P - 1, ascending
    populations: NDArray[np.int64]  # where each face is from, (N,): a place in `names`
    names: tuple[str, ...]  # of the populations
    photos: NDArray[np.uint64]  # the `content_key` of every photo of these people, (M,)
    photo_people: NDArray[np.int64]  # who is on each, (M,)

    @classmethod
    def drawn(
        cls,
        embeddings: Embeddings,
        flip_consistencies: FlipConsistencies,
        people: NDArray[np.int64],
        photos: NDArray[np.uint64],
        name: str,
        seed: int = 0,
    ) -> "Cohort":
        """A cohort of one population: MOST_PEOPLE people at most, FACES_OF_ONE faces of each.

        people: who is on each face, (N,). photos: the `content_key` of each face's photo, (N,).
        """
        rng = np.random.default_rng(seed)
        order = rng.permutation(len(people))
        order = order[np.argsort(people[order], kind="stable")]
        _, starts, counts = np.unique(people[order], return_index=True, return_counts=True)
        chosen = np.sort(rng.permutation(len(starts))[:MOST_PEOPLE])
        kept = np.minimum(counts[chosen], FACES_OF_ONE)
        rows = [order[starts[person] :][:count] for person, count in zip(chosen, kept, strict=True)]
        faces = np.concatenate(rows) if rows else np.empty(0, np.int64)
        every = [order[starts[p] :][: counts[p]] for p in chosen]
        return cls(
            embeddings[faces],
            flip_consistencies[faces],
            np.repeat(np.arange(len(chosen)), kept),
            np.zeros(len(faces), np.int64),
            (name,),
            photos[np.concatenate(every)] if every else photos[:0],
            np.repeat(np.arange(len(chosen)), counts[chosen]),
        )

    def joined(self, other: "Cohort") -> "Cohort":
        """Both cohorts as one; a population of `other` replaces the one of the same name."""
        places = [number for number, name in enumerate(self.names) if name not in other.names]
        mine = self._only(places)
        first = int(mine.people.max()) + 1 if len(mine.people) else 0
        return Cohort(
            np.concatenate([mine.embeddings, other.embeddings]),
            np.concatenate([mine.flip_consistencies, other.flip_consistencies]),
            np.concatenate([mine.people, other.people + first]),
            np.concatenate([mine.populations, other.populations + len(places)]),
            mine.names + other.names,
            np.concatenate([mine.photos, other.photos]),
            np.concatenate([mine.photo_people, other.photo_people + first]),
        )

    def of(self, population: int) -> "Cohort":
        """The cohort of one population alone."""
        return self._only([population])

    def _only(self, places: list[int]) -> "Cohort":
        rows = np.isin(self.populations, places)
        owners, people = np.unique(self.people[rows], return_inverse=True)
        shown = np.isin(self.photo_people, owners)
        return Cohort(
            self.embeddings[rows],
            self.flip_consistencies[rows],
            people.astype(np.int64),
            np.searchsorted(places, self.populations[rows]).astype(np.int64),
            tuple(self.names[number] for number in places),
            self.photos[shown],
            np.searchsorted(owners, self.photo_people[shown]).astype(np.int64),
        )

    @property
    def firsts(self) -> NDArray[np.int64]:
        """The rows of one face of each person, (P,)."""
        return np.unique(self.people, return_index=True)[1].astype(np.int64)

    def save(self, path: Path) -> None:
        """Write the cohort in half precision.

        That moves an embedding by a thousandth of the distance between people.
        """
        content = save(
            {
                "embeddings": self.embeddings.astype(np.float16),
                "agreements": self.flip_consistencies.astype(np.float16),
                "people": self.people.astype(np.int32),
                "populations": self.populations.astype(np.int32),
                "photos": self.photos,
                "photo_people": self.photo_people.astype(np.int32),
            },
            {"names": json.dumps(self.names)},
        )
        path.write_bytes(content)

    @classmethod
    def load(cls, path: Path) -> "Cohort":
        """Read what `save` wrote. Raises ModelError if the file is missing or damaged."""
        try:
            with safe_open(path, "numpy") as file:
                parts = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                names = tuple(json.loads(file.metadata()["names"]))
            embeddings = parts["embeddings"].astype(np.float32)
            embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
            return cls(
                embeddings,
                parts["agreements"].astype(np.float32),
                parts["people"].astype(np.int64),
                parts["populations"].astype(np.int64),
                names,
                parts["photos"].astype(np.uint64),
                parts["photo_people"].astype(np.int64),
            )
        except FileNotFoundError as error:
            raise ModelError(
                f"{path}: missing, so that no threshold is known; `facesearch calibrate` finds it"
            ) from error
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: damaged ({error})") from error
