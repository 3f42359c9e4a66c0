"""Checksums of rows, and the checks of a row by its checksum.

Those of people's names, photos and faces are computed by whoever writes the row. For all other
tables triggers empty the checksum of a row that is added or changed, and `fill_checksums` computes
it at the end of the transaction. So no writer can forget it, and a row that was damaged from
outside keeps a checksum that does not fit.
"""

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.storage.schema import (
    as_text,
    chips,
    events,
    face_is_sound,
    job_photos,
    job_results,
    jobs,
    people,
    person_checksum,
    photo_checksum,
    rejections,
    searches,
    settings,
)

PAGE = 500  # rows in memory at once


class Damaged(GalleryError):
    """A row is not what was written. `Database.translate_errors` adds the gallery's name."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A table with a checksum over some of its columns."""

    what: str  # what messages call a row
    key: sa.Column[Any]
    covered: tuple[sa.Column[Any], ...]
    checksum: sa.Column[Any]
    page: int = PAGE  # rows in memory

    @property
    def table(self) -> sa.Table:
        """The table itself."""
        return self.key.table

    def stored(self) -> list[sa.ColumnElement[Any]]:
        """The columns that `is_sound` needs; JSON as its stored text."""
        return [
            as_text(each).label(each.name) if isinstance(each.type, sa.JSON) else each
            for each in (self.key, *self.covered, self.checksum)
        ]

    def select(self) -> sa.Select[Any]:
        """A query of these columns, in the order of the key."""
        return sa.select(*self.stored()).order_by(self.key)

    def is_sound(self, row: Any) -> bool:
        """Whether a row of `select` is what was written, or still waits for its checksum."""
        kept = getattr(row, self.checksum.name)
        return kept is None or bool(kept == self.sum(row))

    def sum(self, row: Any) -> int:
        """The checksum of a row of `select`."""
        total = zlib.crc32(_text(getattr(row, self.key.name)))
        for each in self.covered:
            value = getattr(row, each.name)
            content = value if isinstance(value, bytes) else _text(value)
            total = zlib.crc32(content, zlib.crc32(b"\x1f", total))
        return total

    def checked(self, rows: Iterable[Any]) -> Iterator[Any]:
        """The same rows, each of them checked when its turn comes. Raises Damaged."""
        for row in rows:
            self.check(row)
            yield row

    def check(self, row: Any) -> None:
        """Raises Damaged if a row of `select` is not what was written."""
        if not self.is_sound(row):
            raise Damaged(_damaged(self.what, getattr(row, self.key.name)))


TERMS = Rows(
    "the terms of person",
    people.c.id,
    (people.c.created, people.c.removed, people.c.expires, people.c.consent),
    people.c.terms_checksum,
)
CHIPS = Rows("the chip of face", chips.c.face, (chips.c.image,), chips.c.checksum)
REJECTIONS = Rows(
    "rejection",
    rejections.c.id,
    (
        rejections.c.person,
        rejections.c.sha256,
        rejections.c.box,
        rejections.c.embedding,
        rejections.c.at,
        rejections.c.near,
    ),
    rejections.c.checksum,
)
SETTINGS = Rows("the setting", settings.c.key, (settings.c.value,), settings.c.checksum)
EVENTS = Rows(
    "event", events.c.id, (events.c.at, events.c.action, events.c.detail), events.c.checksum
)
SEARCHES = Rows("search", searches.c.id, (searches.c.at, searches.c.detail), searches.c.checksum)

JOBS = Rows(
    "job",
    jobs.c.number,
    (
        jobs.c.created,
        jobs.c.which,
        jobs.c.insist,
        jobs.c.folder,
        jobs.c.state,
        jobs.c.cancelled,
        jobs.c.looked_at,
        jobs.c.total,
        jobs.c.reason,
        jobs.c.finished,
    ),
    jobs.c.checksum,
)
JOB_PHOTOS = Rows(
    "the photo of a job,",
    job_photos.c.id,
    (
        job_photos.c.job,
        job_photos.c.name,
        job_photos.c.file,
        job_photos.c.size,
        job_photos.c.content,
    ),
    job_photos.c.checksum,
    page=8,  # they are large
)
JOB_RESULTS = Rows(
    "the result of a job,",
    job_results.c.id,
    (job_results.c.job, job_results.c.key, job_results.c.result),
    job_results.c.checksum,
)

EVERY = (TERMS, CHIPS, REJECTIONS, SETTINGS, EVENTS, SEARCHES, JOBS, JOB_PHOTOS, JOB_RESULTS)

_EMPTY = sa.union_all(
    *(
        sa.select(sa.literal(place)).where(sa.exists().where(rows.checksum.is_(None)))
        for place, rows in enumerate(EVERY)
    )
)


def _damaged(what: str, key: object) -> str:
    return f"damaged: {what} {key} is not what was written; `facesearch gallery doctor` says more"


def _text(value: object) -> bytes:
    return repr(value).encode("utf-8", "surrogatepass")


def fill_checksums(connection: sa.Connection) -> None:
    """Compute the checksums of all rows that were added or changed."""
    for place in connection.execute(_EMPTY).scalars().all():
        rows = EVERY[place]
        query = rows.select().where(rows.checksum.is_(None)).limit(rows.page)
        change = sa.update(rows.table).where(rows.key == sa.bindparam("row"))
        change = change.values({rows.checksum.name: sa.bindparam("sum")})
        while some := connection.execute(query).all():
            sums = [{"row": getattr(row, rows.key.name), "sum": rows.sum(row)} for row in some]
            connection.execute(change, sums)


def event_detail(row: Any) -> dict[str, Any]:
    """The detail of an event, decoded. Raises Damaged."""
    EVENTS.check(row)
    detail: dict[str, Any] = json.loads(row.detail)
    return detail


def check_person(number: int, name: str, checksum: int) -> None:
    """Check a row of `people` by its stored checksum. Raises Damaged."""
    if checksum != person_checksum(number, name):
        raise Damaged(_damaged("person", number))


def check_removed(row: Any) -> None:
    """Check a row of `people` that may be removed: its name says so, too. Raises Damaged."""
    check_person(row.id, row.name, row.checksum)
    if (row.removed is not None) != ("\0" in row.name):  # see `removed_name`
        raise Damaged(_damaged("person", row.id))


def check_photo(number: int, path: Path, sha256: str, checksum: int) -> None:
    """Check a row of `photos` by its stored checksum. Raises Damaged."""
    if checksum != photo_checksum(number, path, sha256):
        raise Damaged(_damaged("photo", number))


def checked_faces(rows: Iterable[Any]) -> Iterator[Any]:
    """The same rows of `face_rows`, each of them checked when its turn comes. Raises Damaged."""
    for row in rows:
        check_face(row)
        yield row


def check_face(row: Any) -> None:
    """Check a row of `face_rows`. Raises Damaged."""
    if not face_is_sound(row):
        raise Damaged(_damaged("face", row.id))


def damaged(connection: sa.Connection, rows: Rows) -> Iterator[Any]:
    """The rows of a table that are not what was written, or have no checksum."""
    with connection.execute(rows.select(), execution_options={"yield_per": rows.page}) as every:
        for row in every:
            if getattr(row, rows.checksum.name) is None or not rows.is_sound(row):
                yield row
