"""Keeps the paths of this machine out of what a client is sent."""

from dataclasses import replace

from facesearch.enrollment.results import EnrolledPhoto
from facesearch.gallery.gallery import Gallery


def redacted(line: str, gallery: Gallery) -> str:
    """Return a message without the folders of this machine; photos keep their file names."""
    line = line.replace(str(gallery.folder / "gallery.db"), "the gallery")
    line = line.replace(str(gallery.folder), "the gallery")
    if "/" not in line and "\\" not in line:
        return line
    for folder in sorted(gallery.photo_folders(), key=len, reverse=True):
        line = line.replace(folder, "")
    return line


def redacted_result(result: EnrolledPhoto, gallery: Gallery) -> EnrolledPhoto:
    """Return what became of a photo with its reason redacted."""
    return replace(result, reason=redacted(result.reason, gallery))
