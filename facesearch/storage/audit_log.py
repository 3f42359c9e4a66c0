"""The audit log: which searches were made, when, and whom they named. No face data or files."""

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
    """One search: a photo whose faces were looked up in the gallery."""

    at: str  # ISO 8601, UTC
    command: str
    faces: int  # found in the photo
    names: list[str]  # of people in the answers, sorted


def check_recordable(database: Database) -> None:
    """Raises GalleryError if searches must be recorded but the gallery cannot be written to."""
    if preference(database, "audit") == "on" and not database.writable:
        raise GalleryError(
            f"{database.name}: searches of this gallery are recorded, but it cannot be "
            "written to; nothing was searched"
        )


def record(database: Database, command: str, faces: int, names: Collection[str]) -> None:
    """Record a search before its answers are given out, if the gallery records searches.

    Raises GalleryError if that fails.
    """
    if preference(database, "audit") == "off":
        return
    detail = {"command": command, "faces": faces, "names": sorted(set(names))}
    with database.append() as connection:
        connection.execute(searches.insert().values(at=now(), detail=detail))


def searched(database: Database, since: datetime | None = None) -> list[Search]:
    """All recorded searches, oldest first. Raises GalleryError for a damaged row.

    since: only later ones; a time without a zone is UTC.
    """
    query = SEARCHES.select()
    if since is not None:
        zoned = since if since.tzinfo else since.replace(tzinfo=UTC)
        query = query.where(searches.c.at >= zoned.astimezone(UTC).isoformat(timespec="seconds"))
    with database.read() as connection:
        found = []
        for row in SEARCHES.checked(connection.execute(query)):
            found.append(Search(row.at, **json.loads(row.detail)))
        return found
