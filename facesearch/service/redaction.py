"""What a client is not told: where on the server things are."""

from pathlib import Path

from facesearch.gallery.gallery import Gallery


def redacted(line: str, gallery: Gallery) -> str:
    """A reason without the folders of this machine; photos keep their bare names."""
    line = line.replace(str(gallery.folder / "gallery.db"), "the gallery")
    line = line.replace(str(gallery.folder), "the gallery")
    if "/" not in line and "\\" not in line:
        return line
    for folder in sorted(gallery.photo_folders(), key=len, reverse=True):
        line = line.replace(folder, "")
    return line


def name_of(path: Path) -> str:
    """How a photo's path is told."""
    return path.name
