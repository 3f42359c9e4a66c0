"""What is known of one person: their faces, and how typical each is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from facesearch.core.templates import templates
from facesearch.storage.database import Database
from facesearch.storage.faces import EnrolledFace, enrolled
from facesearch.storage.people import person_number
from facesearch.storage.schema import faces

FEWEST = 3  # faces that have a most and a least typical one: of two, both are equally far


@dataclass(frozen=True, slots=True)
class ProfileFace:
    """A face and how far it lies from the person's template."""

    face: EnrolledFace
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


def profile_of(database: Database, name: str) -> Profile:
    """Raises PersonError, and GalleryError for a damaged row."""
    with database.read() as connection:
        person = person_number(connection, name)
        theirs = enrolled(database, connection, faces.c.person == person)
    if not theirs:
        return Profile(name, [])
    embeddings = np.stack([face.embedding for face in theirs])
    template = templates(embeddings, np.zeros(len(theirs), np.int64))[0]
    distances = np.linalg.norm(embeddings - template, axis=1)
    pairs = zip(theirs, distances.tolist(), strict=True)
    return Profile(name, [ProfileFace(face, distance) for face, distance in pairs])
