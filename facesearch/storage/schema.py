"""The tables of a gallery, and the checksums of people, photos and faces."""

import os
import zlib
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facesearch.core.uploads import stored

SCHEMA = "0006"  # the newest migration
NONE = -1  # the checksum of a row with a field of a wrong type, which nobody wrote


class PathBytes(sa.types.TypeDecorator[Path]):
    """Paths are stored as bytes, since not every path is UTF-8."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Path | None, dialect: sa.Dialect) -> bytes | None:
        return None if value is None else os.fsencode(value)

    def process_result_value(self, value: bytes | None, dialect: sa.Dialect) -> Path | None:
        if value is not None and not isinstance(value, bytes):
            return Path()  # damaged: the checksum will not fit
        return None if value is None else stored(Path(os.fsdecode(value)))


class PersonName(sa.types.TypeDecorator[str]):
    """Names; PostgreSQL gets another character for the NUL of `removed_name`, which it refuses."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        inside = value is not None and dialect.name == "postgresql"
        return value.replace("\0", "\1") if inside and value else value

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> str | None:
        inside = value is not None and dialect.name == "postgresql"
        return value.replace("\1", "\0") if inside and value else value


# 32 bits without a sign; SQLite's whole numbers have 64 anyway
Checksum = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_tables = sa.MetaData()
people = sa.Table(
    "people",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", PersonName),  # unique; of a removed person see `removed_name`
    sa.Column("created", sa.Text),
    sa.Column("removed", sa.Text),  # when; a removed person is in no answer, and can come back
    sa.Column("expires", sa.Text),  # a date, ISO 8601; None: never
    sa.Column("consent", sa.Text),  # a note
    sa.Column("checksum", Checksum),  # of the name
    sa.Column("terms_checksum", Checksum),  # of the rest; see `row_checksums`
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
    sa.Column("checksum", Checksum),
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
    sa.Column("checksum", Checksum),
)
chips = sa.Table(  # stored if the owner asks for it
    "chips",
    _tables,
    sa.Column("face", sa.Integer, primary_key=True),
    sa.Column("image", sa.LargeBinary),
    sa.Column("checksum", Checksum),
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
    sa.Column("near", sa.Float),  # another face within this distance counts as the same
    sa.Column("checksum", Checksum),
)
settings = sa.Table(
    "settings",
    _tables,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text),
    sa.Column("checksum", Checksum),
)
events = sa.Table(
    "events",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Text),
    sa.Column("action", sa.Text),
    sa.Column("detail", sa.JSON),
    sa.Column("checksum", Checksum),
)
searches = sa.Table(  # the audit log: no face data
    "searches",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Text),
    sa.Column("detail", sa.JSON),
    sa.Column("checksum", Checksum),
)

# Jobs of the service. Photos wait here until a job is done, results are kept for a while

jobs = sa.Table(
    "jobs",
    _tables,
    sa.Column("number", sa.Text, primary_key=True),  # 16 hexadecimal digits, drawn
    sa.Column("created", sa.Text),
    sa.Column("which", sa.Text),  # "only", "largest" or "all" faces of a photo
    sa.Column("insist", sa.Boolean),
    sa.Column("folder", sa.Text),
    sa.Column("state", sa.Text),
    sa.Column("cancelled", sa.Boolean),
    sa.Column("looked_at", sa.Integer),
    sa.Column("total", sa.Integer),
    sa.Column("reason", sa.Text),
    sa.Column("finished", sa.Text),
    sa.Column("checksum", Checksum),
)
job_photos = sa.Table(
    "job_photos",
    _tables,
    sa.Column("id", sa.Text, primary_key=True),  # the job's number and the place: 000000, 000001...
    sa.Column("job", sa.Text),
    sa.Column("name", sa.Text),  # of the person
    sa.Column("file", sa.Text),
    sa.Column("size", sa.BigInteger),  # of the content, in bytes
    sa.Column("content", sa.LargeBinary),  # sealed in an encrypted gallery
    sa.Column("checksum", Checksum),
)
job_results = sa.Table(
    "job_results",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("job", sa.Text),
    sa.Column("key", sa.Text),  # of the photo that is done
    sa.Column("result", sa.JSON),
    sa.Column("checksum", Checksum),
)

# Filled by triggers: only numbers, no face data
changes = sa.Table(  # each change to the faces of a person; the numbers have no gaps
    "changes",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("person", sa.Integer),
    sa.Column("checksum", sa.BigInteger),
)
totals = sa.Table(  # how many faces each person has, so that a missing row is noticed
    "totals",
    _tables,
    sa.Column("person", sa.Integer, primary_key=True),
    sa.Column("faces", sa.Integer),
    sa.Column("numbers", sa.BigInteger),  # the sum of the faces' numbers
)
revisions = sa.Table(  # the states of the gallery, each with its last change
    "revisions",
    _tables,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("revision", sa.Text),
    sa.Column("change", sa.Integer),
)


def removed_name(name: str, number: int) -> str:
    """The name in the row of a removed person, which leaves the name free for somebody else."""
    return f"{name}\0{number}"


def person_checksum(number: int, name: str) -> int:
    """The checksum of a row of `people`."""
    return _checksum(number, name)


def photo_checksum(number: int, path: Path, sha256: str) -> int:
    """The checksum of a row of `photos`."""
    return _checksum(number, os.fsencode(path), sha256) if isinstance(path, Path) else NONE


def face_checksum(
    photo: int, person: int, box: str, points: str, agreement: float, embedding: bytes
) -> int:
    """The checksum of a row of `faces`.

    box, points: the stored JSON text. embedding: the stored bytes, sealed or not.
    """
    if not isinstance(embedding, bytes) or not isinstance(agreement, float | int):
        return NONE
    return zlib.crc32(embedding, _checksum(photo, person, box, points, float(agreement)))


def as_text(column: sa.Column[Any]) -> sa.ColumnElement[str]:
    """A JSON column as its stored text."""
    return sa.cast(column, sa.Text)


def face_rows(*more: Any) -> sa.Select[Any]:
    """A query of faces with all columns that their checksum covers, as they are stored."""
    return sa.select(
        faces.c.id,
        faces.c.photo,
        faces.c.person,
        as_text(faces.c.box).label("box"),
        as_text(faces.c.points).label("points"),
        faces.c.agreement,
        faces.c.embedding,
        faces.c.checksum,
        *more,
    )


def face_is_sound(row: Any) -> bool:
    """Whether a row of `face_rows` is what was written."""
    fields = row.photo, row.person, row.box, row.points, row.agreement, row.embedding
    return bool(row.checksum == face_checksum(*fields))


def _checksum(*fields: object) -> int:
    return zlib.crc32("\x1f".join(map(repr, fields)).encode("utf-8", "surrogatepass"))
