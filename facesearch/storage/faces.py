"""Rows of photos, faces and chips: written with their checksums, read and checked by them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from facesearch.core.arrays import Embeddings
from facesearch.core.face import Box, Face
from facesearch.storage.database import Database
from facesearch.storage.row_checksums import check_face
from facesearch.storage.schema import (
    chips,
    face_checksum,
    face_is_sound,
    face_rows,
    faces,
    people,
    photo_checksum,
    photos,
)
from facesearch.storage.settings import now


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """A face with all that curation asks of it."""

    number: int
    person: int
    photo: int
    path: Path
    sha256: str  # of the photo
    added: str  # when the photo was enrolled, ISO 8601, UTC
    box: Box
    flip_consistency: float  # with its mirror image
    embedding: Embeddings  # (D,); empty for a damaged row


# Reading


def enrolled_faces(database: Database, connection: sa.Connection) -> list[EnrolledFace]:
    """The faces of all enrolled people, in the order of enrolment. Raises Damaged."""
    return _faces(database, connection, people.c.removed.is_(None))


def enrolled_face(
    database: Database, connection: sa.Connection, number: int
) -> EnrolledFace | None:
    """A face of an enrolled person by its number, or None. Raises Damaged."""
    found = _faces(database, connection, faces.c.id == number, people.c.removed.is_(None))
    return found[0] if found else None


def faces_of_person(
    database: Database, connection: sa.Connection, person: int, *, damaged: bool = False
) -> list[EnrolledFace]:
    """The faces of a person, enrolled or removed, in the order of enrolment.

    damaged: return damaged rows as well, without their embedding. Raises Damaged otherwise.
    """
    return _faces(database, connection, faces.c.person == person, damaged=damaged)


def face_numbers(connection: sa.Connection, person: int) -> list[int]:
    """The numbers of a person's faces, in the order of enrolment."""
    query = sa.select(faces.c.id).where(faces.c.person == person).order_by(faces.c.id)
    return list(connection.execute(query).scalars())


# Writing


def new_photo(connection: sa.Connection, path: Path, sha256: str, width: int, height: int) -> int:
    """Add a photo; returns its number."""
    values = {"path": path, "sha256": sha256, "width": width, "height": height}
    query = photos.insert().values(values | {"added": now(), "checksum": 0})
    number = new_id(connection.execute(query))
    set_path(connection, number, path, sha256)
    return number


def set_path(connection: sa.Connection, number: int, path: Path, sha256: str) -> None:
    """Note where a photo lies now. sha256: the photo's."""
    values = {"path": path, "checksum": photo_checksum(number, path, sha256)}
    connection.execute(photos.update().where(photos.c.id == number).values(values))


def face_values(
    photo: int, person: int, face: Face, flip_consistency: float, sealed: bytes
) -> dict[str, Any]:
    """The row of a face to insert into `faces`. sealed: its embedding as it is to be stored."""
    box = [face.box.left, face.box.top, face.box.right, face.box.bottom]
    points = [list(point) for point in face.points]
    texts = json.dumps(box), json.dumps(points)
    return {
        "photo": photo,
        "person": person,
        "box": box,
        "points": points,
        "score": face.score,
        "embedding": sealed,
        "agreement": flip_consistency,
        "checksum": face_checksum(photo, person, *texts, flip_consistency, sealed),
    }


def move_faces(connection: sa.Connection, numbers: Iterable[int], person: int) -> None:
    """Give faces to another person. Raises Damaged for a damaged row, and leaves it as it is."""
    for number in numbers:
        row = connection.execute(_rows().where(faces.c.id == number)).one()
        check_face(row)
        checksum = face_checksum(
            row.photo, person, row.box, row.points, row.agreement, row.embedding
        )
        values = {"person": person, "checksum": checksum}
        connection.execute(faces.update().where(faces.c.id == number).values(values))


def keep_chip(connection: sa.Connection, face: int, sealed: bytes) -> None:
    """Store the chip of an enrolled face."""
    connection.execute(chips.insert().values(face=face, image=sealed))


def new_id(result: sa.CursorResult[Any]) -> int:
    """The number of a row that was inserted."""
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def _faces(
    database: Database,
    connection: sa.Connection,
    *where: sa.ColumnElement[bool],
    damaged: bool = False,
) -> list[EnrolledFace]:
    """The faces that fulfil all conditions, removed people's too, in the order of enrolment.

    where: conditions on faces, photos and people. damaged: return damaged rows as well, instead of
    raising Damaged for them.
    """
    found = []
    for row in connection.execute(_rows().where(*where)):
        sound = face_is_sound(row)
        if not damaged:
            check_face(row)
        found.append(
            EnrolledFace(
                row.id,
                row.person,
                row.photo,
                row.path,
                row.sha256,
                row.added,
                _box(row.box),
                row.agreement,
                np.frombuffer(database.unsealed(row.embedding, "face") if sound else b"", "<f4"),
            )
        )
    return found


def _rows() -> sa.Select[Any]:
    return (
        face_rows(photos.c.path, photos.c.sha256, photos.c.added)
        .join(photos, photos.c.id == faces.c.photo)
        .join(people, people.c.id == faces.c.person)
        .order_by(faces.c.id)
    )


def _box(text: str) -> Box:
    """The box of a row; an empty one if a damaged row has none."""
    try:
        return Box(*json.loads(text))
    except (ValueError, TypeError):
        return Box(0, 0, 0, 0)
