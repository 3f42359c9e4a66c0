"""What the user said: this face is not theirs."""

import json
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import PersonError
from facesearch.core.face import SAME_BOX_IOU, Box
from facesearch.gallery.change import Rejected, line_of
from facesearch.matching.rejection import NEAR, Rejection
from facesearch.storage.database import Database
from facesearch.storage.events import Event
from facesearch.storage.faces import EnrolledFace, enrolled, move_faces
from facesearch.storage.people import hide_person, new_person, person_number
from facesearch.storage.row_checksums import EVENTS, REJECTIONS, event_detail
from facesearch.storage.schema import events, faces, people, photos, rejections
from facesearch.storage.settings import now


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A face that is enrolled as one person's and rejected as another's."""

    rejection: int
    name: str  # whose the face is not
    face: int
    photo: Path
    enrolled_as: str


def rejected(database: Database) -> list[Rejection]:
    """All of them, of people who are there, in the order in which they were made."""
    with database.read() as connection:
        return _rejections(database, connection, people.c.removed.is_(None))


def all_rejections(database: Database, connection: sa.Connection) -> list[Rejection]:
    """Removed people's, too."""
    return _rejections(database, connection, sa.true())


def photos_of(database: Database) -> dict[str, Path]:
    """Where the photos of rejections are, by SHA-256, as far as they are enrolled."""
    query = sa.select(photos.c.sha256, photos.c.path).join(
        rejections, rejections.c.sha256 == photos.c.sha256
    )
    with database.read() as connection:
        return {row.sha256: row.path for row in connection.execute(query)}


def rejected_pairs(database: Database) -> list[Contradiction]:
    """Enrolled faces of which it is known whose they are not: not to be asked about again."""
    with database.read() as connection:
        every = _rejections(database, connection, people.c.removed.is_(None))
        if not every:
            return []
        return _contradictions(
            every,
            enrolled(database, connection, people.c.removed.is_(None)),
            _names(connection),
        )


def contradictions(
    database: Database, connection: sa.Connection, person: int, other: int
) -> list[Contradiction]:
    """Faces of one of two people that were rejected as the other's."""
    names = _names(connection)
    found = []
    for one, two in ((person, other), (other, person)):
        said = _rejections(database, connection, people.c.id == one)
        if said:
            theirs = enrolled(database, connection, people.c.id == two)
            found += _contradictions(said, theirs, names)
    return found


def reject(
    database: Database,
    name: str,
    sha256: str,
    box: Box,
    embedding: Embeddings,
    near: float = NEAR,
    *,
    face: int = 0,
) -> Rejected:
    """Keep that a face is not a person's, and take it from them if it is enrolled as theirs.

    sha256: of the photo. embedding: (D,), or empty for a face that cannot be recognised. near: see
    `near_of`. face: its number, as the caller counts. A face that is taken out stays with a removed
    person of the same name, so that it can be brought back and is purged with them. Near copies
    from other photos stay enrolled. Raises PersonError if nobody bears the name, or if the same
    face was rejected as theirs before.
    """
    event = Event("reject", {"name": name, "other": None, "faces": []})
    detail = event.detail
    with database.write_event(event) as connection:
        person = detail["person"] = person_number(connection, name)
        theirs = enrolled(database, connection, people.c.id == person)
        asked = Rejection(0, name, sha256, box, embedding, "", near)
        alike = [each for each in theirs if asked.bars(each.sha256, each.box, each.embedding)]
        there = [each for each in alike if each.sha256 == sha256]
        known = next(
            (
                said
                for said in _rejections(database, connection, people.c.id == person)
                if said.sha256 == sha256 and said.box.overlap(box) >= SAME_BOX_IOU
            ),
            None,
        )
        if known is not None and not there:
            raise PersonError(f"{name}: this face was rejected before (rejection {known.number})")
        number = known.number if known else _keep(database, connection, person, asked)
        detail["rejection"] = None if known else number
        if there:
            detail["faces"] = [each.number for each in there]
            detail["other"] = _set_aside(database, connection, person, name, detail["faces"])
    return Rejected(
        event.number,
        event.at,
        event.action,
        line_of(event),
        len(there),
        number,
        face,
        box,
        [each.number for each in alike if each.sha256 != sha256],
    )


