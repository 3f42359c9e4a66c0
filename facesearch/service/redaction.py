"""Keeps the paths of this machine out of what a client is sent."""

from pathlib import Path

from facesearch.gallery.legacy import Gallery


def redacted(line: str, gallery: Gallery) -> str:
    """Return a message without the folders of this machine; photos keep their file names."""
    line = line.replace(str(gallery.folder / "gallery.db"), "the gallery")
    line = line.replace(str(gallery.folder), "the gallery")
    if "/" not in line and "\\" not in line:
        return line
    for folder in sorted(gallery.photo_folders(), key=len, reverse=True):
        line = line.replace(folder, "")
    return line


def name_of(path: Path) -> str:
    """Return the file name of a photo, without its folder."""
    return path.name
