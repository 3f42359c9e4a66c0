"""The index of a gallery's people: kept up to date, made anew, dropped, in a file or in Milvus."""

import threading
from contextlib import suppress

from facesearch.core.errors import GalleryError
from facesearch.gallery.info import IndexState
from facesearch.index.base import SearchIndex
from facesearch.index.local_index import LocalIndex
from facesearch.index.milvus import Server
from facesearch.index.milvus_sync import MilvusSync, forget_name, name_of
from facesearch.storage import cache_file
from facesearch.storage.state import State
from facesearch.storage.store import Store


class GalleryIndex:
    """The index of a gallery, brought up to date with the database whenever it is asked for.

    One thread at a time uses it: whoever needs several answers of the same state holds `turn`.
    """

    def __init__(self, store: Store, server: Server | None) -> None:
        """server: of Milvus, if the index is there instead of in a file."""
        self._store = store
        self.turn = threading.RLock()
        self.follower: LocalIndex | MilvusSync = (
            LocalIndex(store) if server is None else MilvusSync(store, server)
        )

    @property
    def state(self) -> State:
        """The state of the gallery that `current` gave an index of."""
        return self.follower.state

    def current(self) -> SearchIndex:
        """The index of the gallery as it is now. Raises GalleryError for a damaged gallery."""
        with self.turn:
            return self.follower.current()

    def prepare(self) -> None:
        """Bring the index and what speeds it up to date. Raises GalleryError."""
        with self.turn:
            self.follower.prepare()

    def distrust(self) -> bool:
        """Whether the index may have been at fault, and is another one next time."""
        with self.turn:
            return isinstance(self.follower, MilvusSync) and self.follower.distrust()

    def close(self) -> None:
        """Let go of files and of memory."""
        with self.turn:
            self.follower.forget()

    def kept(self) -> IndexState:
        """Where the index stands."""
        if self._store.database.engine.templates() is not None:
            return "in the database"
        with self.turn:
            return "current" if self.follower.is_kept() else "to be rebuilt"

    def renew(self) -> None:
        """Make the index anew, so that nothing of somebody who was removed stays in a file.

        What a killed program left goes as well. An index that cannot be made now, without the key
        or from damaged rows, is deleted: the next search makes it, or says why it cannot.
        """
        folder = self._store.database.folder
        derived = [folder / cache_file.STRANGERS, *folder.glob("*.new")]
        if isinstance(self.follower, MilvusSync):
            derived += [folder / name for name in cache_file.NAMES]  # of the time before Milvus
        with self.turn:
            for path in derived:
                with suppress(IsADirectoryError, PermissionError):
                    path.unlink(missing_ok=True)
            try:
                if self._store.database.unlocked:
                    self.current()
                    return
            except GalleryError:
                pass
            with suppress(OSError):
                cache_file.clear(folder)

    def overwrite(self) -> None:
        """Overwrite what a purge freed, here and in Milvus.

        Raises GalleryError if another program is in the way, or if Milvus cannot be reached.
        """
        name = self._store.database.name
        try:
            done = self._store.database.clean()
        finally:
            self.renew()
        if not done:
            raise GalleryError(
                f"{name}: the purge is done, but another program is reading, so that what "
                "was removed is not overwritten yet; the next start without one does it, or "
                "`facesearch gallery purge-expired`"
            )
        if isinstance(self.follower, MilvusSync):
            with self.turn:
                self.follower.clean()
        elif name_of(self._store) is not None:
            raise GalleryError(
                f"{name}: the purge is done here, but Milvus may hold what was removed; set "
                "MILVUS_URI and run `facesearch gallery purge-expired`, or, if that server is gone "
                "for good, `facesearch gallery leave-milvus --lost`"
            )

    def leave_milvus(self, *, lost: bool) -> None:
        """See `Gallery.leave_milvus`."""
        name = self._store.database.name
        if name_of(self._store) is None:
            raise GalleryError(f"{name}: has nothing in Milvus")
        if lost:
            forget_name(self._store)
        elif isinstance(self.follower, MilvusSync):
            with self.turn:
                self.follower.leave()
        else:
            raise GalleryError(
                f"{name}: set MILVUS_URI to the server to leave, or say --lost if it is "
                "gone for good"
            )
