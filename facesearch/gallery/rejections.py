"""What the user said: this face is not theirs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import PersonError
from facesearch.core.face import SAME_BOX_IOU, Box
from facesearch.gallery.change import Rejected, line_of
from facesearch.matching.rejection import NEAR, Rejection
from facesearch.storage import curation as rows
from facesearch.storage import rejections
from facesearch.storage.connection import Connection
from facesearch.storage.database import Database
from facesearch.storage.events import Event
from facesearch.storage.faces import (
    EnrolledFace,
    enrolled_face,
    enrolled_faces,
    faces_of_person,
    move_faces,
)
from facesearch.storage.people import hide_person, new_person, person_number
from facesearch.storage.rejections import StoredRejection
from facesearch.storage.settings import now


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A face that is enrolled as one person's and was rejected as another's."""

    rejection: int
    name: str  # whose the face is not
    face: int
    photo: Path
    enrolled_as: str


def rejected(database: Database) -> list[Rejection]:
    """The rejections of all enrolled people, in the order in which they were made.

    Raises GalleryError for a damaged row, as every function here.
    """
    with database.read() as connection:
        return [rejection_of(each) for each in rejections.of_enrolled(database, connection)]


def rejection_of(stored: StoredRejection) -> Rejection:
    """A stored rejection as the rule that it stands for."""
    near = NEAR if stored.near is None else stored.near
    return Rejection(
        stored.number, stored.name, stored.sha256, stored.box, stored.embedding, stored.at, near
    )


def photos_of(database: Database) -> dict[str, Path]:
    """The paths of the photos with rejected faces, by SHA-256, as far as they are enrolled."""
    with database.read() as connection:
        return rejections.photo_paths(connection)


def rejected_pairs(database: Database) -> list[Contradiction]:
    """The enrolled faces that were rejected as somebody else's.

    A review does not ask again whether such a face is theirs.
    """
    with database.read() as connection:
        every = rejections.of_enrolled(database, connection)
        if not every:
            return []
        there = enrolled_faces(database, connection)
        return _contradictions(every, there, rows.names(connection))


def contradictions(
    database: Database, connection: Connection, person: int, other: int
) -> list[Contradiction]:
    """The faces of either of two people that were rejected as the other's."""
    names = rows.names(connection)
    found = []
    for one, two in ((person, other), (other, person)):
        said = rejections.of_person(database, connection, one)
        if said:
            found += _contradictions(said, faces_of_person(database, connection, two), names)
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
        theirs = faces_of_person(database, connection, person)
        asked = Rejection(0, name, sha256, box, embedding, "", near)
        alike = [each for each in theirs if asked.bars(each.sha256, each.box, each.embedding)]
        there = [each for each in alike if each.sha256 == sha256]
        said = rejections.of_person(database, connection, person)
        known = next((each for each in said if _is_at(each, sha256, box)), None)
        if known is not None and not there:
            raise PersonError(f"{name}: this face was rejected before (rejection {known.number})")
        number = (
            known.number
            if known
            else rejections.add(
                database,
                connection,
                person=person,
                sha256=sha256,
                box=box,
                embedding=embedding,
                at=now(),
                near=near,
            )
        )
        detail["rejection"] = None if known else number
        if there:
            detail["faces"] = [each.number for each in there]
            detail["other"] = _set_aside(connection, person, name, detail["faces"])
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


def face_to_reject(database: Database, number: int) -> EnrolledFace:
    """An enrolled face by its number. Raises PersonError if there is none."""
    with database.read() as connection:
        found = enrolled_face(database, connection, number)
    if found is None:
        raise PersonError(f"face {number}: no such face is enrolled")
    return found


def forget(database: Database, number: int) -> None:
    """Take a rejection back; a face that it took out stays out. Raises PersonError."""
    with database.write("forget", {}) as connection:
        # no row bears a number that no database can hold
        if not 0 < number < 1 << 63 or not rejections.drop(connection, number):
            raise PersonError(f"{number}: no such rejection; `people rejections` lists them")


def _is_at(said: StoredRejection, sha256: str, box: Box) -> bool:
    """Whether a rejection is of the face in this place of this photo."""
    return said.sha256 == sha256 and said.box.overlap(box) >= SAME_BOX_IOU


def _set_aside(connection: Connection, person: int, name: str, numbers: list[int]) -> int:
    """Give faces to a removed person of the same name, made for them; returns their number."""
    aside = new_person(connection, f"{name}\0")  # nobody's: names hold no control characters
    hide_person(connection, aside, name)
    expires = rows.terms(connection, person).expires
    rows.set_terms(connection, aside, rows.Terms(expires, None))
    move_faces(connection, numbers, aside)
    return aside


def _contradictions(
    said: list[StoredRejection], there: list[EnrolledFace], names: dict[int, str]
) -> list[Contradiction]:
    if not there:
        return []
    hashes = np.array([face.sha256 for face in there])
    vectors = np.stack([face.embedding for face in there])
    found = []
    for each in map(rejection_of, said):
        likely = hashes == each.sha256
        if len(each.embedding) == vectors.shape[1]:  # near in angle, before the exact look
            likely |= vectors @ each.embedding >= 1 - each.near**2
        for face in (there[at] for at in np.flatnonzero(likely)):
            owner = names[face.person]
            if owner != each.name and each.bars(face.sha256, face.box, face.embedding):
                found.append(Contradiction(each.number, each.name, face.number, face.path, owner))
    return found
