"""The people of a service's gallery: list, show, correct, remove, undo, purge."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from facesearch.client.connection import Connection, given
from facesearch.client.photos import SentPhotos
from facesearch.core.arrays import Pixels
from facesearch.core.errors import PersonError
from facesearch.core.photos import Photo
from facesearch.gallery.change import Change, Rejected
from facesearch.gallery.profile import PersonProfile
from facesearch.gallery.purge import PurgeTarget
from facesearch.gallery.rejections import Contradiction
from facesearch.matching.rejection import Rejection
from facesearch.serialization.people import CHANGE, REJECTED, UNDONE
from facesearch.serialization.responses import (
    Changes,
    Corrected,
    Forgotten,
    Moved,
    People,
    PersonShown,
    PurgeTargets,
    RejectedPairs,
    Rejections,
    Removed,
)
from facesearch.storage.records import Person

PAGE = 1000  # people in an answer


class ClientPeople:
    """The methods of `Gallery` about people. Each asks the service anew."""

    _service: Connection

    def __len__(self) -> int:
        """How many people are enrolled."""
        return self._service.get(People, "/v1/people", limit=1).total

    def __bool__(self) -> bool:
        """True, whether or not somebody is enrolled."""
        return True

    def __iter__(self) -> Iterator[Person]:
        """The people, by name."""
        return iter(self.people())

    def __contains__(self, name: object) -> bool:
        """Whether somebody of this name is enrolled."""
        try:
            return isinstance(name, str) and bool(self.person(name))
        except PersonError:
            return False

    def __getitem__(self, name: str) -> PersonProfile:
        """A person with their faces. Raises UnknownPerson, which is a KeyError, too."""
        shown = self._shown(name)
        faces = [replace(face, _picture=self.picture) for face in shown.faces]
        return PersonProfile(shown.name, shown.created, shown.expires, shown.consent, faces)

    def people(self) -> list[Person]:
        """Everybody, by name."""
        found: list[Person] = []
        while True:
            some = self._service.get(People, "/v1/people", offset=len(found), limit=PAGE)
            found += some.people
            if len(found) >= some.total or not some.people:
                return found

    def person(self, name: str) -> Person:
        """How much is enrolled of a person. Raises UnknownPerson."""
        shown = self._shown(name)
        return Person(
            shown.name, shown.count, shown.photos, shown.created, shown.expires, shown.consent
        )

    def typical_face(self, name: str) -> int | None:
        """The number of a person's most typical face; None if they have none. Raises UnknownPerson.

        The service remembers it until the gallery changes.
        """
        return self._shown(name).face

    def picture(self, number: int) -> Pixels:
        """An enrolled face by its number, aligned, (S, S, 3) RGB.

        It was compressed as JPEG. Raises PhotoError if there is no such face, or neither a chip of
        it nor its photo.
        """
        answer = self._service.send("GET", f"/v1/faces/{number}/chip")
        with Image.open(io.BytesIO(answer.content)) as picture:
            return np.array(picture.convert("RGB"))

    def _shown(self, name: str) -> PersonShown:
        return self._service.get(PersonShown, place_of(name))

    # Corrections

    def rename(self, old: str, new: str) -> Change:
        """Give a person another name. Raises PersonError if `new` is taken or no name."""
        return self._corrected(old, {"name": new})

    def set_terms(
        self, name: str, *, expires: str | None = None, consent: str | None = None
    ) -> Change:
        """Note until when a person may be kept (2027-12-31), and on what consent.

        None leaves a note as it is, an empty text takes it away. Raises PersonError.
        """
        return self._corrected(name, given({"expires": expires, "consent": consent}))

    def _corrected(self, name: str, asked: dict[str, str]) -> Change:
        done = self._service.ask(Corrected, "PATCH", place_of(name), json=asked)
        return done.changes[-1]

    def remove(self, name: str) -> Change:
        """Take a person out of every answer. Raises UnknownPerson."""
        return _change(self._service.ask(Removed, "DELETE", place_of(name)))

    def merge(self, name: str, other: str, *, force: bool = False) -> Change:
        """Two names are one person: give the faces of `other` to `name`.

        force: although a face of one was rejected as the other's. Raises PersonError.
        """
        asked = {"other": other, "force": force}
        return _change(self._service.ask(Moved, "POST", f"{place_of(name)}/merge", json=asked))

    def split(self, name: str, numbers: Iterable[int], into: str, *, force: bool = False) -> Change:
        """Give some faces of a person to another, who is made if need be.

        numbers: of the faces. force: although a face was rejected as the other's. Raises
        PersonError.
        """
        asked = {"faces": list(numbers), "into": into, "force": force}
        return _change(self._service.ask(Moved, "POST", f"{place_of(name)}/split", json=asked))

    def changes(self) -> list[Change]:
        """What can be undone, the latest first."""
        return self._service.get(Changes, "/v1/changes").changes

    def undo(self, change: Change | int | None = None) -> Change:
        """Undo a change, given as such or by the number of its event; None: the last one.

        Returns the change that was undone. Raises PersonError if there is none, or if what happened
        since is in the way; then nothing has changed.
        """
        event = change.event if isinstance(change, Change) else change
        done = self._service.ask(UNDONE.model, "POST", "/v1/undo", json={"event": event})
        return UNDONE.read(done)

    # Rejections

    def reject(self, name: str, photo: Photo, *, face: int | None = None) -> Rejected:
        """Say that a face of a photo is not a person's, and take it from them.

        face: its number, as identify counts; None: the only one. Raises PhotoError without such a
        face, PersonError, and GalleryError for another model.
        """
        fields = {} if face is None else {"face": str(face)}
        with SentPhotos([photo]) as sent:
            files = [("photo", sent[0])]
            done = self._service.ask(
                REJECTED.model, "POST", f"{place_of(name)}/reject", files=files, data=fields
            )
        return REJECTED.read(done)

    def reject_face(self, name: str, number: int) -> Rejected:
        """The same for an enrolled face, by its number. Raises as `reject` does."""
        place, asked = f"{place_of(name)}/reject", {"face": number}
        return REJECTED.read(self._service.ask(REJECTED.model, "POST", place, json=asked))

    def rejections(self) -> list[Rejection]:
        """What `reject` noted, in that order, without the embeddings."""
        return self._service.get(Rejections, "/v1/rejections").rejections

    def photos_of_rejections(self) -> dict[str, Path]:
        """The names of the photos of rejections, by SHA-256, as far as they are enrolled."""
        answer = self._service.send("GET", "/v1/rejections").json()
        return {row["sha256"]: Path(row["photo"]) for row in answer["rejections"] if row["photo"]}

    def rejected_pairs(self) -> list[Contradiction]:
        """Enrolled faces that were rejected as another person's."""
        return self._service.get(RejectedPairs, "/v1/rejections/pairs").pairs

    def forget(self, number: int) -> None:
        """Take a rejection back, by its number. Raises PersonError if there is none."""
        self._service.ask(Forgotten, "DELETE", f"/v1/rejections/{number}")

    # Leaving nothing

    def kept_of(self, name: str) -> list[PurgeTarget]:
        """Whom `purge` takes: who bears the name, and those removed who bore it."""
        return self._service.get(PurgeTargets, "/v1/purge-targets", name=name).people

    def purge(self, name: str) -> int:
        """Leave nothing of a person, also of one removed before; returns their faces.

        Raises PersonError, and GalleryError if what was removed cannot be overwritten now.
        """
        how = {"purge": True}
        return self._service.ask(Removed, "DELETE", place_of(name), params=how).faces

    def expired(self, on: date) -> list[PurgeTarget]:
        """Whom `purge_expired` takes."""
        return self._service.get(PurgeTargets, "/v1/expired", on=on.isoformat()).people

    def purge_expired(self, on: date) -> list[PurgeTarget]:
        """Purge everybody whose last day was before this one; returns who they were.

        A purge that was interrupted is ended, too. Raises GalleryError as `purge` does.
        """
        asked = {"on": on.isoformat()}
        return self._service.ask(PurgeTargets, "POST", "/v1/purge-expired", json=asked).people


def place_of(name: str) -> str:
    """The path of a person in the service's interface."""
    return f"/v1/people/{quote(name, safe='')}"


def _change(done: Removed | Moved) -> Change:
    return CHANGE.read(done.model_dump())
