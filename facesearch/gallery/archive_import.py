"""What an archive adds to a gallery."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.core.face import SAME_BOX_IOU, Box
from facesearch.gallery.archive_format import (
    Archive,
    ArchivedFace,
    ArchivedPerson,
    ArchivedPhoto,
    ArchivedRejection,
)
from facesearch.matching.rejection import NEAR, Rejection
from facesearch.storage.database import Database
from facesearch.storage.faces import EnrolledFace, enrolled, keep_chip
from facesearch.storage.people import new_person
from facesearch.storage.row_checksums import REJECTIONS, check_face
from facesearch.storage.schema import (
    face_checksum,
    face_rows,
    faces,
    people,
    photo_checksum,
    photos,
    rejections,
)
from facesearch.storage.settings import get_setting, set_setting
from facesearch.storage.store import Store


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

    People of one name are one person; those who are there keep their own dates and notes. A face
    is known already if its photo has one in the same place. Raises GalleryError if the embeddings
    are of another model than the gallery's.
    """
    database = store.database
    with database.write("import", {"faces": archive.contents.faces}) as connection:
        _check_model(store, connection, archive)
        return _Merge(database, connection, archive).run()


def _check_model(store: Store, connection: sa.Connection, archive: Archive) -> None:
    if not archive.contents.faces:
        return
    has_faces = connection.execute(sa.select(faces.c.id).limit(1)).first() is not None
    if has_faces:
        mine = get_setting(connection, "fingerprint") or ""
        if mine != archive.model.fingerprint:
            name = get_setting(connection, "model")
            raise GalleryError(
                f"{archive.file}: made with --model {archive.model.name} "
                f"({archive.model.fingerprint[:12]}), the gallery with --model {name} "
                f"({mine[:12]}); give both the same model with `facesearch gallery reindex`, or "
                "import into another gallery with --gallery"
            )
        return
    set_setting(connection, "model", archive.model.name)
    set_setting(connection, "fingerprint", archive.model.fingerprint)
    set_setting(connection, "dimension", str(archive.model.dimension))


