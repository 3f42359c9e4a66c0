"""The rows of people and faces that curation and its undoing ask for and change."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from facesearch.core.face import Box
from facesearch.storage.people import MOST_VARIABLES
from facesearch.storage.row_checksums import checked_faces
from facesearch.storage.schema import face_rows, faces, people, photos


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person, enrolled or removed."""

    name: str
    removed: bool


@dataclass(frozen=True, slots=True)
class Terms:
    """Until when a person may be kept, and on what consent."""

    expires: str | None  # the last day, ISO 8601
    consent: str | None  # a note


@dataclass(frozen=True, slots=True)
class FaceOnPhoto:
    """A face, and the photo that it is on."""

    number: int
    photo: int
    path: Path
    box: Box
    name: str  # the person's


def person_row(connection: sa.Connection, number: int) -> PersonRow | None:
    """A person by their number, or None."""
    query = sa.select(people.c.name, people.c.removed).where(people.c.id == number)
    row = connection.execute(query).first()
    return None if row is None else PersonRow(row.name, row.removed is not None)


def number_of(connection: sa.Connection, name: str) -> int | None:
    """The number of the enrolled person of this name, or None."""
    return connection.execute(sa.select(people.c.id).where(people.c.name == name)).scalar()


def names(connection: sa.Connection) -> dict[int, str]:
    """The names of all people by their numbers; for a removed person see `removed_name`."""
    query = sa.select(people.c.id, people.c.name)
    return {row.id: row.name for row in connection.execute(query)}


def terms(connection: sa.Connection, person: int) -> Terms:
    """The terms of a person."""
    query = sa.select(people.c.expires, people.c.consent).where(people.c.id == person)
    expires, consent = connection.execute(query).one()
    return Terms(expires, consent)


def set_terms(connection: sa.Connection, person: int, new: Terms) -> None:
    """Give a person these terms."""
    values = {"expires": new.expires, "consent": new.consent}
    connection.execute(people.update().where(people.c.id == person).values(values))


def unhide_person(connection: sa.Connection, person: int) -> None:
    """Make a removed person an enrolled one again, whose name has to be set as well."""
    connection.execute(people.update().where(people.c.id == person).values(removed=None))


def drop_person(connection: sa.Connection, person: int) -> None:
    """Delete a person who has no faces."""
    connection.execute(people.delete().where(people.c.id == person))


def face_counts(connection: sa.Connection, persons: Collection[int]) -> dict[int, int]:
    """How many faces each of these people has, removed or not; who has none is left out."""
    found: dict[int, int] = {}
    numbers = sorted(persons)
    for at in range(0, len(numbers), MOST_VARIABLES):
        query = sa.select(faces.c.person, sa.func.count()).group_by(faces.c.person)
        query = query.where(faces.c.person.in_(numbers[at : at + MOST_VARIABLES]))
        found.update({int(person): int(count) for person, count in connection.execute(query)})
    return found


def beside(
    connection: sa.Connection, numbers: list[int]
) -> tuple[list[FaceOnPhoto], list[FaceOnPhoto]]:
    """Faces by their numbers, and the other faces of enrolled people on the same photos.

    Raises Damaged.
    """
    found: dict[int, FaceOnPhoto] = {}
    for at in range(0, len(numbers), MOST_VARIABLES):
        these = faces.c.id.in_(numbers[at : at + MOST_VARIABLES])
        query = (
            face_rows(photos.c.path, people.c.name)
            .join(photos, photos.c.id == faces.c.photo)
            .join(people, people.c.id == faces.c.person)
            .where(faces.c.photo.in_(sa.select(faces.c.photo).where(these)))
            .where(sa.or_(these, people.c.removed.is_(None)))
        )
        for row in checked_faces(connection.execute(query)):
            box = Box(*json.loads(row.box))
            found[row.id] = FaceOnPhoto(row.id, row.photo, row.path, box, row.name)
    asked = set(numbers)
    every = [found[number] for number in sorted(found)]
    return (
        [face for face in every if face.number in asked],
        [face for face in every if face.number not in asked],
    )
