"""Reading photos and finding the faces on them: the interface, and this machine's own way."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from facesearch.core.errors import PhotoError
from facesearch.enrollment.journal import PhotoScan
from facesearch.vision import images
from facesearch.vision.embedder import Embedder, in_order


class PhotoReader(Protocol):
    """Reads photos in their order, ahead of whoever asks for them."""

    def hashes(self, paths: Sequence[Path]) -> Iterator[str | PhotoError]:
        """The SHA-256 of each photo, or why it cannot be opened."""

    def scans(
        self, photos: Sequence[tuple[Path, str]], *, keep: bool
    ) -> Iterator[PhotoScan | PhotoError]:
        """What is on each photo, given with its SHA-256. keep: with chips to store."""


class LocalReader:
    """Reads photos in this process, on all cores."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def hashes(self, paths: Sequence[Path]) -> Iterator[str | PhotoError]:
        """See PhotoReader."""
        return (sha256 for _, sha256 in in_order(images.sha256, paths))

    def scans(
        self, photos: Sequence[tuple[Path, str]], *, keep: bool
    ) -> Iterator[PhotoScan | PhotoError]:
        """See PhotoReader."""

        def scan(photo: tuple[Path, str]) -> PhotoScan:
            return scan_photo(self._embedder, *photo, keep=keep)

        return (found for _, found in in_order(scan, photos))


def scan_photo(embedder: Embedder, path: Path, sha256: str, *, keep: bool) -> PhotoScan:
    """Find the faces on a photo. keep: with chips to store. Raises PhotoError."""
    seen = embedder.embed_photo(path, keep=keep)
    return PhotoScan(path, sha256, seen.width, seen.height, seen.faces)
