"""The tables of a gallery, and what is kept to notice that a row was damaged."""

import os
import zlib
from pathlib import Path
from typing import Any

import sqlalchemy as sa

SCHEMA = "0004"  # the newest migration
NONE = -1  # the checksum of what was never written: a field that is not of its type


class PathBytes(sa.types.TypeDecorator[Path]):
    """Paths as the bytes that they are; not every path is UTF-8."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Path | None, dialect: sa.Dialect) -> bytes | None:
        return None if value is None else os.fsencode(value)

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> Path | None:
        if value is not None and not isinstance(value, bytes):
            return Path()  # damaged: its checksum is another's
        return None if value is None else Path(os.fsdecode(value))


_tables = sa.MetaData()
people = sa.Table(
    "people",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text),  # unique; of a removed person see `removed_name`
    sa.Column("created", sa.Text),
    sa.Column("removed", sa.Text),  # when; such a person is in no answer and can be brought back
    sa.Column("expires", sa.Text),  # a date, ISO 8601; None: never
    sa.Column("consent", sa.Text),  # a note
    sa.Column("checksum", sa.Integer),
)
photos = sa.Table(
    "photos",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("path", PathBytes),
    sa.Column("sha256", sa.Text),
    sa.Column("width", sa.Integer),
    sa.Column("height", sa.Integer),
    sa.Column("added", sa.Text),
    sa.Column("checksum", sa.Integer),
)
faces = sa.Table(
    "faces",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("photo", sa.Integer),
    sa.Column("person", sa.Integer),
    sa.Column("box", sa.JSON),
    sa.Column("points", sa.JSON),
    sa.Column("score", sa.Float),
    sa.Column("embedding", sa.LargeBinary),
    sa.Column("agreement", sa.Float),
    sa.Column("checksum", sa.Integer),
)
chips = sa.Table(  # kept where the user asks for it
    "chips",
    _tables,
    sa.Column("face", sa.Integer, primary_key=True),
    sa.Column("image", sa.LargeBinary),
)
rejections = sa.Table(  # "this face is not theirs"
    "rejections",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("person", sa.Integer),
    sa.Column("sha256", sa.Text),  # of the photo
    sa.Column("box", sa.JSON),
    sa.Column("embedding", sa.LargeBinary),
    sa.Column("at", sa.Text),
)
settings = sa.Table(
    "settings",
    _tables,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text),
)
events = sa.Table(
    "events",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Text),
    sa.Column("action", sa.Text),
    sa.Column("detail", sa.JSON),
)
searches = sa.Table(  # the audit log: no face data
    "searches",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Text),
    sa.Column("detail", sa.JSON),
)

# Filled by triggers; numbers alone, no face data
changes = sa.Table(  # people whose template may be another since, without a gap
    "changes",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("person", sa.Integer),
    sa.Column("checksum", sa.BigInteger),
)
totals = sa.Table(  # how many faces a person has, so that a missing one is noticed
    "totals",
    _tables,
    sa.Column("person", sa.Integer, primary_key=True),
    sa.Column("faces", sa.Integer),
    sa.Column("numbers", sa.BigInteger),  # the sum of the faces' numbers
)
revisions = sa.Table(  # the gallery's states, each with the last change that it holds
    "revisions",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("revision", sa.Text),
    sa.Column("change", sa.Integer),
)


def change_checksum(number: str, person: str) -> str:
    """SQL, since triggers compute it; a flipped bit of either makes another."""
    return f"(CAST({number} AS BIGINT) * 1000003 + CAST({person} AS BIGINT) * 8191) % 2147483647"


def removed_name(name: str, number: int) -> str:
    """What the row of a removed person bears, so that the name is free for another."""
    return f"{name}\0{number}"


def person_checksum(number: int, name: str) -> int:
    return _checksum(number, name)


def photo_checksum(number: int, path: Path, sha256: str) -> int:
    return _checksum(number, os.fsencode(path), sha256) if isinstance(path, Path) else NONE


def face_checksum(
    photo: int, person: int, box: str, points: str, agreement: float, embedding: bytes
) -> int:
    """box, points: the JSON text as it is stored; embedding: the bytes as they are stored."""
    if not isinstance(embedding, bytes) or not isinstance(agreement, float | int):
        return NONE
    return zlib.crc32(embedding, _checksum(photo, person, box, points, float(agreement)))


def face_rows(*more: Any) -> sa.Select[Any]:
    """Faces with everything that their checksum covers, as it is stored."""
    return sa.select(
        faces.c.id,
        faces.c.photo,
        faces.c.person,
        sa.type_coerce(faces.c.box, sa.Text).label("box"),
        sa.type_coerce(faces.c.points, sa.Text).label("points"),
        faces.c.agreement,
        faces.c.embedding,
        faces.c.checksum,
        *more,
    )


def face_is_sound(row: Any) -> bool:
    """Whether one of `face_rows` is what was written."""
    fields = row.photo, row.person, row.box, row.points, row.agreement, row.embedding
    return bool(row.checksum == face_checksum(*fields))


def _checksum(*fields: object) -> int:
    return zlib.crc32("\x1f".join(map(repr, fields)).encode("utf-8", "surrogatepass"))
