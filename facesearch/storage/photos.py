"""The rows of photos, as moving them asks for them."""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from facesearch.storage.schema import faces, photos


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """A photo of which a face is stored."""

    number: int
    path: Path  # where it was when it was enrolled, or linked the last time
    sha256: str


def photo_rows(connection: sa.Connection) -> list[PhotoRow]:
    """All photos, ordered by path."""
    query = sa.select(photos.c.id, photos.c.path, photos.c.sha256).order_by(photos.c.path)
    return [PhotoRow(row.id, row.path, row.sha256) for row in connection.execute(query)]


def drop_photos_without_faces(connection: sa.Connection, *, after: int = 0) -> None:
    """Delete the photos that show nobody. after: only those with larger numbers."""
    unused = photos.c.id.not_in(sa.select(faces.c.photo))
    connection.execute(photos.delete().where(photos.c.id > after, unused))
