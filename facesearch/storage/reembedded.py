"""The embeddings that a gallery gets with another model, kept until all are there.

The table exists only while a change of the model is unfinished. It is face data, and sealed like
the faces themselves.
"""

import json
import math
import zlib
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa

from facesearch.core.arrays import Embeddings
from facesearch.core.face import Box, Point
from facesearch.storage.database import Database
from facesearch.storage.photos import drop_photos_without_faces
from facesearch.storage.records import ModelStamp
from facesearch.storage.row_checksums import checked_faces
from facesearch.storage.schema import (
    Checksum,
    as_text,
    face_checksum,
    face_rows,
    faces,
    people,
    photos,
)
from facesearch.storage.settings import delete_settings, get_setting, set_setting

PAGE = 1000  # rows in memory
UNIT = 1e-3  # how far the length of an embedding may lie from 1
UNFINISHED = "reindex"  # the setting with the model that an unfinished change leads to

Source = Literal["photo", "points", "chip"]  # what a face was cut out of

_new = sa.Table(  # a face that is deleted takes its own along
    "reembedded",
    sa.MetaData(),
    sa.Column(
        "face",
        sa.Integer,
        sa.ForeignKey(faces.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("sha256", sa.Text, nullable=False),  # of the photo
    # of the face: with `sha256` they say what was embedded
    sa.Column("points", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("embedding", sa.LargeBinary, nullable=False),
    sa.Column("agreement", sa.Float, nullable=False),
    sa.Column("checksum", Checksum, nullable=False),
)


@dataclass(frozen=True, slots=True)
class PendingFace:
    """A face to be embedded."""

    number: int
    name: str  # of the person, as it is stored
    box: Box
    points: tuple[Point, ...]
    text: str  # the points as they are stored


@dataclass(frozen=True, slots=True)
class PendingPhoto:
    """A photo with those of its faces that are to be embedded."""

    number: int
    path: Path
    sha256: str
    faces: list[PendingFace]


@dataclass(frozen=True, slots=True)
class NewEmbedding:
    """A face's embedding with the new model."""

    face: PendingFace
    sha256: str  # of the photo
    source: Source
    embedding: Embeddings  # (D,)
    flip_consistency: float  # of the face with its mirror image


# The table


def target(connection: sa.Connection) -> ModelStamp | None:
    """The model that an unfinished change leads to; None if there is none."""
    value = get_setting(connection, UNFINISHED)
    if value is None or not sa.inspect(connection).has_table(_new.name):
        return None
    return ModelStamp(**json.loads(value))


def begin(connection: sa.Connection, model: ModelStamp) -> None:
    """Make an empty table of embeddings with a model, in place of what another change left."""
    forget(connection)
    _new.create(connection, checkfirst=True)
    set_setting(connection, UNFINISHED, json.dumps(asdict(model)))


def forget(connection: sa.Connection) -> None:
    """Drop what an unfinished change has computed."""
    connection.execute(sa.text("DROP TABLE IF EXISTS reembedded"))
    delete_settings(connection, UNFINISHED)


def counts(connection: sa.Connection) -> tuple[int, int]:
    """How many faces are done, and how many there are."""
    done = sa.select(faces.c.id).join(photos, photos.c.id == faces.c.photo).join(_new, _same())
    queries = sa.select(sa.func.count()).select_from(done.subquery()), _count_of(faces)
    first, second = (int(connection.execute(query).scalar_one()) for query in queries)
    return first, second


def keep(database: Database, connection: sa.Connection, new: Collection[NewEmbedding]) -> None:
    """Write embeddings, in place of earlier ones; those of faces that were deleted are left out."""
    rows = []
    for each in new:
        sealed = database.sealed(np.asarray(each.embedding, "<f4").tobytes(), "face")
        fields = each.sha256, each.face.text, each.source, each.flip_consistency
        rows.append(
            {
                "face": each.face.number,
                "sha256": each.sha256,
                "points": each.face.text,
                "source": each.source,
                "embedding": sealed,
                "agreement": each.flip_consistency,
                "checksum": _checksum(each.face.number, *fields, sealed),
            }
        )
    there = sa.select(faces.c.id).where(faces.c.id.in_([row["face"] for row in rows]))
    numbers = set(connection.execute(there).scalars())
    drop(connection, numbers)
    still = [row for row in rows if row["face"] in numbers]
    if still:
        connection.execute(_new.insert(), still)


def drop(connection: sa.Connection, numbers: Collection[int]) -> None:
    """Delete embeddings by the numbers of their faces."""
    connection.execute(_new.delete().where(_new.c.face.in_(numbers)))


# What is to be embedded


def pending_faces(connection: sa.Connection) -> set[int]:
    """The numbers of the faces that are not done."""
    return set(connection.execute(_pending(faces.c.id)).scalars())


def pending_photo_count(connection: sa.Connection) -> int:
    """How many photos have faces that are not done."""
    query = sa.select(sa.func.count(sa.distinct(faces.c.photo)))
    query = query.where(faces.c.id.in_(_pending(faces.c.id)))
    return int(connection.execute(query).scalar_one())


def pending_photos(connection: sa.Connection, after: int, limit: int) -> list[PendingPhoto]:
    """The next photos with faces that are not done, by number. Raises Damaged.

    after: the number of the last one before. limit: how many at most.
    """
    query = _pending(faces.c.photo).where(faces.c.photo > after).distinct()
    query = query.order_by(faces.c.photo).limit(limit)
    numbers = list(connection.execute(query).scalars())
    wanted = (
        face_rows(photos.c.path, photos.c.sha256, people.c.name)
        .join(photos, photos.c.id == faces.c.photo)
        .join(people, people.c.id == faces.c.person)
        .outerjoin(_new, _same())
        .where(_new.c.face.is_(None), faces.c.photo.in_(numbers))
        .order_by(faces.c.photo, faces.c.id)
    )
    found: dict[int, PendingPhoto] = {}
    for row in checked_faces(connection.execute(wanted)):
        photo = found.setdefault(row.photo, PendingPhoto(row.photo, row.path, row.sha256, []))
        points = tuple((float(x), float(y)) for x, y in json.loads(row.points))
        box = Box(*json.loads(row.box))
        photo.faces.append(PendingFace(row.id, row.name, box, points, row.points))
    return list(found.values())


# The exchange


def drop_faces(connection: sa.Connection, numbers: Collection[int]) -> None:
    """Delete faces that cannot be embedded again, and the photos that show nobody then."""
    for number in numbers:
        connection.execute(faces.delete().where(faces.c.id == number))
    if numbers:
        drop_photos_without_faces(connection)


def exchange(
    database: Database, connection: sa.Connection, dimension: int
) -> tuple[dict[Source, int], list[int]]:
    """Give every face its new embedding.

    Returns how many were cut out of what, and the numbers of the faces whose new embedding is not
    what was computed: these keep the former one. Raises Damaged for a face whose own row is
    damaged, since a new checksum would hide that.
    """
    done: dict[Source, int] = {"photo": 0, "points": 0, "chip": 0}
    bad = []
    for row in checked_faces(_exchanged(connection)):
        if not _is_sound(database, row, dimension):
            bad.append(row.id)
            continue
        fields = row.photo, row.person, row.box, row.points, row.new_agreement, row.new_embedding
        values = {
            "embedding": row.new_embedding,
            "agreement": row.new_agreement,
            "checksum": face_checksum(*fields),
        }
        connection.execute(faces.update().where(faces.c.id == row.id).values(values))
        done[row.source] += 1
    return done, bad


def _exchanged(connection: sa.Connection) -> Iterator[Any]:
    """Rows of `face_rows` with what they are to become, a page at a time."""
    query = (
        face_rows(
            _new.c.sha256,
            _new.c.source,
            _new.c.embedding.label("new_embedding"),
            _new.c.agreement.label("new_agreement"),
            _new.c.checksum.label("new_checksum"),
        )
        .join(_new, _new.c.face == faces.c.id)
        .order_by(faces.c.id)
        .limit(PAGE)
    )
    after = 0
    while rows := connection.execute(query.where(faces.c.id > after)).all():
        yield from rows
        after = rows[-1].id


def _is_sound(database: Database, row: Any, dimension: int) -> bool:
    """Whether a new embedding is what was computed, and a unit vector (D,)."""
    fields = row.sha256, row.points, row.source, row.new_agreement
    if row.new_checksum != _checksum(row.id, *fields, row.new_embedding):
        return False
    vector = np.frombuffer(database.unsealed(row.new_embedding, "face"), "<f4")
    if len(vector) != dimension:
        return False
    return abs(math.sqrt(float(np.square(vector, dtype=np.float64).sum())) - 1) <= UNIT


def _same() -> sa.ColumnElement[bool]:
    """Whether a new embedding is of this face as it is now."""
    return sa.and_(
        _new.c.face == faces.c.id,
        _new.c.sha256 == photos.c.sha256,
        _new.c.points == as_text(faces.c.points),
    )


def _pending(column: sa.Column[Any]) -> sa.Select[Any]:
    """This column of the faces that are not done."""
    query = sa.select(column).join(photos, photos.c.id == faces.c.photo)
    return query.outerjoin(_new, _same()).where(_new.c.face.is_(None))


def _count_of(table: sa.Table) -> sa.Select[Any]:
    return sa.select(sa.func.count()).select_from(table)


def _checksum(
    face: int, sha256: str, points: str, source: str, agreement: float, sealed: bytes
) -> int:
    fields = face, sha256, points, source, agreement
    return zlib.crc32(sealed, zlib.crc32(repr(fields).encode()))
