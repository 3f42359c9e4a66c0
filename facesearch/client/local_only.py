"""What only a gallery on its own machine can do: each of these raises GalleryError."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from facesearch.core.errors import GalleryError
from facesearch.core.paths import AnyPath
from facesearch.core.photos import Photo
from facesearch.core.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable

    from facesearch.gallery.archive_format import Archive
    from facesearch.gallery.archive_import import Merged
    from facesearch.gallery.archive_records import Contents
    from facesearch.gallery.enrolling import GroupEnrolled
    from facesearch.gallery.reindex import Reindexed
    from facesearch.gallery.relink import Link
    from facesearch.gallery.unknown_faces import Unknown, UnknownFace
    from facesearch.storage.vault import Secret


class LocalOnly:
    """The methods of `Gallery` that need its files, its key or its settings, or all photos at once.

    Settings are among them because an administrator of the service must not be able to turn off
    the record of searches from afar.
    """

    url: str

    def _needs_its_machine(self, what: str) -> NoReturn:
        raise GalleryError(f"{self.url}: a service; {what} needs the gallery's own machine")

    def set_preference(self, key: str, value: str) -> None:
        """Raises GalleryError: a setting is changed on the gallery's own machine."""
        self._needs_its_machine("set_preference")

    def photo_folders(self) -> list[str]:
        """Raises GalleryError: a service does not tell where its photos are."""
        self._needs_its_machine("photo_folders")

    def relink(self, folder: AnyPath, *, progress: Progress | None = None) -> "list[Link]":
        """Raises GalleryError: photos are found on the gallery's own machine."""
        self._needs_its_machine("relink")

    def drop_chips(self) -> int:
        """Raises GalleryError: chips are deleted on the gallery's own machine."""
        self._needs_its_machine("drop_chips")

    def reindex(
        self, *, drop_missing: bool = False, progress: Progress | None = None
    ) -> "Reindexed":
        """Raises GalleryError: a gallery is given another model on its own machine."""
        self._needs_its_machine("reindex")

    def export(self, file: AnyPath, *, chips: bool = False, force: bool = False) -> "Contents":
        """Raises GalleryError: an archive is written on the gallery's own machine."""
        self._needs_its_machine("export")

    def import_archive(self, archive: "Archive | AnyPath") -> "Merged":
        """Raises GalleryError: an archive is read on the gallery's own machine."""
        self._needs_its_machine("import_archive")

    def encrypt(self, secret: "Secret") -> None:
        """Raises GalleryError: a key stays on the gallery's own machine."""
        self._needs_its_machine("encrypt")

    def decrypt(self) -> None:
        """Raises GalleryError: a key stays on the gallery's own machine."""
        self._needs_its_machine("decrypt")

    def rekey(self, secret: "Secret") -> None:
        """Raises GalleryError: a key stays on the gallery's own machine."""
        self._needs_its_machine("rekey")

    def leave_milvus(self, *, lost: bool = False) -> None:
        """Raises GalleryError: the index is kept by the gallery's own machine."""
        self._needs_its_machine("leave_milvus")

    def group_unknown(
        self, photos: "Photo | Iterable[Photo]", *, progress: Progress | None = None
    ) -> "Unknown":
        """Raises GalleryError: faces are grouped on the gallery's own machine."""
        self._needs_its_machine("group_unknown")

    def enroll_group(self, name: str, faces: "Sequence[UnknownFace]") -> "GroupEnrolled":
        """Raises GalleryError: groups are enrolled on the gallery's own machine."""
        self._needs_its_machine("enroll_group")
