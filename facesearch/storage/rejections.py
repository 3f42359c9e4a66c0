"""The rows of rejections: "this face is not this person's"."""

import json
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from facesearch.core.arrays import Embeddings
from facesearch.core.face import Box
from facesearch.storage import events
from facesearch.storage.database import Database
from facesearch.storage.row_checksums import REJECTIONS
from facesearch.storage.schema import people, photos, rejections


@dataclass(frozen=True, slots=True)
class StoredRejection:
    """A face that is not one person's, as it is stored."""

    number: int
    person: int  # whose face it is not
    name: str  # theirs
    sha256: str  # of the photo
    box: Box
    embedding: Embeddings  # (D,), or empty where the face could not be recognised
    at: str  # ISO 8601, UTC
    near: float | None  # the distance within which another face is a copy; None in old galleries


@dataclass(frozen=True, slots=True)
class RejectedPlace:
    """Where a rejected face is."""

    rejection: int
    person: int  # whose face it is not
    sha256: str  # of the photo
    path: Path | None  # of the photo, if it is enrolled
    box: Box


def of_enrolled(database: Database, connection: sa.Connection) -> list[StoredRejection]:
    """The rejections of all enrolled people, in the order in which they were made.

    Raises Damaged, as all that read rejections here.
    """
    return _stored(database, connection, people.c.removed.is_(None))


def of_person(database: Database, connection: sa.Connection, person: int) -> list[StoredRejection]:
    """The rejections of one person, enrolled or removed, in the order in which they were made."""
    return _stored(database, connection, people.c.id == person)


def of_everybody(database: Database, connection: sa.Connection) -> list[StoredRejection]:
    """The rejections of all people, enrolled or removed, in the order in which they were made."""
    return _stored(database, connection, sa.true())


def numbers(connection: sa.Connection, person: int) -> list[int]:
    """The numbers of the rejections of one person."""
    query = sa.select(rejections.c.id).where(rejections.c.person == person)
    return list(connection.execute(query).scalars())


def photo_paths(connection: sa.Connection) -> dict[str, Path]:
    """The paths of the photos with rejected faces, by SHA-256, as far as they are enrolled."""
    query = sa.select(photos.c.sha256, photos.c.path).join(
        rejections, rejections.c.sha256 == photos.c.sha256
    )
    return {row.sha256: row.path for row in connection.execute(query)}


def places(connection: sa.Connection) -> list[RejectedPlace]:
    """The places of all rejected faces, with their photos as far as they are enrolled."""
    query = REJECTIONS.select().add_columns(photos.c.path)
    query = query.outerjoin(photos, photos.c.sha256 == rejections.c.sha256)
    found = []
    for row in REJECTIONS.checked(connection.execute(query)):
        box = Box(*json.loads(row.box))
        found.append(RejectedPlace(row.id, row.person, row.sha256, row.path, box))
    return found


def have_embedding(connection: sa.Connection) -> dict[int, bool]:
    """Whether each rejection has an embedding, by its number."""
    query = sa.select(rejections.c.id, rejections.c.embedding)
    return {number: bool(sealed) for number, sealed in connection.execute(query)}


def set_embedding(
    database: Database,
    connection: sa.Connection,
    number: int,
    embedding: Embeddings,
    near: float,
) -> None:
    """Give a rejection another embedding, (D,) or empty, and the distance of its copies."""
    sealed = database.sealed(np.asarray(embedding, "<f4").tobytes(), "rejection")
    changed = rejections.update().where(rejections.c.id == number)
    connection.execute(changed.values(embedding=sealed, near=near))


def add(
    database: Database,
    connection: sa.Connection,
    *,
    person: int,
    sha256: str,
    box: Box,
    embedding: Embeddings,
    at: str,
    near: float | None,
) -> int:
    """Add a rejection, with the fields of a `StoredRejection`; returns its number."""
    vector = np.asarray(embedding, "<f4").tobytes()
    values = {
        "person": person,
        "sha256": sha256,
        "box": list(astuple(box)),
        "embedding": database.sealed(vector, "rejection"),
        "at": at,
        "near": near,
    }
    key = connection.execute(rejections.insert().values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def give(connection: sa.Connection, given: list[int], person: int) -> None:
    """Make rejections those of another person, by their numbers."""
    for number in given:
        mine = rejections.c.id == number
        connection.execute(rejections.update().where(mine).values(person=person))


def drop(connection: sa.Connection, number: int) -> bool:
    """Delete a rejection; returns whether there was one of this number.

    The events that tell of it forget it, since the number may be given again.
    """
    if not connection.execute(rejections.delete().where(rejections.c.id == number)).rowcount:
        return False
    for event in events.logged(connection, ("reject", "merge", "split")):
        detail = dict(event.detail)
        if detail.get("rejection") == number:
            detail["rejection"] = None
        for key in ("rejections", "laid_aside"):
            if number in detail.get(key, ()):
                detail[key] = [each for each in detail[key] if each != number]
        if detail != event.detail:
            events.set_detail(connection, event.number, detail)
    return True


def _stored(
    database: Database, connection: sa.Connection, where: sa.ColumnElement[bool]
) -> list[StoredRejection]:
    query = REJECTIONS.select().add_columns(people.c.name)
    query = query.join(people, people.c.id == rejections.c.person).where(where)
    found = []
    for row in REJECTIONS.checked(connection.execute(query)):
        vector = np.frombuffer(database.unsealed(row.embedding, "rejection"), "<f4")
        box = Box(*json.loads(row.box))
        found.append(
            StoredRejection(row.id, row.person, row.name, row.sha256, box, vector, row.at, row.near)
        )
    return found
