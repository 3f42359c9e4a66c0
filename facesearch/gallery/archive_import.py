"""Adding to a gallery what an archive holds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.core.errors import GalleryError
from facesearch.core.face import SAME_BOX_IOU, Box, Face
from facesearch.gallery.archive_format import Archive, FaceInArchive, RejectionInArchive
from facesearch.gallery.archive_records import ArchivedFace, ArchivedPerson, ArchivedPhoto
from facesearch.matching.rejection import NEAR, Rejection
from facesearch.storage import archive_rows, rejections
from facesearch.storage.connection import Connection
from facesearch.storage.curation import number_of
from facesearch.storage.database import Database
from facesearch.storage.faces import EnrolledFace, faces_of_person
from facesearch.storage.photos import drop_photos_without_faces
from facesearch.storage.settings import get_setting
from facesearch.storage.store import Store, model_of, set_model

Places = dict[str, list[tuple[int, Box]]]  # by a photo's SHA-256 whose the face in a place is not


@dataclass(frozen=True, slots=True)
class Refused:
    """A face of an archive that contradicts the gallery, and is not taken over."""

    photo: Path
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Contradicted:
    """A face that is enrolled here as somebody's and was rejected as theirs in an archive."""

    photo: Path
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Merged:
    """What a gallery took over from an archive, and what it had."""

    people_added: int
    people_joined: int
    photos_added: int
    photos_known: int
    faces_added: int
    faces_known: int
    rejections_added: int
    rejections_known: int
    chips_added: int
    refused: list[Refused]
    contradicted: list[Contradicted]  # these stay


def merge(store: Store, archive: Archive) -> Merged:
    """Add to a gallery what an archive holds and it does not, in one transaction.

    People of one name are one person; those who are there keep their own dates and notes. A face is
    known already if its photo has one in the same place. Raises GalleryError if the embeddings are
    of another model than the gallery's.
    """
    database = store.database
    with database.write("import", {"faces": archive.contents.faces}) as connection:
        _check_model(connection, archive)
        return _Merge(database, connection, archive).run()


def _check_model(connection: Connection, archive: Archive) -> None:
    """Note the archive's model if the gallery has none. Raises GalleryError if it has another."""
    if not archive.contents.faces:
        return
    mine = model_of(connection)
    if mine is None:
        set_model(connection, archive.model)
    elif mine.fingerprint != archive.model.fingerprint:
        raise GalleryError(
            f"{archive.file}: made with --model {archive.model.name} "
            f"({archive.model.fingerprint[:12]}), the gallery with --model {mine.name} "
            f"({mine.fingerprint[:12]}); give both the same model with `facesearch gallery "
            "reindex`, or import into another gallery with --gallery"
        )


