"""What the tables of a gallery hold, as plain data."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.core.face import Box, Face
from facesearch.storage.state import State


@dataclass(frozen=True, slots=True)
class Person:
    """An enrolled person, and how much of them is enrolled."""

    name: str
    faces: int
    photos: int
    created: str  # ISO 8601, UTC
    expires: str | None = None  # a date, ISO 8601; a purge takes the person after it
    consent: str | None = None  # a note


@dataclass(frozen=True, slots=True)
class ModelStamp:
    """The model that computed the embeddings of a gallery."""

    name: str
    fingerprint: str
    dimension: int


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """A photo to enrol, with the faces of one person."""

    name: str  # of the person
    path: Path
    sha256: str
    width: int
    height: int
    faces: list[Face]
    embeddings: Embeddings  # (len(faces), D)
    flip_consistencies: list[float]  # of each face with its mirror image
    chips: list[bytes] | None = None  # to store, one for each face


@dataclass(frozen=True, slots=True)
class StoredFace:
    """An enrolled face."""

    number: int
    name: str
    photo: Path
    box: Box


@dataclass(frozen=True, slots=True)
class EnrolledFaces:
    """The enrolled faces of everybody or of one person, in the order of enrolment."""

    numbers: NDArray[np.int64]  # of the faces, (N,)
    owners: NDArray[np.int64]  # the numbers of their people, (N,)
    embeddings: Embeddings  # (N, D)
    flip_consistencies: NDArray[np.float64]  # (N,)
    names: dict[int, str]  # of the people, by number


NOBODY = EnrolledFaces(
    np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 1), np.float32), np.empty(0), {}
)


@dataclass(frozen=True, slots=True)
class FaceLocation:
    """The photo that an enrolled face comes from, and the place in it."""

    photo: Path
    sha256: str
    face: Face


@dataclass(frozen=True, slots=True)
class PersonFaces:
    """The enrolled faces of one person."""

    name: str
    numbers: list[int]  # of the faces
    photos: list[Path]
    embeddings: Embeddings  # (len(photos), D)
    flip_consistency: float  # of the best face with its mirror image


@dataclass(frozen=True, slots=True)
class Delta:
    """The people who changed since a state of the gallery."""

    state: State  # as of now
    people: NDArray[np.int64]  # (P,), ascending
    owners: NDArray[np.int64]  # of their faces, (N,); a person without faces has no template
    embeddings: Embeddings  # (N, D)
