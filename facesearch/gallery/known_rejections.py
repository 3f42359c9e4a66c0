"""The rejections of a gallery, remembered while nobody changes it."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from facesearch.core.embedded import EmbeddedFace
from facesearch.core.latest import Latest
from facesearch.core.lazy import LazyModule
from facesearch.gallery.rejections import rejected
from facesearch.matching.rejection import Rejection, barred
from facesearch.storage.store import Store

if TYPE_CHECKING:
    from facesearch.vision import images
else:
    images = LazyModule("facesearch.vision.images")


class KnownRejections:
    """What users said: this face is not that person's. Several threads may ask."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._latest: Latest[list[Rejection]] = Latest()

    def all(self) -> list[Rejection]:
        """Every rejection, in the order in which they were made."""
        return self._latest.get(self._store.revision(), partial(rejected, self._store.database))

    def barred(self, path: Path, faces: list[EmbeddedFace]) -> list[set[str]]:
        """For each face of a photo the people as whose it was rejected. Raises PhotoError."""
        known = self.all()
        sha256 = images.sha256(path) if known else ""
        return [barred(known, sha256, seen.face.box, seen.embedding) for seen in faces]
