"""Finding photos that were moved, by their content."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from facesearch.core.errors import PhotoError
from facesearch.core.progress import Progress
from facesearch.storage.database import Database
from facesearch.storage.faces import set_path
from facesearch.storage.photos import photo_rows
from facesearch.vision import images, photo_files


@dataclass(frozen=True, slots=True)
class Link:
    """Where an enrolled photo is."""

    photo: Path
    was: Path  # where it was when it was enrolled, or linked the last time
    status: Literal["unchanged", "relinked", "missing"]


def relink(database: Database, folder: Path, progress: Progress) -> list[Link]:
    """Search a folder for the photos that are not where they were, and note where they are now.

    A photo is known by its SHA-256: its name and date do not matter, and another photo in its old
    place is not taken for it. Hidden files are left out. Returns all photos of the gallery, ordered
    by their old paths. Raises PhotoError if there is no such folder.
    """
    if not folder.is_dir():
        raise PhotoError(f"{folder}: no such folder")
    database.check_writable()
    with database.read() as connection:
        rows = photo_rows(connection)
    progress.start("checking the enrolled photos", len(rows))
    lost: dict[str, Path] = {}  # by hash
    for row in rows:
        if _hash(row.path) != row.sha256:
            lost[row.sha256] = row.path
        progress.advance()
    found = _search(folder.absolute(), lost, progress) if lost else {}
    if found:
        with database.write("relink", {"photos": len(found)}) as connection:
            for row in photo_rows(connection):  # some may have been purged since
                if row.sha256 in found:
                    set_path(connection, row.number, found[row.sha256], row.sha256)
    links = []
    for row in rows:
        if row.sha256 not in lost:
            links.append(Link(row.path, row.path, "unchanged"))
        elif row.sha256 in found:
            links.append(Link(found[row.sha256], row.path, "relinked"))
        else:
            links.append(Link(row.path, row.path, "missing"))
    return links


def _search(folder: Path, lost: dict[str, Path], progress: Progress) -> dict[str, Path]:
    """The lost photos that a folder holds, by their hash.

    Files of the same name are tried first, and the search ends when all are found.
    """
    names = {path.name for path in lost.values()}
    files = sorted(_files(folder, {path.suffix.lower() for path in lost.values()}))
    progress.start("searching the folder", len(files))
    found: dict[str, Path] = {}
    for path in sorted(files, key=lambda path: path.name not in names):
        sha256 = _hash(path)
        if sha256 in lost and sha256 not in found:
            found[sha256] = path
        progress.advance()
        if len(found) == len(lost):
            break
    return found


def _files(folder: Path, suffixes: set[str]) -> Iterator[Path]:
    wanted = photo_files.SUFFIXES | suffixes
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in wanted and not hidden and path.is_file():
            yield path


def _hash(path: Path) -> str | None:
    try:
        return images.sha256(path)
    except PhotoError:
        return None
