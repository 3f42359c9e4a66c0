"""What a user does with the people of a gallery: list, show, correct, remove, undo, purge."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from facesearch.core.arrays import Pixels
from facesearch.core.errors import PersonError
from facesearch.core.lazy import LazyModule
from facesearch.core.names import clean_name
from facesearch.core.photos import Photo
from facesearch.gallery import curation, rejections, undo
from facesearch.gallery.change import Change, Rejected
from facesearch.gallery.opened import OpenGallery
from facesearch.gallery.profile import PersonProfile, person_profile
from facesearch.gallery.rejections import Contradiction
from facesearch.matching.rejection import Rejection
from facesearch.storage.records import Person

if TYPE_CHECKING:
    from facesearch.gallery import face_picture, purge, rejecting
    from facesearch.gallery.purge import PurgeTarget
else:
    face_picture = LazyModule("facesearch.gallery.face_picture")
    purge = LazyModule("facesearch.gallery.purge")
    rejecting = LazyModule("facesearch.gallery.rejecting")


class GalleryPeople(OpenGallery):
    """The people of a gallery. Whatever is done to them gives a Change, which `undo` takes back."""

    def __len__(self) -> int:
        """How many people are enrolled."""
        return len(self.people())

    def __bool__(self) -> bool:
        """True, whether or not somebody is enrolled."""
        return True

    def __iter__(self) -> Iterator[Person]:
        """The people, by name."""
        return iter(self.people())

    def __contains__(self, name: object) -> bool:
        """Whether somebody of this name is enrolled."""
        try:
            return isinstance(name, str) and bool(self._store.enrolled([clean_name(name)]))
        except PersonError:
            return False

    def __getitem__(self, name: str) -> PersonProfile:
        """A person with their faces. Raises UnknownPerson, which is a KeyError, too."""
        return person_profile(self._store.database, self.person(name), self.picture)

    def people(self) -> list[Person]:
        """Everybody, by name."""
        return list(self._people.get(self._store.revision(), self._store.people))

    def person(self, name: str) -> Person:
        """How much is enrolled of a person. Raises UnknownPerson."""
        return self._store.person(clean_name(name))

    def typical_face(self, name: str) -> int | None:
        """The number of a person's most typical face; None if they have none. Raises UnknownPerson.

        Remembered until the gallery changes.
        """
        name = clean_name(name)
        known = self._typical.get(self._store.revision(), dict)
        if name not in known:
            faces = self[name].faces
            nearest = min(faces, key=lambda face: face.distance, default=None)
            known[name] = nearest.number if nearest else None
        return known[name]

    def picture(self, number: int) -> Pixels:
        """An enrolled face by its number, aligned, (S, S, 3) RGB.

        Raises PhotoError if there is no such face, or neither a chip of it nor its photo.
        """
        return face_picture.picture_of(self._store.database, number)

    # Corrections

    def rename(self, old: str, new: str) -> Change:
        """Give a person another name. Raises PersonError if `new` is taken or no name."""
        return curation.rename(self._store, clean_name(old), clean_name(new))

    def remove(self, name: str) -> Change:
        """Take a person out of every answer. Raises UnknownPerson."""
        self._store.database.check_writable()
        try:
            return curation.remove(self._store, clean_name(name))
        finally:
            self._index.renew()

    def merge(self, name: str, other: str, *, force: bool = False) -> Change:
        """Two names are one person: give the faces of `other` to `name`.

        force: although a face of one was rejected as the other's. Raises PersonError.
        """
        database = self._store.database
        return curation.merge(database, clean_name(name), clean_name(other), force=force)

    def split(self, name: str, numbers: Iterable[int], into: str, *, force: bool = False) -> Change:
        """Give some faces of a person to another, who is made if need be.

        numbers: of the faces. force: although a face was rejected as the other's. Raises
        PersonError.
        """
        database = self._store.database
        return curation.split(database, clean_name(name), numbers, clean_name(into), force=force)

    def set_terms(
        self, name: str, *, expires: str | None = None, consent: str | None = None
    ) -> Change:
        """Note until when a person may be kept (2027-12-31), and on what consent.

        None leaves a note as it is, an empty text takes it away. Raises PersonError.
        """
        database = self._store.database
        return curation.set_terms(database, clean_name(name), expires=expires, consent=consent)

    def changes(self) -> list[Change]:
        """What can be undone, the latest first."""
        return undo.changes(self._store.database)

    def undo(self, change: Change | int | None = None) -> Change:
        """Undo a change, given as such or by the number of its event; None: the last one.

        Returns the change that was undone. Raises PersonError if there is none, or if what happened
        since is in the way; then nothing has changed.
        """
        event = change.event if isinstance(change, Change) else change
        try:
            return undo.undo(self._store.database, event)
        finally:
            self._index.renew()

    # Rejections

    def reject(self, name: str, photo: Photo, *, face: int | None = None) -> Rejected:
        """Say that a face of a photo is not a person's, and take it from them.

        face: its number, as identify counts; None: the only one. Raises PhotoError without such a
        face, PersonError, and GalleryError for another model.
        """
        self._store.database.check_writable()
        self.check_model()
        return rejecting.reject(
            self._store.database, self.recognizer, clean_name(name), photo, face
        )

    def reject_face(self, name: str, number: int) -> Rejected:
        """The same for an enrolled face, by its number. Raises as `reject` does."""
        self.check_model()
        return rejecting.reject_face(
            self._store.database, self.recognizer, clean_name(name), number
        )

    def rejections(self) -> list[Rejection]:
        """What `reject` noted, in that order."""
        return list(self._rejections.all())

    def photos_of_rejections(self) -> dict[str, Path]:
        """Where the photos of rejections are, by SHA-256, as far as they are enrolled."""
        return rejections.photos_of(self._store.database)

    def rejected_pairs(self) -> list[Contradiction]:
        """Enrolled faces that were rejected as another person's."""
        return rejections.rejected_pairs(self._store.database)

    def forget(self, number: int) -> None:
        """Take a rejection back, by its number. Raises PersonError if there is none."""
        rejections.forget(self._store.database, number)

    # Leaving nothing

    def kept_of(self, name: str) -> "list[PurgeTarget]":
        """Whom `purge` takes: who bears the name, and those removed who bore it."""
        return purge.targets_of(self._store.database, clean_name(name))

    def purge(self, name: str) -> int:
        """Leave nothing of a person, also of one removed before; returns their faces.

        Raises PersonError, and GalleryError if another program reads on for so long that what was
        removed cannot be overwritten now, or if Milvus has it and cannot be reached.
        """
        count = purge.purge(self._store.database, clean_name(name))
        self._index.overwrite()
        return count

    def expired(self, on: date) -> "list[PurgeTarget]":
        """Whom `purge_expired` takes."""
        return purge.expired(self._store.database, on)

    def purge_expired(self, on: date) -> "list[PurgeTarget]":
        """Purge everybody whose last day was before this one; returns who they were.

        A purge that was interrupted is ended, too. Raises GalleryError as `purge` does.
        """
        gone = purge.purge_expired(self._store.database, on)
        if purge.unfinished(self._store.database):
            self._index.overwrite()
        return gone
