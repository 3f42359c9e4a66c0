"""What is known of one person: their faces, and how typical each is."""

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

FEWEST = 3  # faces that have a most and a least typical one: of two, both are equally far


@dataclass(frozen=True, slots=True)
class ProfileFace:
    """A face and how far it lies from the person's template."""

    face: stored.EnrolledFace
    distance: float


@dataclass(frozen=True, slots=True)
class Profile:
    """A person's faces in the order of their enrolment."""

    name: str
    faces: list[ProfileFace]

    @property
    def photos(self) -> int:
        return len({each.face.photo for each in self.faces})

    @property
    def first(self) -> str | None:
        """When the first photo was added, ISO 8601, UTC."""
        return min((each.face.added for each in self.faces), default=None)

    @property
    def last(self) -> str | None:
        return max((each.face.added for each in self.faces), default=None)

    @property
    def most_typical(self) -> int | None:
        """The number of the face nearest to the template; None below FEWEST faces."""
        return self._at(min)

    @property
    def least_typical(self) -> int | None:
        """The number of the face farthest from the template; None below FEWEST faces."""
        return self._at(max)

    def _at(self, end: Callable[[list[float]], float]) -> int | None:
        if len(self.faces) < FEWEST:
            return None
        distances = [each.distance for each in self.faces]
        return self.faces[distances.index(end(distances))].face.number


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
        return len({face.photo for face in self.faces})

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
    faces = [
        EnrolledFace(
            number=each.face.number,
            photo=each.face.path,
            sha256=each.face.sha256,
            box=each.face.box,
            added=each.face.added,
            flip_consistency=each.face.flip_consistency,
            distance=each.distance,
            _picture=picture,
        )
        for each in profile_of(database, person.name).faces
    ]
    return PersonProfile(person.name, person.created, person.expires, person.consent, faces)


def profile_of(database: Database, name: str) -> Profile:
    """Raises PersonError, and GalleryError for a damaged row."""
    with database.read() as connection:
        person = person_number(connection, name)
        theirs = faces_of_person(database, connection, person)
    if not theirs:
        return Profile(name, [])
    embeddings = np.stack([face.embedding for face in theirs])
    template = templates(embeddings, np.zeros(len(theirs), np.int64))[0]
    distances = np.linalg.norm(embeddings - template, axis=1)
    pairs = zip(theirs, distances.tolist(), strict=True)
    return Profile(name, [ProfileFace(face, distance) for face, distance in pairs])
