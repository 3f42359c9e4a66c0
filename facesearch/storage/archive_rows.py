"""The rows of a gallery that an archive holds: read to be exported, added when imported.

Removed people, their faces and their rejections are left out. All that read here check the rows and
raise Damaged.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from facesearch.core.face import Box, Face
from facesearch.storage.database import Database
from facesearch.storage.faces import face_values, keep_chip, new_id, set_path
from facesearch.storage.people import new_person
from facesearch.storage.row_checksums import (
    CHIPS,
    REJECTIONS,
    TERMS,
    check_person,
    check_photo,
    checked_faces,
)
from facesearch.storage.schema import chips, face_rows, faces, people, photos, rejections

_HERE = people.c.removed.is_(None)


@dataclass(frozen=True, slots=True)
class PersonRow:
    """An enrolled person."""

    number: int
    name: str
    created: str
    expires: str | None
    consent: str | None


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """A photo that shows an enrolled person."""

    number: int
    path: Path
    sha256: str
    width: int
    height: int
    added: str


@dataclass(frozen=True, slots=True)
class FaceRow:
    """A face of an enrolled person."""

    photo: int
    person: int
    box: list[float]
    points: list[list[float]]
    score: float
    flip_consistency: float
    chip_size: int | None  # bytes of its chip; None without one


@dataclass(frozen=True, slots=True)
class RejectionRow:
    """A rejection of an enrolled person."""

    person: int
    sha256: str
    box: list[float]
    at: str
    near: float | None
    embedding: bytes  # float32, little end first; empty where the face could not be recognised


@dataclass(frozen=True, slots=True)
class FaceHere:
    """A face of an enrolled person on a photo that an archive holds, too."""

    person: int
    name: str
    box: Box


# Exporting


def person_rows(connection: sa.Connection) -> Iterator[PersonRow]:
    """All enrolled people, by number."""
    query = TERMS.select().add_columns(people.c.name, people.c.checksum).where(_HERE)
    for row in connection.execute(query):
        check_person(row.id, row.name, row.checksum)
        TERMS.check(row)
        yield PersonRow(row.id, row.name, row.created, row.expires, row.consent)


def photo_rows(connection: sa.Connection) -> Iterator[PhotoRow]:
    """All photos that show an enrolled person, by number."""
    used = sa.select(faces.c.photo).join(people, people.c.id == faces.c.person).where(_HERE)
    query = sa.select(photos).where(photos.c.id.in_(used)).order_by(photos.c.id)
    for row in connection.execute(query):
        check_photo(row.id, row.path, row.sha256, row.checksum)
        yield PhotoRow(row.id, row.path, row.sha256, row.width, row.height, row.added)


def enrolled_face_rows(
    database: Database, connection: sa.Connection, *, with_chips: bool
) -> Iterator[FaceRow]:
    """All faces of enrolled people, by number. with_chips: with the sizes of their chips."""
    image = chips.c.image if with_chips else sa.null().label("image")
    query = (
        face_rows(faces.c.score, image)
        .join(people, people.c.id == faces.c.person)
        .outerjoin(chips, chips.c.face == faces.c.id)
        .where(_HERE)
        .order_by(faces.c.id)
    )
    for row in checked_faces(connection.execute(query)):
        size = None if row.image is None else len(database.unsealed(row.image, "chip"))
        box, points = json.loads(row.box), json.loads(row.points)
        yield FaceRow(row.photo, row.person, box, points, row.score, row.agreement, size)


def embeddings(database: Database, connection: sa.Connection) -> Iterator[bytes]:
    """The embeddings of these faces in the same order; `enrolled_face_rows` checked the rows."""
    query = sa.select(faces.c.embedding).join(people, people.c.id == faces.c.person)
    query = query.where(_HERE).order_by(faces.c.id)
    for sealed in connection.execute(query).scalars():
        yield database.unsealed(sealed, "face")


def chip_images(database: Database, connection: sa.Connection) -> Iterator[bytes]:
    """The chips of these faces in the same order."""
    query = CHIPS.select().join(faces, faces.c.id == chips.c.face)
    query = query.join(people, people.c.id == faces.c.person).where(_HERE)
    for row in CHIPS.checked(connection.execute(query)):
        yield database.unsealed(row.image, "chip")


def rejection_rows(database: Database, connection: sa.Connection) -> list[RejectionRow]:
    """The rejections of all enrolled people, in the order in which they were made."""
    query = REJECTIONS.select().join(people, people.c.id == rejections.c.person).where(_HERE)
    found = []
    for row in REJECTIONS.checked(connection.execute(query)):
        vector = database.unsealed(row.embedding, "rejection")
        box = json.loads(row.box)
        found.append(RejectionRow(row.person, row.sha256, box, row.at, row.near, vector))
    return found


# Importing


def last_numbers(connection: sa.Connection) -> tuple[int, int]:
    """The largest numbers of a face and of a photo."""
    columns = faces.c.id, photos.c.id
    face, photo = (connection.execute(sa.select(sa.func.max(each))).scalar() for each in columns)
    return face or 0, photo or 0


def add_person(
    connection: sa.Connection, name: str, created: str, expires: str | None, consent: str | None
) -> int:
    """Add a person; returns their number."""
    number = new_person(connection, name)
    values = {"created": created, "expires": expires, "consent": consent}
    connection.execute(people.update().where(people.c.id == number).values(values))
    return number


def photo_number(connection: sa.Connection, sha256: str) -> int | None:
    """The number of a photo; None if it is unknown."""
    return connection.execute(sa.select(photos.c.id).where(photos.c.sha256 == sha256)).scalar()


def add_photo(
    connection: sa.Connection, path: Path, sha256: str, width: int, height: int, added: str
) -> int:
    """Add a photo; returns its number."""
    values = {"path": path, "sha256": sha256, "width": width, "height": height, "added": added}
    number = new_id(connection.execute(photos.insert().values(values | {"checksum": 0})))
    set_path(connection, number, path, sha256)
    return number


def photo_of(connection: sa.Connection, number: int) -> tuple[Path, str]:
    """The path and the SHA-256 of a photo by its number."""
    query = sa.select(photos.c.path, photos.c.sha256).where(photos.c.id == number)
    path, sha256 = connection.execute(query).one()
    return path, sha256


def faces_on(connection: sa.Connection, photo: int, last_face: int) -> list[FaceHere]:
    """The faces of enrolled people on a photo. last_face: the largest number that counts."""
    query = (
        face_rows(people.c.name)
        .join(people, people.c.id == faces.c.person)
        .where(faces.c.photo == photo, faces.c.id <= last_face, _HERE)
    )
    found = []
    for row in checked_faces(connection.execute(query)):
        found.append(FaceHere(row.person, row.name, Box(*json.loads(row.box))))
    return found


def add_face(
    database: Database,
    connection: sa.Connection,
    photo: int,
    person: int,
    face: Face,
    flip_consistency: float,
    embedding: bytes,
    chip: bytes | None,
) -> None:
    """Add a face, with its chip if it has one. embedding: float32, little end first."""
    sealed = database.sealed(embedding, "face")
    values = face_values(photo, person, face, flip_consistency, sealed)
    number = new_id(connection.execute(faces.insert().values(values)))
    if chip is not None:
        keep_chip(connection, number, database.sealed(chip, "chip"))


def photo_count_after(connection: sa.Connection, number: int) -> int:
    """How many photos have a larger number than this."""
    query = sa.select(sa.func.count()).select_from(photos).where(photos.c.id > number)
    return int(connection.execute(query).scalar_one())
