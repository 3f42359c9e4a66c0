"""The audit log: who was searched for and when. No face data, no file names."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from facesearch.core.errors import GalleryError
from facesearch.storage.database import Database
from facesearch.storage.preferences import preference
from facesearch.storage.row_checksums import SEARCHES
from facesearch.storage.schema import searches
from facesearch.storage.settings import now


@dataclass(frozen=True, slots=True)
class Search:
    """A photo that was searched for in a gallery."""

    at: str  # ISO 8601, UTC
    command: str
    faces: int  # that were found in it
    names: list[str]  # in the answers, sorted


def check_recordable(database: Database) -> None:
    """Raises GalleryError if searches have to be recorded and cannot be."""
    if preference(database, "audit") == "on" and not database.writable:
        raise GalleryError(
            f"{database.name}: searches of this gallery are recorded, but it cannot be "
            "written to; nothing was searched"
        )


def record(database: Database, command: str, faces: int, names: Collection[str]) -> None:
    """Before the answers are given out; nothing if searches are not recorded.

    Raises GalleryError if it cannot be written.
    """
    if preference(database, "audit") == "off":
        return
    detail = {"command": command, "faces": faces, "names": sorted(set(names))}
    with database.append() as connection:
        connection.execute(searches.insert().values(at=now(), detail=detail))


def searched(database: Database, since: datetime | None = None) -> list[Search]:
    """The log, oldest first; since: without a zone it is UTC. Raises GalleryError if damaged."""
    query = SEARCHES.select()
    if since is not None:
        zoned = since if since.tzinfo else since.replace(tzinfo=UTC)
        query = query.where(searches.c.at >= zoned.astimezone(UTC).isoformat(timespec="seconds"))
    with database.read() as connection:
        found = []
        for row in connection.execute(query):
            SEARCHES.check(row)
            found.append(Search(row.at, **json.loads(row.detail)))
        return found
