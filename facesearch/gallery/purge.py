"""Leaving nothing of a person in a gallery's folder."""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from facesearch.core.errors import PersonError, UnknownPerson
from facesearch.gallery.rejections import rejection_of
from facesearch.storage import rejections
from facesearch.storage.database import Database
from facesearch.storage.events import undone
from facesearch.storage.faces import enrolled
from facesearch.storage.journal import forget_all
from facesearch.storage.recovery import DAMAGED, WORK
from facesearch.storage.row_checksums import EVENTS, SEARCHES, TERMS, Rows, event_detail
from facesearch.storage.schema import events, faces, people, photos
from facesearch.storage.settings import (
    MILVUS_PREFIX,
    MILVUS_UNCLEAN,
    UNCLEAN,
    get_setting,
    set_setting,
)

PURGED = "(purged)"  # instead of a name in a log


@dataclass(frozen=True, slots=True)
class Kept:
    """Somebody of whom something is kept, enrolled or removed."""

    name: str
    faces: int
    expires: str | None
    removed: bool


def kept_of(database: Database, name: str) -> list[Kept]:
    """Whom a purge of this name takes: who bears it, and those removed who bore it.

    Who was merged into somebody goes with them alone.
    """
    with database.read() as connection:
        return _kept(connection, _reached(connection, _of_name(connection, name)))


def purge(database: Database, name: str) -> int:
    """Leave nothing of a person, nor of those removed or merged into them; returns the faces.

    Names in the logs, rejections of their faces, chips and photos of nobody else go, too, and what
    the doctor laid aside: whole damaged databases, since nobody knows what is in them. What was
    freed is overwritten by `Database.clean`, which has to follow. Raises PersonError if nobody
    bears the name, nor anybody removed bore it who was not merged into somebody else.
    """
    detail: dict[str, Any] = {}
    with database.write("purge", detail) as connection:
        numbers = _of_name(connection, name)
        if not numbers:
            _check_not_merged(connection, name)
            raise UnknownPerson(f"{name}: nobody of this name is enrolled or removed")
        count = detail["faces"] = _purge(database, connection, numbers)
    return count


def today() -> date:
    """By this machine's clock, UTC."""
    return datetime.now(UTC).date()


def expired(database: Database, on: date) -> list[Kept]:
    """Whom `purge_expired` takes: everybody whose last day was before this one, by name."""
    with database.read() as connection:
        return _kept(connection, _reached(connection, _due(connection, on)))


def purge_expired(database: Database, on: date) -> list[Kept]:
    """`purge` everybody whose last day was before this one; returns who they were, by name."""
    if not expired(database, on):
        return []
    detail: dict[str, Any] = {}
    with database.write("purge", detail) as connection:
        due = _due(connection, on)
        gone = _kept(connection, _reached(connection, due))
        detail["faces"] = _purge(database, connection, due)
    return gone


def unfinished(database: Database) -> bool:
    """Whether what a purge freed is not overwritten yet, or left in Milvus."""
    with database.read() as connection:
        return any(get_setting(connection, key) is not None for key in (UNCLEAN, MILVUS_UNCLEAN))


def _scrub_files(folder: Path, names: set[str]) -> None:
    """What `gallery doctor --repair` laid aside: damaged databases, notes of lost faces."""
    for path in folder.glob(f"{DAMAGED}*"):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / WORK, ignore_errors=True)
    for path in folder.glob("doctor-*.jsonl"):
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
        kept = [line for line in lines if not _names(line, names)]
        if len(kept) < len(lines):
            partial = path.with_name(f"{path.name}.new")
            text = "".join(f"{line}\n" for line in kept)
            partial.write_text(text, "utf-8", "surrogateescape")
            partial.chmod(0o600)
            partial.replace(path)


def _names(line: str, names: set[str]) -> bool:
    try:
        return json.loads(line).get("name") in names
    except ValueError:
        return True  # cut off: nobody knows


def _of_name(connection: sa.Connection, name: str) -> set[int]:
    """Who bears the name or bore it, but for those whose faces are somebody else's now."""
    return _bearers(connection, name) - _merged(connection).keys()


def _bearers(connection: sa.Connection, name: str) -> set[int]:
    query = sa.select(people.c.id, people.c.name)
    return {number for number, kept in connection.execute(query) if _plain(kept) == name}


def _due(connection: sa.Connection, on: date) -> set[int]:
    """Raises GalleryError if of anybody it is not known until when they may be kept."""
    due = set()
    for row in connection.execute(TERMS.select().where(people.c.expires.is_not(None))):
        TERMS.check(row)
        if row.expires < on.isoformat():
            due.add(row.id)
    return due - _merged(connection).keys()


def _merged(connection: sa.Connection) -> dict[int, int]:
    """Who was merged into whom; a purge takes them together with the latter."""
    taken_back = undone(connection)
    query = EVENTS.select().where(events.c.action == "merge")
    done = [event_detail(row) for row in connection.execute(query) if row.id not in taken_back]
    return {detail["other"]: detail["person"] for detail in done if "person" in detail}


