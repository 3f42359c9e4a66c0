"""Near copies: photos of a person that are one picture, saved again, resized or cropped."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import PhotoError
from facesearch.core.face import Face
from facesearch.vision.near_duplicates import Sketch, copies, sketch

PHOTOS_COMPARED = 3  # whose faces lie nearest to a face and are opened to compare the pictures
SKETCHES_KEPT = 256  # in memory


@dataclass(frozen=True, slots=True)
class KnownPicture:
    """A face of a person that is enrolled, or will be, with the photo that it is from."""

    embedding: Embeddings  # (D,)
    path: Path
    face: Face


class CopyFinder:
    """Finds the picture that a photo is a copy of, among those of its person."""

    def __init__(self, limit: float) -> None:
        """limit: the distance within which two faces may be of one picture."""
        self._limit = limit
        self._known: dict[str, list[KnownPicture]] = {}  # by the person's name
        self._sketches: dict[tuple[Path, Face], Sketch | None] = {}

    def add(self, name: str, picture: KnownPicture) -> None:
        """A picture of a person that later ones are compared with."""
        self._known.setdefault(name, []).append(picture)

    def forget(self, name: str) -> None:
        """Let go of a person's pictures."""
        self._known.pop(name, None)

    def original(self, name: str, picture: KnownPicture) -> KnownPicture | None:
        """The picture of this person that another one is a copy of; None if it is new."""
        known = self._known.get(name)
        if not known:
            return None
        apart = np.linalg.norm(
            np.stack([one.embedding for one in known]) - picture.embedding, axis=1
        )
        for number in np.argsort(apart, kind="stable")[:PHOTOS_COMPARED]:
            if apart[number] > self._limit:
                break
            other = known[int(number)]
            mine, theirs = self._sketch(picture), self._sketch(other)
            if mine is not None and theirs is not None and copies(mine, theirs):
                return other
        return None

    def _sketch(self, picture: KnownPicture) -> Sketch | None:
        """None if the photo is gone."""
        key = (picture.path, picture.face)
        if key not in self._sketches:
            if len(self._sketches) >= SKETCHES_KEPT:
                self._sketches.pop(next(iter(self._sketches)))
            try:
                self._sketches[key] = sketch(picture.path, picture.face)
            except PhotoError:
                self._sketches[key] = None
        return self._sketches[key]
