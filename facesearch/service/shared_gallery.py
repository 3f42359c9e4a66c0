"""A gallery and an embedder that many threads use."""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from facesearch.core.errors import PhotoError, TooManyPixels
from facesearch.core.progress import Silent
from facesearch.core.uploads import Upload
from facesearch.gallery.legacy import Gallery
from facesearch.index.base import SearchIndex
from facesearch.matching.calibration import Calibration
from facesearch.matching.decision import Candidate
from facesearch.matching.rejection import Rejection
from facesearch.matching.thresholds import ImpostorScores
from facesearch.service.settings import Limits
from facesearch.storage.records import Person
from facesearch.storage.vault import Keys
from facesearch.vision import images
from facesearch.vision.embedder import Embedder
from facesearch.vision.face_reader import AlignedPhoto
from facesearch.vision.model import Model


class SharedGallery(Gallery):
    """One gallery for all threads of a process.

    The database serves each thread by itself. The index and what is remembered for a revision are
    looked at by one thread at a time: that takes a millisecond, where the network takes many.
    """

    def __init__(self, where: Path | str, keys: Keys) -> None:
        self._turn = threading.RLock()
        self._searched: tuple[str, str, ImpostorScores] | None = None  # at which revision, by whom
        self._people: tuple[str, list[Person]] | None = None
        self._reviewing = threading.Lock()
        self._review: tuple[tuple[str, str, float | None], list[dict[str, Any]]] | None = None
        self._typical: tuple[str, dict[str, int | None]] = ("", {})
        super().__init__(where, create=True, keys=keys)

    @override
    def _current_index(self) -> SearchIndex:
        with self._turn:
            return super()._current_index()

    @override
    def _nearest_each(
        self,
        faces: Sequence[Any],
        count: int,
        calibration: Calibration,
        *,
        exact: bool = False,
    ) -> list[list[Candidate]]:
        with self._turn:
            return super()._nearest_each(faces, count, calibration, exact=exact)

    @override
    def refresh(self) -> None:
        with self._turn:
            super().refresh()

    @override
    def _renew_caches(self) -> None:
        with self._turn:
            super()._renew_caches()

    @override
    def rejections(self) -> list[Rejection]:
        with self._turn:
            return super().rejections()

    @override
    def impostor_scores(self, model: Model) -> ImpostorScores:
        with self._turn:
            self._current_index()
            known = self._searched
            if known is None or known[:2] != (self._following.state.revision, model.fingerprint):
                found = super().impostor_scores(model)
                known = self._searched = self._following.state.revision, model.fingerprint, found
            return known[2]

    @override
    def people(self) -> list[Person]:
        revision = self._store.revision()
        known = self._people
        if known is None or known[0] != revision:
            known = self._people = revision, super().people()
        return known[1]

    def reviewed(self, model: Model, fpir: float | None) -> list[dict[str, Any]]:
        """The rows of `review`, remembered until the gallery changes; a copy of each."""
        key = self._store.revision(), model.fingerprint, fpir
        with self._reviewing:
            if self._review is None or self._review[0] != key:
                self._review = key, list(self.review(model, Silent(), fpir))
            return [dict(row) for row in self._review[1]]

    def typical_face(self, name: str) -> int | None:
        """The number of the face nearest to the person's template; None for one without faces.

        Raises PersonError.
        """
        revision = self._store.revision()
        if self._typical[0] != revision:
            self._typical = revision, {}
        known = self._typical[1]
        if name not in known:
            faces = self.profile(name).faces
            nearest = min(faces, key=lambda each: each.distance, default=None)
            known[name] = nearest.face.number if nearest else None
        return known[name]


class GuardedEmbedder(Embedder):
    """Reads no photo beyond the limits."""

    def __init__(self, model: Model, limits: Limits, detail: int, min_face: float) -> None:
        super().__init__(model, detail, min_face)
        self._limits = limits

    @override
    def read(self, path: Path, *, keep: bool = False) -> AlignedPhoto:
        width, height = images.size(path)
        if width * height > self._limits.pixels:
            raise TooManyPixels(
                f"{path}: {width} x {height} pixels, more than the "
                f"{self._limits.pixels / 1e6:g} million allowed; shrink it first"
            )
        portrait = super().read(path, keep=keep)
        if len(portrait.faces) > self._limits.faces:
            raise PhotoError(
                f"{path}: {len(portrait.faces)} faces, more than the {self._limits.faces} allowed; "
                "cut it into parts"
            )
        if isinstance(path, Upload):
            path.size = portrait.width, portrait.height
        return portrait
