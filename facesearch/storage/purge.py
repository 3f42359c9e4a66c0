"""The rows that a purge asks for, deletes, and empties of names."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from facesearch.storage import events
from facesearch.storage.row_checksums import SEARCHES, TERMS
from facesearch.storage.schema import faces, people, photos, searches

PURGED = "(purged)"  # instead of a name in a log


@dataclass(frozen=True, slots=True)
class PersonCount:
    """A person, enrolled or removed, with the number of their faces."""

    number: int
    name: str  # the one that they bear, or bore until they were removed
    faces: int
    expires: str | None
    removed: bool


def person_counts(connection: sa.Connection) -> dict[int, PersonCount]:
    """All people by their numbers, enrolled or removed."""
    query = (
        sa.select(
            people.c.id,
            people.c.name,
            sa.func.count(faces.c.id),
            people.c.expires,
            people.c.removed,
        )
        .outerjoin(faces, faces.c.person == people.c.id)
        .group_by(people.c.id)
    )
    return {
        number: PersonCount(number, plain_name(name), int(count), expires, removed is not None)
        for number, name, count, expires, removed in connection.execute(query)
    }


def plain_names(connection: sa.Connection) -> dict[int, str]:
    """The names that all people bear, or bore until they were removed, by their numbers."""
    query = sa.select(people.c.id, people.c.name)
    return {number: plain_name(name) for number, name in connection.execute(query)}


def plain_name(stored: str) -> str:
    """A stored name without what `removed_name` adds."""
    return stored.split("\0")[0]


def last_days(connection: sa.Connection) -> dict[int, str]:
    """The last days of all people who have one, by their numbers. Raises Damaged."""
    query = TERMS.select().where(people.c.expires.is_not(None))
    return {row.id: str(row.expires) for row in TERMS.checked(connection.execute(query))}


def empty_events(connection: sa.Connection, persons: set[int], numbers: set[int]) -> set[str]:
    """Empty the events about these people or faces; returns the names that the events told.

    They cannot be undone any more, and the numbers may be given again. Raises Damaged.
    """
    names: set[str] = set()
    for event in events.every(connection):
        detail = event.detail
        person, other = detail.get("person"), detail.get("other")
        listed = detail.get("faces")
        named = numbers.intersection(listed) if isinstance(listed, list) else set()
        if person in persons:
            names.update(detail[key] for key in ("name", "old", "new") if key in detail)
        if other in persons and "other_name" in detail:
            names.add(detail["other_name"])
        if person in persons or other in persons or named:
            events.set_detail(connection, event.number, {"purged": True})
    return names


def drop_names(connection: sa.Connection, names: set[str]) -> None:
    """Write PURGED for these names in the log of events and in that of searches.

    Events about other people who bear or bore one of the names stay. Raises Damaged.
    """
    for event in events.every(connection):
        if "person" not in event.detail:
            clean = _without(event.detail, names)
            if clean != event.detail:
                events.set_detail(connection, event.number, clean)
    for row in SEARCHES.checked(connection.execute(SEARCHES.select()).all()):
        detail = json.loads(row.detail)
        clean = _without(detail, names)
        if clean != detail:
            mine = searches.c.id == row.id
            connection.execute(searches.update().where(mine).values(detail=clean))


def drop_people(connection: sa.Connection, persons: Collection[int]) -> None:
    """Delete people with their faces, and the photos that show nobody then.

    Their chips and rejections go with the rows.
    """
    for person in persons:
        connection.execute(faces.delete().where(faces.c.person == person))
        connection.execute(people.delete().where(people.c.id == person))
    connection.execute(photos.delete().where(photos.c.id.not_in(sa.select(faces.c.photo))))


def _without(value: Any, names: set[str]) -> Any:
    """A JSON value with PURGED for these names."""
    if isinstance(value, str):
        return PURGED if value in names else value
    if isinstance(value, list):
        return [_without(each, names) for each in value]
    if isinstance(value, dict):
        return {_without(key, names): _without(each, names) for key, each in value.items()}
    return value