class _Merge:
    def __init__(self, database: Database, connection: Connection, archive: Archive) -> None:
        self.database = database
        self.connection = connection
        self.archive = archive
        mine = get_setting(connection, "fingerprint")
        self.same_model = mine == archive.model.fingerprint
        self.last_face, self.last_photo = archive_rows.last_numbers(connection)
        self.theirs: dict[int, list[EnrolledFace]] = {}  # the faces of people before

    def run(self) -> Merged:
        names: list[str] = []
        persons: list[int] = []
        people_added = 0
        for person in self.archive.people():
            number, new = self._person(person)
            names.append(person.name)
            persons.append(number)
            people_added += new
        here = [self._photo(photo) for photo in self.archive.photos()]
        rejected = self._rejections_here()
        known = added = chips_added = 0
        refused: list[Refused] = []
        for face in self.archive.faces():
            photo, person_line = here[face.record.photo], face.record.person
            whose = persons[person_line], names[person_line]
            reason = self._refusal(face.record, photo, *whose, rejected)
            if reason is None:
                self._add_face(face, photo, persons[person_line])
                added += 1
                chips_added += face.chip is not None
            elif reason:
                path, _ = archive_rows.photo_of(self.connection, photo)
                refused.append(Refused(path, names[person_line], reason))
            else:
                known += 1
        # photos were added before it was known whether a face of theirs is
        drop_photos_without_faces(self.connection, after=self.last_photo)
        photos_added = archive_rows.photo_count_after(self.connection, self.last_photo)
        contradicted: dict[int, Contradicted] = {}  # by the number of the face
        said = []
        for one in self.archive.rejections():
            said.append(self._add_rejection(one, persons, rejected))
            whose = persons[one.record.person], names[one.record.person]
            contradicted |= self._contradicted(one, *whose, new=said[-1])
        return Merged(
            people_added,
            len(persons) - people_added,
            photos_added,
            sum(number <= self.last_photo for number in here),
            added,
            known,
            sum(said),
            len(said) - sum(said),
            chips_added,
            refused,
            list(contradicted.values()),
        )

    def _person(self, person: ArchivedPerson) -> tuple[int, bool]:
        """The number of a person, and whether they are new."""
        there = number_of(self.connection, person.name)
        if there is not None:
            return there, False
        terms = person.created, person.expires, person.consent
        return archive_rows.add_person(self.connection, person.name, *terms), True

    def _photo(self, photo: ArchivedPhoto) -> int:
        """The number of a photo, which is added if it is new."""
        there = archive_rows.photo_number(self.connection, photo.sha256)
        if there is not None:
            return there
        fields = photo.path, photo.sha256, photo.width, photo.height, photo.added
        return archive_rows.add_photo(self.connection, *fields)

    def _refusal(
        self, face: ArchivedFace, photo: int, person: int, name: str, rejected: Places
    ) -> str | None:
        """Why a face is not added; empty if it is here already; None if it is to be added."""
        box = Box(*face.box)
        if rejected:
            _, sha256 = archive_rows.photo_of(self.connection, photo)
            if _is_among(rejected, sha256, person, box):
                return f"it was rejected here as {name}'s"
        if photo > self.last_photo:
            return None
        for there in archive_rows.faces_on(self.connection, photo, self.last_face):
            if there.box.overlap(box) >= SAME_BOX_IOU:
                mine = there.person == person
                return "" if mine else f"this face is enrolled here as {there.name}"
        return None

    def _add_face(self, face: FaceInArchive, photo: int, person: int) -> None:
        record = face.record
        points = tuple((x, y) for x, y in record.points)
        archive_rows.add_face(
            self.database,
            self.connection,
            photo,
            person,
            Face(Box(*record.box), points, record.score),
            record.agreement,
            face.embedding,
            face.chip,
        )

    def _rejections_here(self) -> Places:
        found: Places = {}
        for place in rejections.places(self.connection):
            found.setdefault(place.sha256, []).append((place.person, place.box))
        return found

    def _add_rejection(
        self, rejection: RejectionInArchive, persons: list[int], here: Places
    ) -> bool:
        """Add a rejection unless it is known; returns whether it was new."""
        record = rejection.record
        person, box = persons[record.person], Box(*record.box)
        if _is_among(here, record.sha256, person, box):
            return False
        rejections.add(
            self.database,
            self.connection,
            person=person,
            sha256=record.sha256,
            box=box,
            embedding=np.frombuffer(rejection.embedding if self.same_model else b"", "<f4"),
            at=record.at,
            near=record.near,
        )
        return True

    def _contradicted(
        self, rejection: RejectionInArchive, person: int, name: str, *, new: bool
    ) -> dict[int, Contradicted]:
        """The faces that were here before, as this person's, and that this says are not theirs.

        new: copies, too; for a face that was rejected here they were named then.
        """
        if person not in self.theirs:
            every = faces_of_person(self.database, self.connection, person, damaged=True)
            self.theirs[person] = [face for face in every if face.number <= self.last_face]
        embedding = np.frombuffer(rejection.embedding if new else b"", "<f4")
        record = rejection.record
        near = NEAR if record.near is None else record.near
        box = Box(*record.box)
        said = Rejection(0, name, record.sha256, box, embedding, record.at, near)
        reason = "it was rejected as theirs in the archive; `people reject` takes it out"
        return {
            face.number: Contradicted(face.path, name, reason)
            for face in self.theirs[person]
            if said.bars(face.sha256, face.box, face.embedding)
        }


def _is_among(places: Places, sha256: str, person: int, box: Box) -> bool:
    """Whether the face in this place of a photo was rejected as this person's."""
    return any(
        whose == person and where.overlap(box) >= SAME_BOX_IOU
        for whose, where in places.get(sha256, [])
    )
