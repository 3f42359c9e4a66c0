"""The rows of a gallery as they are, sound or damaged: what the doctor looks at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import GalleryError
from facesearch.storage.database import Database
from facesearch.storage.schema import (
    chips,
    face_is_sound,
    face_rows,
    faces,
    people,
    person_checksum,
    photo_checksum,
    photos,
    rejections,
)


class Unreadable(Exception):
    """The database cannot read its own rows; the message is its reason."""


@dataclass(frozen=True, slots=True)
class ExaminedPerson:
    """A row of a person."""

    number: int
    name: str  # the one that they bear, or bore until they were removed
    removed: bool  # by the date of removal
    name_says_removed: bool
    sound: bool  # whether the name is the one that was written
    has_faces: bool


@dataclass(frozen=True, slots=True)
class ExaminedPhoto:
    """A row of a photo."""

    number: int
    path: Path
    sha256: str
    sound: bool  # whether path and hash are those that were written
    has_faces: bool


@dataclass(frozen=True, slots=True)
class ExaminedFace:
    """A row of a face."""

    number: int
    photo: int
    person: int
    box: str  # JSON, as it is stored
    sound: bool  # whether it is what was written
    embedding: Embeddings | None  # (D,); None if it is damaged or cannot be read


@contextmanager
def reading() -> Iterator[None]:
    """Raises Unreadable where the database cannot read a row."""
    try:
        yield
    except sa.exc.DatabaseError as error:
        raise Unreadable(str(error.orig)) from error
    except UnicodeDecodeError as error:
        raise Unreadable(str(error)) from error


def examined_people(connection: sa.Connection) -> Iterator[ExaminedPerson]:
    """The rows of all people."""
    with_faces = set(connection.execute(sa.select(faces.c.person).distinct()).scalars())
    query = sa.select(people.c.id, people.c.name, people.c.removed, people.c.checksum)
    for number, name, removed, checksum in connection.execute(query):
        yield ExaminedPerson(
            number,
            str(name).split("\0")[0],
            removed is not None,
            "\0" in str(name),
            checksum == person_checksum(number, name),
            number in with_faces,
        )


def examined_photos(connection: sa.Connection) -> Iterator[ExaminedPhoto]:
    """The rows of all photos."""
    with_faces = set(connection.execute(sa.select(faces.c.photo).distinct()).scalars())
    query = sa.select(photos.c.id, photos.c.path, photos.c.sha256, photos.c.checksum)
    for number, path, sha256, checksum in connection.execute(query):
        path = path or Path()
        sound = checksum == photo_checksum(number, path, sha256)
        yield ExaminedPhoto(number, path, sha256, sound, number in with_faces)


def examined_faces(database: Database, connection: sa.Connection) -> Iterator[ExaminedFace]:
    """The rows of all faces."""
    for row in connection.execute(face_rows()):
        sound = face_is_sound(row)
        vector: Embeddings | None = None
        if sound:
            try:
                vector = np.frombuffer(database.unsealed(row.embedding, "face"), "<f4")
            except (GalleryError, ValueError):
                vector = None
        yield ExaminedFace(row.id, row.photo, row.person, row.box, sound, vector)


def chips_of_nobody(connection: sa.Connection) -> list[int]:
    """The numbers of faces that do not exist but have a chip."""
    query = sa.except_(sa.select(chips.c.face), sa.select(faces.c.id))
    return list(connection.execute(query).scalars())


def rejections_of_nobody(connection: sa.Connection) -> list[int]:
    """The numbers of people who do not exist but have rejections."""
    query = sa.except_(sa.select(rejections.c.person), sa.select(people.c.id))
    return list(connection.execute(query).scalars())
