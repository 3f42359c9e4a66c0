"""An open gallery: its database, its index and its model, each loaded when it is needed first."""

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from facesearch.core.latest import Latest
from facesearch.core.lazy import LazyModule
from facesearch.core.paths import DETAIL, MIN_FACE
from facesearch.gallery.known_rejections import KnownRejections
from facesearch.gallery.recognizer import Recognizer, recognizer
from facesearch.index import milvus
from facesearch.storage.job_spool import JobSpool
from facesearch.storage.records import Person
from facesearch.storage.store import Store
from facesearch.storage.vault import Keys, Vault, from_environment

if TYPE_CHECKING:
    from facesearch.gallery import gallery_index, search
    from facesearch.gallery.gallery_index import GalleryIndex
    from facesearch.gallery.search import Search
else:
    gallery_index = LazyModule("facesearch.gallery.gallery_index")
    search = LazyModule("facesearch.gallery.search")


class OpenGallery:
    """What every method of a gallery works with. Several threads may use it at once."""

    def __init__(
        self,
        where: str | os.PathLike[str],
        *,
        create: bool = True,
        model: str | Path | None = None,
        detector: str | None = None,
        precision: str | None = None,
        detail: int = DETAIL,
        min_face: float = MIN_FACE,
        keys: Keys = from_environment,
        recognizer: Recognizer | None = None,
    ) -> None:
        """Open the gallery of a folder, or of a PostgreSQL URL.

        create: make one where there is none. model, detector, precision, detail, min_face: see
        `Recognizer`; they are looked at when a photo is. keys: asked for what opens an encrypted
        gallery, when face data is needed first. recognizer: one that exists already, instead.
        The index is in Milvus if MILVUS_URI is set. Raises GalleryError if there is no gallery and
        none is to be made.
        """
        place = where if isinstance(where, str) and "://" in where else Path(where)
        self._store = Store(place, create=create, keys=keys)
        self.name = self._store.database.name  # for messages: the folder, or the URL
        self.folder = self._store.database.folder  # of the index and other caches
        self._server = milvus.chosen()
        self._model = model, detector, precision, detail, min_face
        self._recognizer = recognizer
        self._loading = threading.RLock()
        self._opened_index: GalleryIndex | None = None
        self._opened_search: Search | None = None
        self._rejections = KnownRejections(self._store)
        self._people: Latest[list[Person]] = Latest()
        self._typical: Latest[dict[str, int | None]] = Latest()
        self._reviewed: Latest[list[dict[str, Any]]] = Latest()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files. The model stays loaded for the next gallery of this process."""
        with self._loading:
            if self._opened_index is not None:
                self._opened_index.close()
        self._store.close()

    @property
    def recognizer(self) -> Recognizer:
        """The model with which this gallery was opened. Raises ModelError if there is none."""
        with self._loading:
            if self._recognizer is None:
                self._recognizer = recognizer(*self._model)
            return self._recognizer

    @property
    def vault(self) -> Vault:
        """What encrypts face data here. Raises GalleryError without the key."""
        return self._store.database.vault

    @property
    def jobs(self) -> JobSpool:
        """The jobs of a service that enrols photos in the background."""
        return JobSpool(self._store.database)

    def unlock(self) -> None:
        """Ask for the key of an encrypted gallery now. Raises GalleryError without it."""
        _ = self.vault

    def check_model(self) -> None:
        """Raises GalleryError if the gallery was enrolled with another model than this one."""
        self._search.check_model(self.recognizer.model)

    def prepare(self) -> None:
        """Bring the index up to date before the first search. Raises GalleryError if damaged."""
        self._index.prepare()

    @property
    def _index(self) -> "GalleryIndex":
        with self._loading:
            if self._opened_index is None:
                self._opened_index = gallery_index.GalleryIndex(self._store, self._server)
            return self._opened_index

    @property
    def _search(self) -> "Search":
        with self._loading:
            if self._opened_search is None:
                self._opened_search = search.Search(self._store, self._index, self._rejections)
            return self._opened_search