def enrolled_face(database: Database, number: int) -> EnrolledFace:
    """Raises PersonError if there is none of this number."""
    with database.read() as connection:
        found = enrolled(database, connection, faces.c.id == number, people.c.removed.is_(None))
    if not found:
        raise PersonError(f"face {number}: no such face is enrolled")
    return found[0]


def forget(database: Database, number: int) -> None:
    """A rejection is taken back; a face that it took out stays out. Raises PersonError."""
    with database.write("forget", {}) as connection:
        # no row bears a number that no database can hold
        if not 0 < number < 1 << 63 or not drop_rejection(connection, number):
            raise PersonError(f"{number}: no such rejection; `people rejections` lists them")


def drop_rejection(connection: sa.Connection, number: int) -> bool:
    """Whether there was one. No event speaks of it any more: the number may be given again."""
    if not connection.execute(rejections.delete().where(rejections.c.id == number)).rowcount:
        return False
    query = EVENTS.select().where(events.c.action.in_(("reject", "merge", "split")))
    for row in connection.execute(query).all():
        detail = event_detail(row)
        changed = dict(detail)
        if changed.get("rejection") == number:
            changed["rejection"] = None
        for key in ("rejections", "laid_aside"):
            if number in changed.get(key, ()):
                changed[key] = [each for each in changed[key] if each != number]
        if changed != detail:
            connection.execute(events.update().where(events.c.id == row.id).values(detail=changed))
    return True


def _keep(database: Database, connection: sa.Connection, person: int, said: Rejection) -> int:
    vector = np.asarray(said.embedding, "<f4").tobytes()
    values = {
        "person": person,
        "sha256": said.sha256,
        "box": list(astuple(said.box)),
        "embedding": database.sealed(vector, "rejection"),
        "at": now(),
        "near": said.near,
    }
    key = connection.execute(rejections.insert().values(values)).inserted_primary_key
    assert key is not None
    return int(key[0])


def _set_aside(
    database: Database, connection: sa.Connection, person: int, name: str, numbers: list[int]
) -> int:
    """A removed person of the same name, who gets the faces."""
    aside = new_person(connection, f"{name}\0")  # nobody's: names hold no control characters
    hide_person(connection, aside, name)
    expires = sa.select(people.c.expires).where(people.c.id == person).scalar_subquery()
    connection.execute(people.update().where(people.c.id == aside).values(expires=expires))
    move_faces(connection, numbers, aside)
    return aside


def _rejections(
    database: Database, connection: sa.Connection, where: sa.ColumnElement[bool]
) -> list[Rejection]:
    """Raises GalleryError for a damaged one."""
    query = REJECTIONS.select().add_columns(people.c.name)
    query = query.join(people, people.c.id == rejections.c.person).where(where)
    found = []
    for row in connection.execute(query):
        REJECTIONS.check(row)
        vector = np.frombuffer(database.unsealed(row.embedding, "rejection"), "<f4")
        near = NEAR if row.near is None else row.near
        box = Box(*json.loads(row.box))
        found.append(Rejection(row.id, row.name, row.sha256, box, vector, row.at, near))
    return found


def _contradictions(
    said: list[Rejection], there: list[EnrolledFace], names: dict[int, str]
) -> list[Contradiction]:
    if not there:
        return []
    hashes = np.array([face.sha256 for face in there])
    vectors = np.stack([face.embedding for face in there])
    found = []
    for each in said:
        likely = hashes == each.sha256
        if len(each.embedding) == vectors.shape[1]:  # near in angle, before the exact look
            likely |= vectors @ each.embedding >= 1 - each.near**2
        for face in (there[at] for at in np.flatnonzero(likely)):
            owner = names[face.person]
            if owner != each.name and each.bars(face.sha256, face.box, face.embedding):
                found.append(Contradiction(each.number, each.name, face.number, face.path, owner))
    return found


def _names(connection: sa.Connection) -> dict[int, str]:
    query = sa.select(people.c.id, people.c.name)
    return {row.id: row.name for row in connection.execute(query)}
