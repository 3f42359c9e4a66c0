"""The enrolled faces of a gallery: reading their embeddings, and enrolling more."""

import json
from array import array
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import GalleryError
from facesearch.core.face import SAME_BOX_IOU, Box, Face
from facesearch.storage import change_log
from facesearch.storage.faces import face_values, keep_chip, new_id, new_photo, set_path
from facesearch.storage.people import MOST_VARIABLES, PeopleStore, new_person
from facesearch.storage.records import (
    Delta,
    EnrolledFaces,
    FaceLocation,
    ModelStamp,
    NewPhoto,
    PersonFaces,
)
from facesearch.storage.row_checksums import (
    CHIPS,
    check_face,
    check_person,
    check_photo,
    check_removed,
)
from facesearch.storage.schema import chips, face_rows, faces, people, photos, totals
from facesearch.storage.settings import REVISION, UNCLEAN, get_setting, set_setting
from facesearch.storage.state import State

PAGE = 1000  # rows in memory


class Store(PeopleStore):
    """All that a gallery's database knows: the people, and their faces with embeddings.

    Methods that read embeddings or chips raise GalleryError without the key of an encrypted
    gallery; all of them raise it for a damaged row.
    """

    # The state of the gallery

    def revision(self) -> str:
        """The present revision; every change draws another."""
        with self.database.read() as connection:
            return get_setting(connection, REVISION) or ""

    def state(self) -> State:
        """The present state."""
        with self.database.read() as connection:
            return change_log.state(connection)

    def changed(self, state: State) -> NDArray[np.int64] | None:
        """The numbers of the people who changed since a state; None if that is not known."""
        with self.database.read() as connection:
            found = change_log.changed(connection, state)
        return None if found is None else np.array(found.people, np.int64)

    def model(self) -> ModelStamp | None:
        """The model of the embeddings; None while there are none."""
        with self.database.read() as connection:
            return model_of(connection)

    # Embeddings

    def vectors(self) -> tuple[State, NDArray[np.int64], Embeddings]:
        """The state, and for every face the number of its person (N,) and its embedding (N, D)."""
        with self.database.read() as connection:
            self.database.engine.check_sound(connection)  # else rows could be missing unnoticed
            streamed = {"yield_per": PAGE}
            with connection.execute(_people(), execution_options=streamed) as everybody:
                for row in everybody:
                    check_removed(row)
            query = face_rows().join(people, people.c.id == faces.c.person)
            query = query.where(people.c.removed.is_(None)).order_by(faces.c.id)
            with connection.execute(query, execution_options=streamed) as rows:
                return change_log.state(connection), *self._gathered(connection, rows)

    def changes_since(self, state: State) -> Delta | None:
        """The people who changed since a state, with their faces; None if that is not known.

        The number of faces is compared with the totals that the database keeps by itself, so that a
        missing row is noticed.
        """
        with self.database.read() as connection:
            found = change_log.changed(connection, state)
            if found is None:
                return None
            rows: list[Any] = []
            for at in range(0, len(found.people), MOST_VARIABLES):
                theirs = _faces_of(connection, found.people[at : at + MOST_VARIABLES])
                if theirs is None:
                    return None
                rows += theirs
            changed = np.array(found.people, np.int64)
            return Delta(found.state, changed, *self._gathered(connection, rows))

    def person_faces(self, numbers: list[int]) -> dict[int, PersonFaces]:
        """The faces of people by the people's numbers, in the order of enrolment."""
        query = (
            face_rows(people.c.name, photos.c.path, photos.c.sha256)
            .add_columns(photos.c.checksum.label("photo_checksum"))
            .add_columns(people.c.checksum.label("person_checksum"))
            .join(people, people.c.id == faces.c.person)
            .join(photos, photos.c.id == faces.c.photo)
            .where(people.c.id.in_(numbers), people.c.removed.is_(None))
            .order_by(faces.c.id)
        )
        grouped: dict[int, list[Any]] = {}
        with self.database.read() as connection:
            dimension = get_setting(connection, "dimension")
            for row in connection.execute(query):
                if row.person not in grouped:
                    check_person(row.person, row.name, row.person_checksum)
                check_photo(row.photo, row.path, row.sha256, row.photo_checksum)
                check_face(row)
                grouped.setdefault(row.person, []).append(row)
        return {
            person: PersonFaces(
                rows[0].name,
                [row.id for row in rows],
                [row.path for row in rows],
                self._joined([self._embedding(row) for row in rows], dimension),
                max(row.agreement for row in rows),
            )
            for person, rows in grouped.items()
        }

    def enrolled_faces(self, name: str | None = None) -> EnrolledFaces:
        """The faces of everybody, or of one person; of none if nobody has this name."""
        query = (
            face_rows(people.c.name, people.c.checksum.label("person_checksum"))
            .join(people, people.c.id == faces.c.person)
            .where(people.c.removed.is_(None))
            .order_by(faces.c.id)
        )
        if name is not None:
            query = query.where(people.c.name == name)
        numbers, owners, flip_consistencies, vectors = [], [], [], []
        names: dict[int, str] = {}
        with self.database.read() as connection:
            dimension = get_setting(connection, "dimension")
            for row in connection.execute(query):
                if row.person not in names:
                    check_person(row.person, row.name, row.person_checksum)
                    names[row.person] = row.name
                check_face(row)
                vectors.append(self._embedding(row))
                numbers.append(row.id)
                owners.append(row.person)
                flip_consistencies.append(row.agreement)
        return EnrolledFaces(
            np.array(numbers, np.int64),
            np.array(owners, np.int64),
            self._joined(vectors, dimension),
            np.array(flip_consistencies, np.float64),
            names,
        )

    def face_locations(self, numbers: list[int]) -> dict[int, FaceLocation]:
        """The photo and the place of each of these faces, by the face's number."""
        found: dict[int, FaceLocation] = {}
        if not numbers:
            return found
        with self.database.read() as connection:
            for at in range(0, len(numbers), MOST_VARIABLES):
                query = (
                    face_rows(faces.c.score, photos.c.path, photos.c.sha256)
                    .add_columns(photos.c.checksum.label("photo_checksum"))
                    .join(photos, photos.c.id == faces.c.photo)
                    .where(faces.c.id.in_(numbers[at : at + MOST_VARIABLES]))
                )
                for row in connection.execute(query):
                    check_photo(row.photo, row.path, row.sha256, row.photo_checksum)
                    check_face(row)
                    points = tuple((float(x), float(y)) for x, y in json.loads(row.points))
                    face = Face(Box(*json.loads(row.box)), points, row.score)
                    found[row.id] = FaceLocation(row.path, row.sha256, face)
        return found

    # Chips

    def chip(self, number: int) -> bytes | None:
        """The stored chip of a face; None if it has none."""
        with self.database.read() as connection:
            row = connection.execute(CHIPS.select().where(chips.c.face == number)).first()
            if row is None:
                return None
            CHIPS.check(row)
        return self.database.unsealed(row.image, "chip")

    def chip_count(self) -> int:
        """How many chips are stored."""
        query = sa.select(sa.func.count()).select_from(chips)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def drop_chips(self) -> int:
        """Delete all stored chips; returns their number."""
        with self.database.write("drop-chips", {}) as connection:
            count = connection.execute(chips.delete()).rowcount
            set_setting(connection, UNCLEAN, "drop-chips")
        self.database.clean()
        return count

    # Enrolling

    def add(self, new: list[NewPhoto], model: ModelStamp) -> list[NewPhoto]:
        """Enrol the faces of photos, and their people where these are new.

        Leaves out a face where its photo has an enrolled face in the same place, and a photo of
        which no face is left; returns what was enrolled. model: the one of the embeddings. Raises
        GalleryError if the gallery's embeddings are of another model.
        """
        with self.database.write("enroll", {"photos": len(new)}) as connection:
            self._bind(connection, model)
            wanted = photos.c.sha256.in_([photo.sha256 for photo in new])
            there = sa.select(photos.c.sha256, photos.c.id).where(wanted)
            rows = {row.sha256: row.id for row in connection.execute(there)}
            enrolled = (
                face_rows(photos.c.sha256)
                .join(photos, photos.c.id == faces.c.photo)
                .join(people, people.c.id == faces.c.person)
                .where(wanted, people.c.removed.is_(None))
            )
            taken: dict[str, list[Box]] = {}
            for row in connection.execute(enrolled):
                check_face(row)
                taken.setdefault(row.sha256, []).append(Box(*json.loads(row.box)))
            left = (_without(photo, taken.get(photo.sha256, [])) for photo in new)
            fresh = [photo for photo in left if photo.faces]
            for photo in fresh:
                query = sa.select(people.c.id).where(people.c.name == photo.name)
                person = connection.execute(query).scalar()
                if person is None:
                    person = new_person(connection, photo.name)
                number = rows.get(photo.sha256) or new_photo(
                    connection, photo.path, photo.sha256, photo.width, photo.height
                )
                set_path(connection, number, photo.path, photo.sha256)
                self._add_faces(connection, photo, number, person)
        return fresh

    def _bind(self, connection: sa.Connection, model: ModelStamp) -> None:
        """Note the model of the embeddings. Raises GalleryError if there are others."""
        bound = model_of(connection)
        if bound is not None and bound.fingerprint != model.fingerprint:
            raise GalleryError(
                f"{self.database.name}: another program enrolled with another model, "
                f"{bound.name!r}, in the meantime"
            )
        set_model(connection, model)

    def _add_faces(
        self, connection: sa.Connection, photo: NewPhoto, number: int, person: int
    ) -> None:
        rows = []
        for face, embedding, flip_consistency in zip(
            photo.faces, photo.embeddings, photo.flip_consistencies, strict=True
        ):
            sealed = self.database.sealed(_bytes(embedding), "face")
            rows.append(face_values(number, person, face, flip_consistency, sealed))
        if photo.chips is None:
            connection.execute(faces.insert(), rows)
            return
        for row, chip in zip(rows, photo.chips, strict=True):
            made = new_id(connection.execute(faces.insert().values(row)))
            keep_chip(connection, made, self.database.sealed(chip, "chip"))

    # Stored embeddings as arrays

    def _embedding(self, row: Any) -> bytes:
        """The embedding of a row of `face_rows`, which the caller has checked."""
        return self.database.unsealed(row.embedding, "face")

    def _joined(self, embeddings: list[bytes], dimension: str | None) -> Embeddings:
        """Stored embeddings as an array, (N, D). Raises GalleryError if D differs from theirs."""
        if not embeddings:
            return np.empty((0, 1), np.float32)
        size = len(embeddings[0]) // 4
        if dimension != str(size) or any(len(each) != 4 * size for each in embeddings):
            raise self._misfit()
        return np.frombuffer(b"".join(embeddings), "<f4").reshape(-1, size)

    def _gathered(
        self, connection: sa.Connection, rows: Iterable[Any]
    ) -> tuple[NDArray[np.int64], Embeddings]:
        """The people (N,) and embeddings (N, D) of rows of `face_rows`, each of them checked."""
        dimension = get_setting(connection, "dimension") or ""
        size = int(dimension) if dimension.isdecimal() else 0
        owners, content = array("q"), bytearray()
        for row in rows:
            check_face(row)
            embedding = self._embedding(row)
            if len(embedding) != 4 * size:
                raise self._misfit()
            content += embedding
            owners.append(row.person)
        if not owners:
            return np.empty(0, np.int64), np.empty((0, 1), np.float32)
        return np.array(owners), np.frombuffer(content, "<f4").reshape(-1, size)

    def _misfit(self) -> GalleryError:
        return GalleryError(
            f"{self.database.name}: damaged: the embeddings are not of the size that is "
            "written beside them; `facesearch gallery doctor` says more"
        )


