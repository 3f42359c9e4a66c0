"""The rows of chips: small pictures of enrolled faces, stored where the user asks for them."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from facesearch.core.face import Point
from facesearch.storage.database import Database
from facesearch.storage.row_checksums import CHIPS, Damaged, check_face
from facesearch.storage.schema import chips, face_rows, faces, people, photos


@dataclass(frozen=True, slots=True)
class PictureSource:
    """What a picture of an enrolled face can be made from."""

    path: Path  # of the photo
    sha256: str  # of the photo
    points: tuple[Point, ...]  # of the face
    chip: bytes | None  # an image file


def picture_source(database: Database, number: int) -> PictureSource | None:
    """What a picture of the face of this number is made from; None if it is not enrolled.

    Raises GalleryError for a damaged row.
    """
    query = (
        face_rows(photos.c.path, photos.c.sha256)
        .join(photos, photos.c.id == faces.c.photo)
        .join(people, people.c.id == faces.c.person)
        .where(faces.c.id == number, people.c.removed.is_(None))
    )
    with database.read() as connection:
        row = connection.execute(query).first()
        if row is None:
            return None
        check_face(row)
        kept = connection.execute(CHIPS.select().where(chips.c.face == number)).first()
        if kept is not None:
            CHIPS.check(kept)
    points = tuple((float(x), float(y)) for x, y in json.loads(row.points))
    chip = None if kept is None else database.unsealed(kept.image, "chip")
    return PictureSource(row.path, row.sha256, points, chip)


def stored_chips(
    database: Database, connection: sa.Connection, numbers: Collection[int]
) -> dict[int, bytes | Damaged]:
    """The chips of faces by the faces' numbers; for a damaged one, the error that says so."""
    found: dict[int, bytes | Damaged] = {}
    for row in connection.execute(CHIPS.select().where(chips.c.face.in_(numbers))):
        try:
            CHIPS.check(row)
            found[row.face] = database.unsealed(row.image, "chip")
        except Damaged as error:
            found[row.face] = error
    return found
