"""Leaving nothing of a person: in the database, in its logs, and in the files beside it."""

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from facesearch.core.errors import PersonError, UnknownPerson
from facesearch.gallery.rejections import rejection_of
from facesearch.storage import events, job_spool, rejections
from facesearch.storage import purge as rows
from facesearch.storage.connection import Connection
from facesearch.storage.database import Database
from facesearch.storage.faces import faces_of_person
from facesearch.storage.journal import forget_all
from facesearch.storage.recovery import DAMAGED, WORK
from facesearch.storage.settings import (
    MILVUS_PREFIX,
    MILVUS_UNCLEAN,
    UNCLEAN,
    get_setting,
    set_setting,
)


@dataclass(frozen=True, slots=True)
class PurgeTarget:
    """A person whom a purge deletes, enrolled or removed."""

    name: str
    faces: int
    expires: str | None  # the last day on which they may be kept, ISO 8601
    removed: bool


def targets_of(database: Database, name: str) -> list[PurgeTarget]:
    """The people whom a purge of this name deletes: who bears it, and those removed who bore it.

    A person who was merged into another is deleted with that one only.
    """
    with database.read() as connection:
        return _targets(connection, _reached(connection, _of_name(connection, name)))


def purge(database: Database, name: str) -> int:
    """Delete a person, with those removed of this name or merged into them; returns the faces.

    So are their names in the logs, rejections of their faces, chips, photos of nobody else, and
    what the doctor laid aside: whole damaged databases, since nobody knows what is in them.
    `Database.clean` has to follow: it overwrites what was freed. Raises PersonError if nobody bears
    the name or bore it, except people who were merged into somebody else.
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
    """The date in UTC, by this machine's clock."""
    return datetime.now(UTC).date()


def expired(database: Database, on: date) -> list[PurgeTarget]:
    """Everybody whose last day was before this one, by name: `purge_expired` deletes them."""
    with database.read() as connection:
        return _targets(connection, _reached(connection, _due(connection, on)))


def purge_expired(database: Database, on: date) -> list[PurgeTarget]:
    """Purge everybody whose last day was before this one; returns who they were, by name."""
    if not expired(database, on):
        return []
    detail: dict[str, Any] = {}
    with database.write("purge", detail) as connection:
        due = _due(connection, on)
        gone = _targets(connection, _reached(connection, due))
        detail["faces"] = _purge(database, connection, due)
    return gone


def unfinished(database: Database) -> bool:
    """Whether what a purge freed is not overwritten yet, or is still in Milvus."""
    with database.read() as connection:
        return any(get_setting(connection, key) is not None for key in (UNCLEAN, MILVUS_UNCLEAN))


# Who is purged


def _of_name(connection: Connection, name: str) -> set[int]:
    """The people who bear a name or bore it, except those who were merged into somebody."""
    return _bearers(connection, name) - _merged(connection).keys()


def _bearers(connection: Connection, name: str) -> set[int]:
    return {number for number, each in rows.plain_names(connection).items() if each == name}


def _due(connection: Connection, on: date) -> set[int]:
    """The people whose last day was before this one. Raises GalleryError for a damaged row."""
    due = {number for number, day in rows.last_days(connection).items() if day < on.isoformat()}
    return due - _merged(connection).keys()


def _merged(connection: Connection) -> dict[int, int]:
    """The people who were merged into another, with that one; a purge deletes them together."""
    undone = events.undone(connection)
    merges = [each for each in events.logged(connection, ["merge"]) if each.number not in undone]
    details = [each.detail for each in merges]
    return {detail["other"]: detail["person"] for detail in details if "person" in detail}


def _check_not_merged(connection: Connection, name: str) -> None:
    """Raises PersonError if a person who bore the name was merged into somebody."""
    merged = _merged(connection)
    for number in sorted(_bearers(connection, name) & merged.keys()):
        while number in merged:
            number = merged[number]
        into = rows.plain_names(connection)[number]
        raise PersonError(
            f"{name}: was merged into {into}; undo the merge (`undo --list` has its number), or "
            f"purge {into}"
        )


def _reached(connection: Connection, numbers: set[int]) -> set[int]:
    """These people, and all removed people who are nothing but a part of them.

    Such a person was merged into one of them, or got faces from one of them that were all given
    back, or holds the faces that were rejected as theirs.
    """
    counts = rows.person_counts(connection)
    removed = {number: each.faces for number, each in counts.items() if each.removed}
    undone = events.undone(connection)
    parts = [
        (event.detail["person"], event.detail["other"])
        for event in events.logged(connection, ("merge", "split", "reject"))
        if "person" in event.detail
        and event.detail.get("other") in removed
        and (event.number in undone) == (event.action == "split")
        and (event.action == "reject" or not removed[event.detail["other"]])
    ]
    found: set[int] = set()
    new = set(numbers)
    while new:
        found |= new
        new = {other for person, other in parts if person in new} - found
    return found


def _targets(connection: Connection, numbers: set[int]) -> list[PurgeTarget]:
    counts = rows.person_counts(connection)
    return sorted(
        (
            PurgeTarget(each.name, each.faces, each.expires, each.removed)
            for number, each in counts.items()
            if number in numbers
        ),
        key=lambda target: (target.name, target.removed),
    )


# Deleting


def _purge(database: Database, connection: Connection, numbers: set[int]) -> int:
    """Delete people within a transaction; returns the number of their faces."""
    everybody = _reached(connection, numbers)
    names = {target.name for target in _targets(connection, everybody)}
    gone = [
        face
        for person in sorted(everybody)
        for face in faces_of_person(database, connection, person, damaged=True)
    ]
    names |= rows.empty_events(connection, everybody, {face.number for face in gone})
    rows.drop_names(connection, names)
    for stored in rejections.of_everybody(database, connection):  # with embeddings of these faces
        said = rejection_of(stored)
        if any(said.bars(face.sha256, face.box, face.embedding) for face in gone):
            rejections.drop(connection, said.number)
    rows.drop_people(connection, everybody)
    forget_all(connection)
    job_spool.forget(connection, names)
    set_setting(connection, UNCLEAN, "purge")
    if get_setting(connection, MILVUS_PREFIX) is not None:
        set_setting(connection, MILVUS_UNCLEAN, "purge")
    _purge_files(database.folder, names)
    return len(gone)


def _purge_files(folder: Path, names: set[str]) -> None:
    """Delete what `gallery doctor --repair` laid aside: damaged databases, notes of lost faces."""
    for path in folder.glob(f"{DAMAGED}*"):
        path.unlink(missing_ok=True)
    shutil.rmtree(folder / WORK, ignore_errors=True)
    for path in folder.glob("doctor-*.jsonl"):
        lines = path.read_text("utf-8", "surrogateescape").splitlines()
        kept = [line for line in lines if not _is_about(line, names)]
        if len(kept) < len(lines):
            partial = path.with_name(f"{path.name}.new")
            text = "".join(f"{line}\n" for line in kept)
            partial.write_text(text, "utf-8", "surrogateescape")
            partial.chmod(0o600)
            partial.replace(path)


def _is_about(line: str, names: set[str]) -> bool:
    """Whether a note may be about one of these people."""
    try:
        return json.loads(line).get("name") in names
    except ValueError:
        return True  # the line was cut off
