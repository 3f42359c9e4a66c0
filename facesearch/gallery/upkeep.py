"""Looking after a gallery on its own machine: archives, another model, encryption, moved photos."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facesearch.core.lazy import LazyModule
from facesearch.core.paths import AnyPath
from facesearch.core.progress import Progress, Silent
from facesearch.gallery.info import GalleryInfo, gallery_info
from facesearch.gallery.opened import OpenGallery
from facesearch.storage import audit_log, cache_file, preferences
from facesearch.storage.vault import Secret

if TYPE_CHECKING:
    from facesearch.gallery import (
        archive_export,
        archive_format,
        archive_import,
        encryption,
        reindex,
        relink,
        reviewing,
    )
    from facesearch.gallery.archive_format import Archive
    from facesearch.gallery.archive_import import Merged
    from facesearch.gallery.archive_records import Contents
    from facesearch.gallery.reindex import Reindexed
    from facesearch.gallery.relink import Link
else:
    archive_export = LazyModule("facesearch.gallery.archive_export")
    archive_format = LazyModule("facesearch.gallery.archive_format")
    archive_import = LazyModule("facesearch.gallery.archive_import")
    encryption = LazyModule("facesearch.gallery.encryption")
    reindex = LazyModule("facesearch.gallery.reindex")
    relink = LazyModule("facesearch.gallery.relink")
    reviewing = LazyModule("facesearch.gallery.reviewing")


class GalleryUpkeep(OpenGallery):
    """The gallery as a whole: its state, its settings, its files."""

    def info(self) -> GalleryInfo:
        """Sizes, the model of the embeddings, the index and the settings."""
        return gallery_info(
            self._store, self._index.kept(), reindex.unfinished(self._store.database)
        )

    def review(
        self, *, fpir: float | None = None, photos: bool = True, progress: Progress | None = None
    ) -> Iterator[dict[str, Any]]:
        """What is probably wrong, as rows, see `Finding`; the last row is what strangers find.

        Remembered until the gallery changes. fpir: the accepted error of a search. photos: open
        the photos of two faces that may be of one picture. Raises GalleryError if nobody is
        enrolled, or for another model, and ModelError without a calibration.
        """
        model = self.recognizer.model
        self._search.check_model(model)
        key = self._store.revision(), model.fingerprint, fpir, photos
        rows = self._reviewed.get(
            key,
            lambda: reviewing.review_rows(
                self._store, self._search, self.recognizer, fpir, photos, progress or Silent()
            ),
        )
        yield from (dict(row) for row in rows)

    def searches(self, since: datetime | None = None) -> list[audit_log.Search]:
        """What was searched for, the oldest first, as far as it was recorded."""
        return audit_log.searched(self._store.database, since)

    def set_preference(self, key: str, value: str) -> None:
        """Change a setting. Raises GalleryError for one that there is not."""
        preferences.prefer(self._store.database, key, value)
        if key == "search":
            cache_file.clear(self.folder)

    def photo_folders(self) -> list[str]:
        """Where the enrolled photos are, each folder with its last separator."""
        return self._store.photo_folders()

    def relink(self, folder: AnyPath, *, progress: Progress | None = None) -> "list[Link]":
        """Find enrolled photos that were moved, below a folder. Raises PhotoError, GalleryError."""
        return relink.relink(self._store.database, Path(folder), progress or Silent())

    def drop_chips(self) -> int:
        """Delete every kept chip; returns how many there were."""
        return self._store.drop_chips()

    def reindex(
        self, *, drop_missing: bool = False, progress: Progress | None = None
    ) -> "Reindexed":
        """Give the gallery the model that it is open with; see `facesearch.gallery.reindex`."""
        embedder = self.recognizer.embedder
        done = reindex.reindex(
            self._store, embedder, progress or Silent(), drop_missing=drop_missing
        )
        self.prepare()
        return done

    def export(self, file: AnyPath, *, chips: bool = False, force: bool = False) -> "Contents":
        """Write everything to one archive. chips: also the kept ones. force: overwrite the file."""
        return archive_export.export(self._store, Path(file), chips=chips, force=force)

    def import_archive(self, archive: "Archive | AnyPath") -> "Merged":
        """Add what an archive holds. Raises GalleryError for another model or a damaged one."""
        if isinstance(archive, str | os.PathLike):
            with archive_format.Archive(Path(archive)) as opened:
                return self.import_archive(opened)
        merged = archive_import.merge(self._store, archive)
        self.prepare()
        return merged

    def encrypt(self, secret: Secret) -> None:
        """Encrypt face data from now on. Raises GalleryError, see `encryption.encrypt`."""
        encryption.encrypt(self._store.database, secret)

    def decrypt(self) -> None:
        """Make face data plain again. Raises GalleryError, see `encryption.decrypt`."""
        encryption.decrypt(self._store.database)

    def rekey(self, secret: Secret) -> None:
        """Open it with another secret from now on. Raises GalleryError, see `encryption.rekey`."""
        encryption.rekey(self._store.database, secret)

    def leave_milvus(self, *, lost: bool = False) -> None:
        """Drop what Milvus has of this gallery; lost: of a server that is gone for good.

        Raises GalleryError if there is nothing, or if the server cannot be reached.
        """
        self._index.leave_milvus(lost=lost)
