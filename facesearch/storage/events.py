"""The event log: what was done to a gallery, when, and to whom."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from facesearch.storage.row_checksums import EVENTS, event_detail
from facesearch.storage.schema import events


@dataclass(slots=True)
class Event:
    """An entry of the log. `Database.write_event` gives it its number and time at the end."""

    action: str
    detail: dict[str, Any]  # JSON; whoever writes may fill it in until the transaction ends
    faces: int = 0  # how many it touched; the log itself has no such field
    number: int = 0
    at: str = ""  # ISO 8601, UTC


def append(connection: sa.Connection, event: Event) -> None:
    """Write an event, and set its number. Its time must be set."""
    values = {"at": event.at, "action": event.action, "detail": event.detail}
    key = connection.execute(events.insert().values(values)).inserted_primary_key
    assert key is not None
    event.number = int(key[0])


def every(connection: sa.Connection) -> list[Event]:
    """All events, the earliest first. Raises Damaged."""
    return [_event(row) for row in connection.execute(EVENTS.select()).all()]


def logged(connection: sa.Connection, actions: Collection[str]) -> list[Event]:
    """The events of these actions, the earliest first. Raises Damaged."""
    query = EVENTS.select().where(events.c.action.in_(actions))
    return [_event(row) for row in connection.execute(query)]


def last_number(connection: sa.Connection, action: str) -> int | None:
    """The number of the latest event of an action; None if there is none."""
    query = sa.select(sa.func.max(events.c.id)).where(events.c.action == action)
    return connection.execute(query).scalar()


def undone(connection: sa.Connection) -> set[int]:
    """The numbers of the events that were undone. Raises Damaged."""
    return {event.detail.get("event", 0) for event in logged(connection, ["undo"])}


def set_detail(connection: sa.Connection, number: int, detail: dict[str, Any]) -> None:
    """Give an event another detail."""
    connection.execute(events.update().where(events.c.id == number).values(detail=detail))


def _event(row: Any) -> Event:
    detail = event_detail(row)
    listed = detail.get("faces")
    count = len(listed) if isinstance(listed, list) else 0
    return Event(row.action, detail, count, row.id, row.at)