def _check_not_merged(connection: sa.Connection, name: str) -> None:
    """Raises PersonError if the faces of who bore the name are somebody else's."""
    merged = _merged(connection)
    for number in sorted(_bearers(connection, name) & merged.keys()):
        while number in merged:
            number = merged[number]
        query = sa.select(people.c.name).where(people.c.id == number)
        into = _plain(connection.execute(query).scalar_one())
        raise PersonError(
            f"{name}: was merged into {into}; undo the merge (`undo --list` has its number), or "
            f"purge {into}"
        )


def _plain(name: str) -> str:
    """The name without what `removed_name` added."""
    return name.split("\0")[0]


def _kept(connection: sa.Connection, numbers: set[int]) -> list[Kept]:
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
    rows = connection.execute(query).all()
    return sorted(
        (
            Kept(_plain(name), count, expires, removed is not None)
            for number, name, count, expires, removed in rows
            if number in numbers
        ),
        key=lambda kept: (kept.name, kept.removed),
    )


def _reached(connection: sa.Connection, numbers: set[int]) -> set[int]:
    """These people, and whoever is nothing but a part of them.

    That is who was merged into them, whose faces were all given back to them, and who holds the
    faces that were rejected as theirs.
    """
    counts = (
        sa.select(people.c.id, sa.func.count(faces.c.id))
        .outerjoin(faces, faces.c.person == people.c.id)
        .where(people.c.removed.is_not(None))
        .group_by(people.c.id)
    )
    removed = {row[0]: int(row[1]) for row in connection.execute(counts)}
    taken_back = undone(connection)
    query = EVENTS.select().where(events.c.action.in_(("merge", "split", "reject")))
    done = [(row.id, row.action, event_detail(row)) for row in connection.execute(query)]
    parts = [
        (detail["person"], detail["other"])
        for event, action, detail in done
        if "person" in detail
        and detail.get("other") in removed
        and (event in taken_back) == (action == "split")
        and (action == "reject" or not removed[detail["other"]])
    ]
    found: set[int] = set()
    new = set(numbers)
    while new:
        found |= new
        new = {other for person, other in parts if person in new} - found
    return found


def _purge(database: Database, connection: sa.Connection, numbers: set[int]) -> int:
    """Within a transaction; returns the number of faces."""
    everybody = _reached(connection, numbers)
    names = {kept.name for kept in _kept(connection, everybody)}
    gone = [
        face
        for person in sorted(everybody)
        for face in enrolled(database, connection, faces.c.person == person, damaged=True)
    ]
    names |= _scrub_events(connection, everybody, {face.number for face in gone})
    _scrub(connection, EVENTS, names)
    _scrub(connection, SEARCHES, names)
    for stored in rejections.of_everybody(database, connection):  # with embeddings of these faces
        said = rejection_of(stored)
        if any(said.bars(face.sha256, face.box, face.embedding) for face in gone):
            rejections.drop(connection, said.number)
    for person in everybody:  # chips and the person's rejections go with the rows
        connection.execute(faces.delete().where(faces.c.person == person))
        connection.execute(people.delete().where(people.c.id == person))
    connection.execute(photos.delete().where(photos.c.id.not_in(sa.select(faces.c.photo))))
    forget_all(connection)
    set_setting(connection, UNCLEAN, "purge")
    if get_setting(connection, MILVUS_PREFIX) is not None:
        set_setting(connection, MILVUS_UNCLEAN, "purge")
    _scrub_files(database.folder, names)
    return len(gone)


def _scrub_events(connection: sa.Connection, numbers: set[int], gone: set[int]) -> set[str]:
    """Empty the events about these people or faces; returns the names that they told of them.

    They cannot be undone any more, and the numbers may be given again.
    """
    names: set[str] = set()
    for row in connection.execute(EVENTS.select()).all():
        detail = event_detail(row)
        person, other = detail.get("person"), detail.get("other")
        listed = detail.get("faces")
        named = gone.intersection(listed) if isinstance(listed, list) else set()
        if person in numbers:
            names.update(detail[key] for key in ("name", "old", "new") if key in detail)
        if other in numbers and "other_name" in detail:
            names.add(detail["other_name"])
        if person in numbers or other in numbers or named:
            _set_detail(connection, events, row.id, {"purged": True})
    return names


def _scrub(connection: sa.Connection, log: Rows, names: set[str]) -> None:
    """The names vanish from a log, but for what is told of other people who bore one."""
    for row in connection.execute(log.select()).all():
        log.check(row)
        detail = json.loads(row.detail)
        if log is EVENTS and "person" in detail:
            continue
        clean = _without(detail, names)
        if clean != detail:
            _set_detail(connection, log.table, row.id, clean)


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, str):
        return PURGED if value in names else value
    if isinstance(value, list):
        return [_without(each, names) for each in value]
    if isinstance(value, dict):
        return {_without(key, names): _without(each, names) for key, each in value.items()}
    return value


def _set_detail(connection: sa.Connection, log: sa.Table, number: int, detail: Any) -> None:
    connection.execute(log.update().where(log.c.id == number).values(detail=detail))
