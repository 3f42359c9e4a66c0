"""The people of a gallery: who is enrolled, under which name, with how many photos."""

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from facesearch.core.arrays import content_key
from facesearch.core.errors import PersonError, UnknownPerson
from facesearch.core.face import Box
from facesearch.storage.database import Database
from facesearch.storage.events import Event
from facesearch.storage.faces import new_id
from facesearch.storage.records import Person, StoredFace
from facesearch.storage.row_checksums import TERMS, check_face, check_person
from facesearch.storage.schema import (
    face_rows,
    faces,
    people,
    person_checksum,
    photos,
    removed_name,
    totals,
)
from facesearch.storage.settings import now
from facesearch.storage.vault import Keys, from_environment

MOST_VARIABLES = 500  # in one query; SQLite has a limit


class PeopleStore:
    """People and their photos without face data: no method here needs a key.

    Every method raises GalleryError for a damaged row, and if the database cannot be used.
    """

    def __init__(self, where: Path | str, *, create: bool, keys: Keys = from_environment) -> None:
        """Open a gallery; the arguments and errors are those of `Database`."""
        self.database = Database(where, create=create, keys=keys)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def people(self) -> list[Person]:
        """All enrolled people, sorted by name."""
        with self.database.read() as connection:
            rows = connection.execute(_counted()).all()
            return sorted(map(_person, rows), key=lambda person: person.name)

    def person(self, name: str) -> Person:
        """One person. Raises UnknownPerson."""
        query = _counted().where(people.c.name == name)
        with self.database.read() as connection:
            row = connection.execute(query).first()
            if row is None:
                raise _unknown(name)
            return _person(row)

    def enrolled(self, names: Collection[str]) -> set[str]:
        """Those of the given names that an enrolled person has."""
        found: set[str] = set()
        with self.database.read() as connection:
            for some in _parts(names):
                wanted = people.c.name.in_(some), people.c.removed.is_(None)
                found.update(connection.execute(sa.select(people.c.name).where(*wanted)).scalars())
        return found

    def with_two_photos(self, names: Collection[str]) -> set[str]:
        """Those of the given people who are enrolled from two or more photos."""
        found: set[str] = set()
        with self.database.read() as connection:
            for some in _parts(names):
                query = _counted().where(people.c.name.in_(some))
                found |= {row.name for row in connection.execute(query) if row.photos > 1}
        return found

    def with_two_faces_count(self) -> int:
        """How many enrolled people have two or more faces."""
        two = totals.c.faces > sa.literal_column("1")  # worded as in the index over `totals`
        every = sa.select(sa.func.count()).select_from(totals).where(two)
        theirs = sa.select(totals.c.person).where(totals.c.person == people.c.id, two)
        hidden = sa.select(sa.func.count()).select_from(people)
        hidden = hidden.where(people.c.removed.is_not(None), theirs.exists())
        with self.database.read() as connection:
            counts = [connection.execute(query).scalar_one() for query in (every, hidden)]
        return int(counts[0] - counts[1])

    def with_faces_count(self) -> int:
        """How many enrolled people have a face."""
        query = sa.select(sa.func.count()).select_from(_totals().subquery())
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def face_totals(self, *, after: int, limit: int) -> dict[int, int]:
        """How many faces people have, by the people's numbers: the first `limit` beyond `after`."""
        page = _totals().where(totals.c.person > after).limit(limit)
        with self.database.read() as connection:
            return {row.person: row.faces for row in connection.execute(page)}

    def faces_of(self, name: str) -> list[StoredFace]:
        """The faces of a person in the order of enrolment. Raises UnknownPerson."""
        query = (
            face_rows(photos.c.path).join(photos, photos.c.id == faces.c.photo).order_by(faces.c.id)
        )
        with self.database.read() as connection:
            person = person_number(connection, name)
            rows = connection.execute(query.where(faces.c.person == person)).all()
            for row in rows:
                check_face(row)
        return [StoredFace(row.id, name, row.path, Box(*json.loads(row.box))) for row in rows]

    def known(self, hashes: list[str]) -> dict[str, set[str]]:
        """For each of these photos that is enrolled, by SHA-256, the names of the people on it."""
        query = (
            sa.select(photos.c.sha256, people.c.id, people.c.name, people.c.checksum)
            .join(faces, faces.c.photo == photos.c.id)
            .join(people, people.c.id == faces.c.person)
            .where(photos.c.sha256.in_(hashes), people.c.removed.is_(None))
        )
        found: dict[str, set[str]] = {}
        with self.database.read() as connection:
            for sha256, number, name, checksum in connection.execute(query):
                check_person(number, name, checksum)
                found.setdefault(sha256, set()).add(name)
        return found

    def enrolled_content_keys(self, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Those of these content keys (`content_key`) whose photo has an enrolled face."""
        asked = (
            "WITH asked (prefix) AS (VALUES {}) SELECT photos.sha256 FROM asked "
            "JOIN photos ON photos.sha256 >= prefix AND photos.sha256 < prefix || 'g' "
            "WHERE EXISTS (SELECT 1 FROM faces JOIN people ON people.id = faces.person "
            "WHERE faces.photo = photos.id AND people.removed IS NULL)"
        )
        found: list[int] = []
        with self.database.read() as connection:
            for at in range(0, len(keys), MOST_VARIABLES):
                some = [f"{key:016x}" for key in keys[at : at + MOST_VARIABLES].tolist()]
                holes = ", ".join(f"(:k{number})" for number in range(len(some)))
                query = sa.text(asked.format(holes))
                values = {f"k{number}": prefix for number, prefix in enumerate(some)}
                found += [content_key(sha) for sha in connection.execute(query, values).scalars()]
        return np.array(found, np.uint64)

    def photo_folders(self) -> list[str]:
        """The folders of all photos that are files, each ending with a separator."""
        with self.database.read() as connection:
            paths = connection.execute(sa.select(photos.c.path)).scalars()
            return sorted({f"{path.parent}{os.sep}" for path in paths if path.is_absolute()})

    def photo_count(self) -> int:
        """How many photos show an enrolled person."""
        query = (
            sa.select(sa.func.count(sa.distinct(faces.c.photo)))
            .join(people, people.c.id == faces.c.person)
            .where(people.c.removed.is_(None))
        )
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def rename(self, old: str, new: str) -> Event:
        """Give a person another name.

        Raises UnknownPerson if nobody is called `old`, PersonError if somebody is called `new`.
        """
        event = Event("rename", {"old": old, "new": new})
        with self.database.write_event(event) as connection:
            person = event.detail["person"] = person_number(connection, old)
            set_name(connection, person, new)
        return event

    def remove(self, name: str) -> Event:
        """Hide a person from every answer until this is undone.

        The name is free for somebody else at once. `purge` deletes for good. Raises UnknownPerson.
        """
        event = Event("remove", {"name": name})
        with self.database.write_event(event) as connection:
            person = event.detail["person"] = person_number(connection, name)
            query = sa.select(sa.func.count()).where(faces.c.person == person)
            event.faces = int(connection.execute(query).scalar_one())
            hide_person(connection, person, name)
        return event


# Rows of people, within a transaction of the caller


def person_number(connection: sa.Connection, name: str) -> int:
    """The number of an enrolled person. Raises UnknownPerson."""
    query = sa.select(people.c.id).where(people.c.name == name, people.c.removed.is_(None))
    found = connection.execute(query).scalar()
    if found is None:
        raise _unknown(name)
    return int(found)


def new_person(connection: sa.Connection, name: str) -> int:
    """Add a person; returns their number. Raises PersonError if the name is taken."""
    query = people.insert().values(name=name, created=now(), checksum=0)
    number = new_id(connection.execute(query))
    set_name(connection, number, name)
    return number


def set_name(connection: sa.Connection, number: int, name: str) -> None:
    """Give a person a name. Raises PersonError if it is taken."""
    values = {"name": name, "checksum": person_checksum(number, name)}
    try:
        connection.execute(people.update().where(people.c.id == number).values(values))
    except sa.exc.IntegrityError as error:
        raise PersonError(f"{name}: this name is taken") from error


def hide_person(connection: sa.Connection, number: int, name: str) -> None:
    """Mark a person as removed and free their name."""
    set_name(connection, number, removed_name(name, number))
    connection.execute(people.update().where(people.c.id == number).values(removed=now()))


def _unknown(name: str) -> UnknownPerson:
    return UnknownPerson(f"{name}: nobody of this name is enrolled")


def _parts(names: Collection[str]) -> Iterator[list[str]]:
    """The names in order, as many at a time as one query takes."""
    ordered = sorted(names)
    for at in range(0, len(ordered), MOST_VARIABLES):
        yield ordered[at : at + MOST_VARIABLES]


def _person(row: Any) -> Person:
    """A row of `_counted` as a Person. Raises Damaged."""
    check_person(row.id, row.name, row.checksum)
    TERMS.check(row)
    return Person(row.name, row.faces, row.photos, row.created, row.expires, row.consent)


def _totals() -> sa.Select[Any]:
    """The enrolled people who have faces, and how many, as the database keeps count."""
    return (
        sa.select(totals.c.person, totals.c.faces)
        .join(people, people.c.id == totals.c.person)
        .where(people.c.removed.is_(None))
        .order_by(totals.c.person)
    )


def _counted() -> sa.Select[Any]:
    """Enrolled people with the columns of `Person` and those that their checksums cover."""
    return (
        sa.select(
            people.c.id,
            people.c.checksum,
            people.c.name,
            sa.func.count(faces.c.id).label("faces"),
            sa.func.count(sa.distinct(faces.c.photo)).label("photos"),
            people.c.created,
            people.c.expires,
            people.c.consent,
            people.c.removed,
            people.c.terms_checksum,
        )
        .outerjoin(faces, faces.c.person == people.c.id)
        .where(people.c.removed.is_(None))
        .group_by(people.c.id)
    )
