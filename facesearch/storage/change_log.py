"""The states of a gallery, and which people changed since one of them."""

import secrets
from dataclasses import dataclass

import sqlalchemy as sa

from facesearch.storage.schema import changes, revisions, settings
from facesearch.storage.settings import REVISION, set_setting
from facesearch.storage.state import State

KEPT = 100_000  # changes and states; an index that is further behind is made again


@dataclass(frozen=True, slots=True)
class Changed:
    """People whose faces may have changed."""

    state: State  # as it is now
    people: list[int]  # ascending


def new_revision(connection: sa.Connection) -> None:
    """Give the gallery a new revision, and forget changes that are too old to be asked for.

    Revisions are random, not counted: a database that was restored from a copy must not look like a
    later state of itself.
    """
    revision = secrets.token_hex(8)
    set_setting(connection, REVISION, revision)
    last = _last_change(connection)
    connection.execute(revisions.insert().values(revision=revision, change=last))
    connection.execute(changes.delete().where(changes.c.id <= last - KEPT))
    newest = connection.execute(sa.select(sa.func.max(revisions.c.id))).scalar_one()
    connection.execute(revisions.delete().where(revisions.c.id <= newest - KEPT))


def state(connection: sa.Connection) -> State:
    """The present state, as this transaction sees it."""
    query = sa.select(settings.c.value).where(settings.c.key == REVISION)
    return State(connection.execute(query).scalar() or "", _last_change(connection))


def changed(connection: sa.Connection, since: State) -> Changed | None:
    """The people who changed since a state.

    Returns None if the state is unknown, not of this gallery or too old, or if a row of the log is
    damaged or missing: then the index has to be made from all faces.
    """
    now = state(connection)
    newest = sa.select(revisions.c.revision, revisions.c.change).order_by(revisions.c.id.desc())
    if connection.execute(newest.limit(1)).first() != (now.revision, now.change):
        return None
    known = sa.select(revisions.c.change).where(revisions.c.revision == since.revision)
    if connection.execute(known).scalar() != since.change:
        return None
    noted = sa.select(changes.c.id, changes.c.person, changes.c.checksum)
    rows = connection.execute(noted.where(changes.c.id > since.change).order_by(changes.c.id)).all()
    if [row.id for row in rows] != list(range(since.change + 1, now.change + 1)):
        return None
    if any(row.checksum != _checksum(row.id, row.person) for row in rows):
        return None
    return Changed(now, sorted({row.person for row in rows}))


def _last_change(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(sa.func.max(changes.c.id))).scalar() or 0)


def _checksum(number: int, person: object) -> int | None:
    """The checksum that the triggers of migration 0004 compute; None for a damaged number."""
    return (number * 1000003 + person * 8191) % 2147483647 if isinstance(person, int) else None
