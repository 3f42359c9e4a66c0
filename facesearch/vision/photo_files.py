"""Finds the photos in folders, and in a folder with a folder per person."""

import os
from collections.abc import Iterable
from pathlib import Path

from facesearch.core.errors import DataError

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .bmp .gif .tif .tiff .heic .heif .avif .ppm .pgm .jp2".split()
)


def photos_in(folder: Path) -> list[Path]:
    """The files below `folder` whose suffix is an image's, sorted, without hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def expand(paths: Iterable[Path]) -> list[Path]:
    """The paths in order, each once, with every folder replaced by the photos in it.

    A path that does not exist and a folder without a photo stay: reading them raises the error.
    """
    found: dict[Path, None] = {}
    for path in paths:
        inside = photos_in(path) if os.path.isdir(path) else []  # noqa: PTH112 - never raises
        found.update(dict.fromkeys(inside or [path]))
    return list(found)


People = dict[str, list[Path]]  # a person's name to their photos


def people_in(folder: Path) -> People:
    """The photos of a folder that holds a folder per person. Raises DataError if there are none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    people = {
        inner.name: photos
        for inner in sorted(folder.iterdir())
        if inner.is_dir() and not inner.name.startswith(".") and (photos := photos_in(inner))
    }
    if not people:
        raise DataError(f"{folder}: no folder of photos in it; give a folder with one per person")
    return people


def all_photos(people: People) -> list[Path]:
    """The photos of everybody, person after person."""
    return [photo for photos in people.values() for photo in photos]