def _people() -> sa.Select[Any]:
    """Everybody, removed people too, with the columns that their checksum covers."""
    return sa.select(people.c.id, people.c.name, people.c.removed, people.c.checksum)


def _faces_of(connection: sa.Connection, numbers: list[int]) -> list[Any] | None:
    """Rows of `face_rows` of those of these people who are not removed.

    Returns None if the rows do not add up to the totals that the database keeps.
    """
    known = list(connection.execute(_people().where(people.c.id.in_(numbers))))
    for row in known:
        check_removed(row)
    query = face_rows().where(faces.c.person.in_(numbers)).order_by(faces.c.id)
    theirs = connection.execute(query).all()
    counted: dict[int, tuple[int, int]] = {}
    for row in theirs:
        count, total = counted.get(row.person, (0, 0))
        counted[row.person] = count + 1, total + row.id
    noted = connection.execute(sa.select(totals).where(totals.c.person.in_(numbers)))
    if counted != {row[0]: (row[1], row[2]) for row in noted}:
        return None
    if counted.keys() - {row.id for row in known}:
        return None
    hidden = {row.id for row in known if row.removed is not None}
    return [row for row in theirs if row.person not in hidden]


def model_of(connection: sa.Connection) -> ModelStamp | None:
    """The model of the embeddings; None while there are no faces."""
    if connection.execute(sa.select(faces.c.id).limit(1)).first() is None:
        return None
    name, fingerprint, dimension = (
        get_setting(connection, key) or "" for key in ("model", "fingerprint", "dimension")
    )
    return ModelStamp(name, fingerprint, int(dimension) if dimension.isdecimal() else 0)


def set_model(connection: sa.Connection, model: ModelStamp) -> None:
    """Note the model of the embeddings."""
    set_setting(connection, "model", model.name)
    set_setting(connection, "fingerprint", model.fingerprint)
    set_setting(connection, "dimension", str(model.dimension))


def _bytes(embedding: Embeddings) -> bytes:
    """An embedding as it is stored: float32, little end first."""
    return np.asarray(embedding, "<f4").tobytes()


def _without(photo: NewPhoto, taken: list[Box]) -> NewPhoto:
    """The photo without its faces in places that are taken."""
    places = [
        place
        for place, face in enumerate(photo.faces)
        if all(face.box.overlap(box) < SAME_BOX_IOU for box in taken)
    ]
    if len(places) == len(photo.faces):
        return photo
    return replace(
        photo,
        faces=[photo.faces[place] for place in places],
        embeddings=photo.embeddings[places],
        flip_consistencies=[photo.flip_consistencies[place] for place in places],
        chips=None if photo.chips is None else [photo.chips[place] for place in places],
    )