class _Merge:
    def __init__(self, database: Database, connection: sa.Connection, archive: Archive) -> None:
        self.database = database
        self.connection = connection
        self.archive = archive
        mine = get_setting(connection, "fingerprint")
        self.same_model = mine == archive.model.fingerprint
        self.last_face = self._last(faces)
        self.theirs: dict[int, list[EnrolledFace]] = {}  # the faces of people before
        self.last_photo = self._last(photos)

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
            photo = here[face.photo]
            reason = self._refusal(face, photo, persons[face.person], names[face.person], rejected)
            if reason is None:
                number = self._add_face(face, photo, persons[face.person])
                added += 1
                if face.chip is not None:
                    keep_chip(self.connection, number, self.database.sealed(face.chip, "chip"))
                    chips_added += 1
            elif reason:
                refused.append(Refused(self._path(photo), names[face.person], reason))
            else:
                known += 1
        photos_added = self._drop_unused_photos()
        contradicted: dict[int, Contradicted] = {}  # by the number of the face
        said = []
        for one in self.archive.rejections():
            said.append(self._add_rejection(one, persons, rejected))
            whose = persons[one.person], names[one.person]
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

    def _last(self, table: sa.Table) -> int:
        return int(self.connection.execute(sa.select(sa.func.max(table.c.id))).scalar() or 0)

    def _person(self, person: ArchivedPerson) -> tuple[int, bool]:
        """The number of a person, and whether they are new."""
        query = sa.select(people.c.id).where(people.c.name == person.name)
        there = self.connection.execute(query).scalar()
        if there is not None:
            return int(there), False
        number = new_person(self.connection, person.name)
        values = {
            "created": person.created,
            "expires": person.expires,
            "consent": person.consent,
        }
        self.connection.execute(people.update().where(people.c.id == number).values(values))
        return number, True

    def _photo(self, photo: ArchivedPhoto) -> int:
        query = sa.select(photos.c.id).where(photos.c.sha256 == photo.sha256)
        there = self.connection.execute(query).scalar()
        if there is not None:
            return int(there)
        values = asdict(photo) | {"path": photo.path, "checksum": 0}
        number = _made(self.connection.execute(photos.insert().values(values)))
        checksum = photo_checksum(number, photo.path, photo.sha256)
        changed = photos.update().where(photos.c.id == number)
        self.connection.execute(changed.values(checksum=checksum))
        return number

    def _refusal(
        self,
        face: ArchivedFace,
        photo: int,
        person: int,
        name: str,
        rejected: dict[str, list[tuple[int, Box]]],
    ) -> str | None:
        """Why a face is not added; empty if it is here already; None if it is to be added."""
        box = Box(*face.box)
        if rejected:
            query = sa.select(photos.c.sha256).where(photos.c.id == photo)
            sha256 = self.connection.execute(query).scalar_one()
            for whose, where in rejected.get(sha256, []):
                if whose == person and where.overlap(box) >= SAME_BOX_IOU:
                    return f"it was rejected here as {name}'s"
        if photo > self.last_photo:
            return None
        query = (
            face_rows(people.c.name)
            .join(people, people.c.id == faces.c.person)
            .where(faces.c.photo == photo, faces.c.id <= self.last_face)
            .where(people.c.removed.is_(None))
        )
        for row in self.connection.execute(query):
            check_face(row)
            if Box(*json.loads(row.box)).overlap(box) >= SAME_BOX_IOU:
                whose = row.person == person
                return "" if whose else f"this face is enrolled here as {row.name}"
        return None

    def _add_face(self, face: ArchivedFace, photo: int, person: int) -> int:
        sealed = self.database.sealed(face.embedding, "face")
        texts = json.dumps(face.box), json.dumps(face.points)
        values = {
            "photo": photo,
            "person": person,
            "box": face.box,
            "points": face.points,
            "score": face.score,
            "embedding": sealed,
            "agreement": face.agreement,
            "checksum": face_checksum(photo, person, *texts, face.agreement, sealed),
        }
        return _made(self.connection.execute(faces.insert().values(values)))

    def _path(self, photo: int) -> Path:
        query = sa.select(photos.c.path).where(photos.c.id == photo)
        path: Path = self.connection.execute(query).scalar_one()
        return path

    def _drop_unused_photos(self) -> int:
        """Photos were added before it was known whether a face of theirs is; returns the rest."""
        new = photos.c.id > self.last_photo
        used = sa.select(faces.c.photo)
        self.connection.execute(photos.delete().where(new, photos.c.id.not_in(used)))
        query = sa.select(sa.func.count()).select_from(photos).where(new)
        return int(self.connection.execute(query).scalar_one())

    def _rejections_here(self) -> dict[str, list[tuple[int, Box]]]:
        """By the photo's SHA-256 whose the face in a place is not."""
        found: dict[str, list[tuple[int, Box]]] = {}
        for row in self.connection.execute(REJECTIONS.select()):
            REJECTIONS.check(row)
            found.setdefault(row.sha256, []).append((row.person, Box(*json.loads(row.box))))
        return found

    def _add_rejection(
        self,
        rejection: ArchivedRejection,
        persons: list[int],
        here: dict[str, list[tuple[int, Box]]],
    ) -> bool:
        """Whether it was new."""
        person, box = persons[rejection.person], Box(*rejection.box)
        for whose, where in here.get(rejection.sha256, []):
            if whose == person and where.overlap(box) >= SAME_BOX_IOU:
                return False
        values = {
            "person": person,
            "sha256": rejection.sha256,
            "box": rejection.box,
            "embedding": self.database.sealed(
                rejection.embedding if self.same_model else b"", "rejection"
            ),
            "at": rejection.at,
            "near": rejection.near,
        }
        self.connection.execute(rejections.insert().values(values))
        return True

    def _contradicted(
        self, rejection: ArchivedRejection, person: int, name: str, *, new: bool
    ) -> dict[int, Contradicted]:
        """The faces that were here before, as this person's, and that this says are not theirs.

        new: copies, too; of those of a face that was rejected here it was told then.
        """
        if person not in self.theirs:
            before = people.c.id == person, faces.c.id <= self.last_face
            self.theirs[person] = enrolled(self.database, self.connection, *before, damaged=True)
        embedding = np.frombuffer(rejection.embedding if new else b"", "<f4")
        near = NEAR if rejection.near is None else rejection.near
        box = Box(*rejection.box)
        said = Rejection(0, name, rejection.sha256, box, embedding, rejection.at, near)
        reason = "it was rejected as theirs in the archive; `people reject` takes it out"
        return {
            face.number: Contradicted(face.path, name, reason)
            for face in self.theirs[person]
            if said.bars(face.sha256, face.box, face.embedding)
        }


def _made(result: sa.CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])
