"""A gallery whose parts tests may use: its store, its index, the people near a face."""

from facesearch.core.embedded import EmbeddedFace
from facesearch.core.progress import Progress, Silent
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.gallery_index import GalleryIndex
from facesearch.gallery.recognizer import Recognizer
from facesearch.gallery.reindex import Reindexed
from facesearch.matching.calibration import Calibration
from facesearch.matching.decision import Candidate
from facesearch.matching.thresholds import ImpostorScores
from facesearch.storage.store import Store
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model


class InsideGallery(Gallery):
    """A Gallery, with what is inside it."""

    @property
    def store(self) -> Store:
        return self._store

    @property
    def index(self) -> GalleryIndex:
        return self._index

    def near(self, face: EmbeddedFace, count: int, calibration: Calibration) -> list[Candidate]:
        """The `count` people nearest to a face, nearest first."""
        return self._search.nearest([face], count, calibration)[0]

    def impostor_scores(self, model: Model) -> ImpostorScores:
        return self._search.impostor_scores(model)

    def reindex_to(
        self, embedder: Embedder, progress: Progress | None = None, *, drop_missing: bool = False
    ) -> Reindexed:
        """Give the gallery another model, and go on with that one."""
        before, self._recognizer = self._recognizer, Recognizer.of(embedder)
        try:
            return self.reindex(drop_missing=drop_missing, progress=progress or Silent())
        except BaseException:
            self._recognizer = before
            raise
