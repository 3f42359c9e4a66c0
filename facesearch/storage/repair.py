"""Putting damaged rows right: what the doctor does to a gallery, row by row.

Each function is called within a transaction of the caller.
"""

from pathlib import Path

import sqlalchemy as sa

from facesearch.storage.row_checksums import Rows
from facesearch.storage.schema import (
    chips,
    events,
    faces,
    people,
    person_checksum,
    photo_checksum,
    photos,
    rejections,
    removed_name,
    searches,
)
from facesearch.storage.settings import now


def name_person(connection: sa.Connection, number: int, name: str, *, removed: bool) -> None:
    """Give a person a name as the one that was written. removed: whether the person is."""
    stored = removed_name(name, number) if removed else name
    values = {"name": stored, "checksum": person_checksum(number, stored)}
    connection.execute(people.update().where(people.c.id == number).values(values))


def mark_removed(connection: sa.Connection, number: int, *, removed: bool) -> None:
    """Set or delete the date of a person's removal."""
    values = {"removed": now() if removed else None}
    connection.execute(people.update().where(people.c.id == number).values(values))


def drop_last_day(connection: sa.Connection, number: int) -> None:
    """Let nobody purge a person by the date until which they may be kept."""
    connection.execute(people.update().where(people.c.id == number).values(expires=None))


def add_person(connection: sa.Connection, number: int, name: str) -> None:
    """Add a person under a number that faces refer to."""
    checksum = person_checksum(number, name)
    values = {"id": number, "name": name, "created": now(), "checksum": checksum}
    connection.execute(people.insert().values(values))


def accept_photo(connection: sa.Connection, number: int, path: Path, sha256: str) -> None:
    """Take the path and the hash of a photo for those that were written."""
    values = {"checksum": photo_checksum(number, path, sha256)}
    connection.execute(photos.update().where(photos.c.id == number).values(values))


def accept_row(connection: sa.Connection, rows: Rows, key: object) -> None:
    """Take a row as it reads for what was written: its checksum is computed anew."""
    change = sa.update(rows.table).where(rows.key == key)
    connection.execute(change.values({rows.checksum.name: None}))


def drop_row(connection: sa.Connection, rows: Rows, key: object) -> None:
    """Delete a row by its key."""
    connection.execute(sa.delete(rows.table).where(rows.key == key))


def empty_event(connection: sa.Connection, number: int) -> None:
    """Delete what an event tells."""
    connection.execute(events.update().where(events.c.id == number).values(detail={}))


def empty_search(connection: sa.Connection, number: int) -> None:
    """Delete what an entry of the audit log tells, but that there was a search."""
    nothing = {"command": "(damaged)", "faces": 0, "names": []}
    connection.execute(searches.update().where(searches.c.id == number).values(detail=nothing))


def drop_photo(connection: sa.Connection, number: int) -> None:
    """Delete the row of a photo."""
    connection.execute(photos.delete().where(photos.c.id == number))


def drop_face(connection: sa.Connection, number: int) -> None:
    """Delete a face, and its chip with it."""
    connection.execute(faces.delete().where(faces.c.id == number))


def drop_chip(connection: sa.Connection, face: int) -> None:
    """Delete the chip of a face."""
    connection.execute(chips.delete().where(chips.c.face == face))


def drop_rejections(connection: sa.Connection, person: int) -> None:
    """Delete all rejections of a person."""
    connection.execute(rejections.delete().where(rejections.c.person == person))
