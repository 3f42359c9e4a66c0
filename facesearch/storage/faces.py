"""Enrolled faces as the database has them: read with their checksums, given to another person."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from facesearch.core.arrays import Embeddings
from facesearch.core.face import Box
from facesearch.storage.database import Database
from facesearch.storage.row_checksums import check_face
from facesearch.storage.schema import face_checksum, face_is_sound, face_rows, faces, people, photos


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """A face with all that curation asks of it."""

    number: int
    person: int
    photo: int
    path: Path
    sha256: str  # of the photo
    added: str  # when the photo was, ISO 8601, UTC
    box: Box
    flip_consistency: float  # with its mirror image
    embedding: Embeddings  # (D,); empty for a damaged row


def enrolled(
    database: Database,
    connection: sa.Connection,
    *where: sa.ColumnElement[bool],
    damaged: bool = False,
) -> list[EnrolledFace]:
    """The faces of which all this holds, removed people's too, in the order of their enrolment.

    where: conditions on faces, photos and people. damaged: also rows that are. Raises GalleryError
    for a damaged row otherwise.
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


def face_numbers(connection: sa.Connection, person: int) -> list[int]:
    """Of a person, in the order of their enrolment."""
    query = sa.select(faces.c.id).where(faces.c.person == person).order_by(faces.c.id)
    return list(connection.execute(query).scalars())


def face_counts(connection: sa.Connection) -> dict[int, int]:
    """How many faces each person has, by their number; removed people too, but nobody without."""
    query = sa.select(faces.c.person, sa.func.count()).group_by(faces.c.person)
    return {int(person): int(count) for person, count in connection.execute(query)}


def move_faces(connection: sa.Connection, numbers: Iterable[int], person: int) -> None:
    """Give faces to another person. Raises GalleryError for a damaged row: it stays to be seen."""
    for number in numbers:
        row = connection.execute(_rows().where(faces.c.id == number)).one()
        check_face(row)
        checksum = face_checksum(
            row.photo, person, row.box, row.points, row.agreement, row.embedding
        )
        values = {"person": person, "checksum": checksum}
        connection.execute(faces.update().where(faces.c.id == number).values(values))


def _rows() -> sa.Select[Any]:
    return (
        face_rows(photos.c.path, photos.c.sha256, photos.c.added)
        .join(photos, photos.c.id == faces.c.photo)
        .join(people, people.c.id == faces.c.person)
        .order_by(faces.c.id)
    )


def _box(text: str) -> Box:
    """Of a damaged row it may be no box any more."""
    try:
        return Box(*json.loads(text))
    except (ValueError, TypeError):
        return Box(0, 0, 0, 0)
