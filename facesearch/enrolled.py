"""Enrolled faces as the database has them: read with their checksums, given to another person."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from facesearch.database import Database
from facesearch.errors import GalleryError
from facesearch.face import Box
from facesearch.model import Embeddings
from facesearch.schema import face_checksum, face_is_sound, face_rows, faces, people, photos

SAME_BOX = 0.5  # intersection over union: detectors and their settings move a box by less


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
    agreement: float  # with its mirror image
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
        sealed = row.embedding
        if not damaged:
            check_sound(database, row)
        elif not face_is_sound(row):
            sealed = None
        found.append(
            EnrolledFace(
                row.id,
                row.person,
                row.photo,
                row.path,
                row.sha256,
                row.added,
                Box(*row.plain_box),
                row.agreement,
                np.frombuffer(database.unsealed(sealed, "face") if sealed else b"", "<f4"),
            )
        )
    return found


def face_numbers(connection: sa.Connection, person: int) -> list[int]:
    """Of a person, in the order of their enrolment."""
    query = sa.select(faces.c.id).where(faces.c.person == person).order_by(faces.c.id)
    return list(connection.execute(query).scalars())


def move_faces(
    database: Database, connection: sa.Connection, numbers: Iterable[int], person: int
) -> None:
    """Give faces to another person. Raises GalleryError for a damaged row: it stays to be seen."""
    for number in numbers:
        row = connection.execute(_rows().where(faces.c.id == number)).one()
        check_sound(database, row)
        checksum = face_checksum(
            row.photo, person, row.box, row.points, row.agreement, row.embedding
        )
        values = {"person": person, "checksum": checksum}
        connection.execute(faces.update().where(faces.c.id == number).values(values))


def _rows() -> sa.Select[Any]:
    place = faces.c.box.label("plain_box"), photos.c.path, photos.c.sha256, photos.c.added
    return (
        face_rows(*place)
        .join(photos, photos.c.id == faces.c.photo)
        .join(people, people.c.id == faces.c.person)
        .order_by(faces.c.id)
    )


def check_sound(database: Database, row: Any) -> None:
    """Of one of `face_rows`. Raises GalleryError for one that is damaged."""
    if not face_is_sound(row):
        raise GalleryError(
            f"{database.name}: damaged: face {row.id} is not what was written; "
            "`facesearch gallery doctor` says more"
        )
