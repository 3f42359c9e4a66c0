"""One person with their faces, and how typical each is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facesearch.core.arrays import Pixels
from facesearch.core.errors import PhotoError
from facesearch.core.face import Box
from facesearch.core.templates import templates
from facesearch.storage import faces as stored
from facesearch.storage.database import Database
from facesearch.storage.faces import faces_of_person
from facesearch.storage.people import person_number
from facesearch.storage.records import Person

FEWEST = 3  # faces of whom one is the most typical: of two, both are equally far from the mean


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """An enrolled face of a person."""

    number: int
    photo: Path
    sha256: str  # of the photo
    box: Box
    added: str  # when the photo was enrolled first, ISO 8601, UTC
    flip_consistency: float  # with its mirror image; low for a face that is hard to recognise
    distance: float  # to the mean of the person's faces
    _picture: Callable[[int], Pixels] | None = field(default=None, repr=False, compare=False)

    def picture(self) -> Pixels:
        """The face, aligned, (S, S, 3) RGB.

        It is its kept chip, or is cut out of the photo. Raises PhotoError if there is neither.
        """
        if self._picture is None:
            raise PhotoError(f"face {self.number}: this face is of no open gallery")
        return self._picture(self.number)


@dataclass(frozen=True, slots=True)
class PersonProfile:
    """A person with their faces, in the order of their enrolment."""

    name: str
    created: str  # ISO 8601, UTC
    expires: str | None  # the last day on which the person may be kept
    consent: str | None  # a note
    faces: list[EnrolledFace]

    @property
    def photos(self) -> int:
        """How many photos their faces are from."""
        return len({(face.photo, face.sha256) for face in self.faces})

    @property
    def first(self) -> str | None:
        """When their first photo was added, ISO 8601, UTC."""
        return min((face.added for face in self.faces), default=None)

    @property
    def last(self) -> str | None:
        """When their latest photo was added, ISO 8601, UTC."""
        return max((face.added for face in self.faces), default=None)

    @property
    def most_typical(self) -> int | None:
        """The number of the face nearest to the mean; None below FEWEST faces."""
        return self._at(min)

    @property
    def least_typical(self) -> int | None:
        """The number of the face farthest from the mean; None below FEWEST faces."""
        return self._at(max)

    def _at(self, end: Callable[[list[float]], float]) -> int | None:
        if len(self.faces) < FEWEST:
            return None
        distances = [face.distance for face in self.faces]
        return self.faces[distances.index(end(distances))].number


def person_profile(
    database: Database, person: Person, picture: Callable[[int], Pixels]
) -> PersonProfile:
    """A person's faces, and how typical each is. picture: gives that of a face by its number.

    Raises UnknownPerson, and GalleryError for a damaged row.
    """
    with database.read() as connection:
        number = person_number(connection, person.name)
        theirs = faces_of_person(database, connection, number)
    faces = [
        EnrolledFace(
            number=face.number,
            photo=face.path,
            sha256=face.sha256,
            box=face.box,
            added=face.added,
            flip_consistency=face.flip_consistency,
            distance=distance,
            _picture=picture,
        )
        for face, distance in zip(theirs, _distances(theirs), strict=True)
    ]
    return PersonProfile(person.name, person.created, person.expires, person.consent, faces)


def _distances(faces: list[stored.EnrolledFace]) -> list[float]:
    """From each face of a person to the mean of all."""
    if not faces:
        return []
    embeddings = np.stack([face.embedding for face in faces])
    template = templates(embeddings, np.zeros(len(faces), np.int64))[0]
    return [float(distance) for distance in np.linalg.norm(embeddings - template, axis=1)]
