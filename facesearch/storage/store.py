"""The truth about a gallery: people, photos and their faces, asked and enrolled."""

import json
import os
from array import array
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings, content_key
from facesearch.core.errors import GalleryError, PersonError, UnknownPerson
from facesearch.core.face import SAME_BOX_IOU, Box, Face
from facesearch.storage import change_log
from facesearch.storage.database import UNCLEAN, Database, get_setting, now, set_setting
from facesearch.storage.events import Event
from facesearch.storage.row_checksums import CHIPS, TERMS
from facesearch.storage.schema import (
    chips,
    face_checksum,
    face_is_sound,
    face_rows,
    faces,
    people,
    person_checksum,
    photo_checksum,
    photos,
    removed_name,
    totals,
)
from facesearch.storage.state import State
from facesearch.storage.vault import Keys, from_environment

MOST_VARIABLES = 500  # in a query; SQLite has a limit
PAGE = 1000  # rows in memory


@dataclass(frozen=True, slots=True)
class Person:
    """An enrolled person and how much is known of them."""

    name: str
    faces: int
    photos: int
    created: str  # ISO 8601, UTC
    expires: str | None = None  # a date, ISO 8601; after it the person is purged
    consent: str | None = None  # a note


@dataclass(frozen=True, slots=True)
class ModelStamp:
    """The model that the embeddings of a gallery are made with."""

    name: str
    fingerprint: str
    dimension: int


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """A photo about to be enrolled, with the faces that are the person's."""

    name: str
    path: Path
    sha256: str
    width: int
    height: int
    faces: list[Face]
    embeddings: Embeddings  # (len(faces), D)
    flip_consistencies: list[float]  # of each face with its mirror image
    chips: list[bytes] | None = None  # to keep, one a face


@dataclass(frozen=True, slots=True)
class StoredFace:
    """An enrolled face."""

    number: int
    name: str
    photo: Path
    box: Box


@dataclass(frozen=True, slots=True)
class EnrolledFaces:
    """The enrolled faces of everybody, or of one person, in the order of their enrolment."""

    numbers: NDArray[np.int64]  # of the faces, (N,)
    owners: NDArray[np.int64]  # the numbers of their people, (N,)
    embeddings: Embeddings  # (N, D)
    flip_consistencies: NDArray[np.float64]  # (N,)
    names: dict[int, str]  # of the people


NOBODY = EnrolledFaces(
    np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 1), np.float32), np.empty(0), {}
)


@dataclass(frozen=True, slots=True)
class FaceLocation:
    """Where an enrolled face is from."""

    photo: Path
    sha256: str
    face: Face


@dataclass(frozen=True, slots=True)
class PersonFaces:
    """The enrolled faces of a person, to compare with."""

    name: str
    numbers: list[int]  # of the faces
    photos: list[Path]
    embeddings: Embeddings  # (len(photos), D)
    flip_consistency: float  # of the best face with its mirror image


@dataclass(frozen=True, slots=True)
class Delta:
    """People who changed since a state of the gallery."""

    state: State  # as it is now
    people: NDArray[np.int64]  # (P,), ascending
    owners: NDArray[np.int64]  # of their faces, (N,); who has none has no template any more
    embeddings: Embeddings  # (N, D)


class Store:
    """What a gallery knows, asked and changed."""

    def __init__(self, where: Path | str, *, create: bool, keys: Keys = from_environment) -> None:
        """See `Database`."""
        self.database = Database(where, create=create, keys=keys)

    def close(self) -> None:
        self.database.close()

    # Reading

    def revision(self) -> str:
        """Changes with every write."""
        with self.database.read() as connection:
            return get_setting(connection, "revision") or ""

    def model(self) -> ModelStamp | None:
        """None as long as there are no embeddings."""
        with self.database.read() as connection:
            return _model(connection)

    def known(self, hashes: list[str]) -> dict[str, set[str]]:
        """Which of these photos, by SHA-256, are enrolled, and under which names."""
        query = (
            sa.select(photos.c.sha256, people.c.id, people.c.name, people.c.checksum)
            .join(faces, faces.c.photo == photos.c.id)
            .join(people, people.c.id == faces.c.person)
            .where(photos.c.sha256.in_(hashes), people.c.removed.is_(None))
        )
        found: dict[str, set[str]] = {}
        with self.database.read() as connection:
            for sha256, number, name, checksum in connection.execute(query):
                self._check(checksum == person_checksum(number, name), "person", number)
                found.setdefault(sha256, set()).add(name)
        return found

    def vectors(self) -> tuple[State, NDArray[np.int64], Embeddings]:
        """The state; of all faces the numbers of their people (N,) and the embeddings (N, D).

        Raises GalleryError for a damaged row.
        """
        with self.database.read() as connection:
            self.database.engine.check_sound(connection)  # else rows may be missing without a sign
            streamed = {"yield_per": PAGE}
            with connection.execute(_people(), execution_options=streamed) as everybody:
                self._check_people(everybody)
            query = face_rows().join(people, people.c.id == faces.c.person)
            query = query.where(people.c.removed.is_(None)).order_by(faces.c.id)
            with connection.execute(query, execution_options=streamed) as rows:
                return change_log.state(connection), *self._gathered(connection, rows)

    def changes_since(self, state: State) -> Delta | None:
        """Who changed since a state; None if that cannot be told. Raises GalleryError.

        Every face of theirs is there: they are counted by what the database itself notes.
        """
        with self.database.read() as connection:
            found = change_log.changed(connection, state)
            if found is None:
                return None
            rows = []
            for at in range(0, len(found.people), MOST_VARIABLES):
                some = found.people[at : at + MOST_VARIABLES]
                known = list(connection.execute(_people().where(people.c.id.in_(some))))
                self._check_people(known)
                hidden = {row.id for row in known if row.removed is not None}
                query = face_rows().where(faces.c.person.in_(some)).order_by(faces.c.id)
                theirs = connection.execute(query).all()
                counted: dict[int, tuple[int, int]] = {}
                for row in theirs:
                    faces_, numbers = counted.get(row.person, (0, 0))
                    counted[row.person] = faces_ + 1, numbers + row.id
                noted = sa.select(totals).where(totals.c.person.in_(some))
                if counted != {row[0]: (row[1], row[2]) for row in connection.execute(noted)}:
                    return None
                if counted.keys() - {row.id for row in known}:
                    return None
                rows += [row for row in theirs if row.person not in hidden]
            changed = np.array(found.people, np.int64)
            return Delta(found.state, changed, *self._gathered(connection, rows))

    def state(self) -> State:
        """The gallery's, as it is now."""
        with self.database.read() as connection:
            return change_log.state(connection)

    def changed(self, state: State) -> NDArray[np.int64] | None:
        """The people who changed since a state; None if that cannot be told."""
        with self.database.read() as connection:
            found = change_log.changed(connection, state)
        return None if found is None else np.array(found.people, np.int64)

    def samples(self, numbers: list[int]) -> dict[int, PersonFaces]:
        """The faces of people by their numbers, in the order of their enrolment.

        Raises GalleryError for a damaged row.
        """
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
                grouped.setdefault(row.person, []).append(row)
        found = {}
        for person, rows in grouped.items():
            first = rows[0]
            sound = first.person_checksum == person_checksum(person, first.name)
            self._check(sound, "person", person)
            for row in rows:
                sound = row.photo_checksum == photo_checksum(row.photo, row.path, row.sha256)
                self._check(sound, "photo", row.photo)
            found[person] = PersonFaces(
                first.name,
                [row.id for row in rows],
                [row.path for row in rows],
                self._joined([self._embedding(row) for row in rows], dimension),
                max(row.agreement for row in rows),
            )
        return found

    def enrolled_content_keys(self, keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Those of these `content_key` that a photo with an enrolled face has."""
        asked = (
            "WITH asked (prefix) AS (VALUES {}) SELECT photos.sha256 FROM asked "
            "JOIN photos ON photos.sha256 >= prefix AND photos.sha256 < prefix || 'g' "
            "WHERE EXISTS (SELECT 1 FROM faces JOIN people ON people.id = faces.person "
            "WHERE faces.photo = photos.id AND people.removed IS NULL)"
        )
        found: list[int] = []
        with self.database.read() as connection:
            for at in range(0, len(keys), MOST_VARIABLES):
                some = [f"{key:016x}" for key in keys[at : at + MOST_VARIABLES].tolist()]
                holes = ", ".join(f"(:k{number})" for number in range(len(some)))
                query = sa.text(asked.format(holes))
                values = {f"k{number}": prefix for number, prefix in enumerate(some)}
                found += [content_key(sha) for sha in connection.execute(query, values).scalars()]
        return np.array(found, np.uint64)

    def photo_folders(self) -> list[str]:
        """Of the photos that are files, each with its last separator."""
        with self.database.read() as connection:
            paths = connection.execute(sa.select(photos.c.path)).scalars()
            return sorted({f"{path.parent}{os.sep}" for path in paths if path.is_absolute()})

    def photo_count(self) -> int:
        query = (
            sa.select(sa.func.count(sa.distinct(faces.c.photo)))
            .join(people, people.c.id == faces.c.person)
            .where(people.c.removed.is_(None))
        )
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def people(self) -> list[Person]:
        """Everybody, by name."""
        with self.database.read() as connection:
            rows = connection.execute(_counted()).all()
            return sorted(map(self._person, rows), key=lambda person: person.name)

    def person(self, name: str) -> Person:
        """Raises PersonError."""
        query = _counted().where(people.c.name == name)
        with self.database.read() as connection:
            row = connection.execute(query).first()
            if row is None:
                raise UnknownPerson(f"{name}: nobody of this name is enrolled")
            return self._person(row)

    def _person(self, row: Any) -> Person:
        """One of `_counted`. Raises GalleryError if damaged."""
        self._check(row.checksum == person_checksum(row.id, row.name), "person", row.id)
        TERMS.check(row)
        return Person(row.name, row.faces, row.photos, row.created, row.expires, row.consent)

    def enrolled(self, names: Collection[str]) -> set[str]:
        """Those of these names that people bear."""
        found: set[str] = set()
        asked = sorted(names)
        with self.database.read() as connection:
            for at in range(0, len(asked), MOST_VARIABLES):
                wanted = people.c.name.in_(asked[at : at + MOST_VARIABLES])
                query = sa.select(people.c.name).where(wanted, people.c.removed.is_(None))
                found.update(connection.execute(query).scalars())
        return found

    def with_two_photos(self, names: Collection[str]) -> set[str]:
        """Those of these people who are in two photos at least."""
        found: set[str] = set()
        asked = sorted(names)
        with self.database.read() as connection:
            for at in range(0, len(asked), MOST_VARIABLES):
                query = _counted().where(people.c.name.in_(asked[at : at + MOST_VARIABLES]))
                found |= {row.name for row in connection.execute(query) if row.photos > 1}
        return found

    def with_two_photos_count(self) -> int:
        """How many people have two faces at least."""
        several = totals.c.faces > sa.literal_column("1")  # as the index over them says it
        every = sa.select(sa.func.count()).select_from(totals).where(several)
        theirs = sa.select(totals.c.person).where(totals.c.person == people.c.id, several)
        hidden = sa.select(sa.func.count()).select_from(people)
        hidden = hidden.where(people.c.removed.is_not(None), theirs.exists())
        with self.database.read() as connection:
            counts = [connection.execute(query).scalar_one() for query in (every, hidden)]
        return int(counts[0] - counts[1])

    def faces_of(self, name: str) -> list[StoredFace]:
        """The faces of a person in the order of their enrolment. Raises PersonError."""
        query = (
            face_rows(photos.c.path).join(photos, photos.c.id == faces.c.photo).order_by(faces.c.id)
        )
        with self.database.read() as connection:
            person = person_number(connection, name)
            rows = connection.execute(query.where(faces.c.person == person)).all()
        for row in rows:
            self._check_face(row)
        return [StoredFace(row.id, name, row.path, Box(*json.loads(row.box))) for row in rows]

    def roster(self, name: str | None = None) -> EnrolledFaces:
        """Everybody's faces, or those of one person, who may be nobody.

        Raises GalleryError for a damaged row.
        """
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
                    sound = row.person_checksum == person_checksum(row.person, row.name)
                    self._check(sound, "person", row.person)
                    names[row.person] = row.name
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

    def where(self, numbers: list[int]) -> dict[int, FaceLocation]:
        """Where faces are from, by their numbers. Raises GalleryError for a damaged row."""
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
                    sound = row.photo_checksum == photo_checksum(row.photo, row.path, row.sha256)
                    self._check(sound, "photo", row.photo)
                    self._check_face(row)
                    points = tuple((float(x), float(y)) for x, y in json.loads(row.points))
                    face = Face(Box(*json.loads(row.box)), points, row.score)
                    found[row.id] = FaceLocation(row.path, row.sha256, face)
        return found

    def _embedding(self, row: Any) -> bytes:
        """The embedding of one of `face_rows`. Raises GalleryError if the row is damaged."""
        self._check_face(row)
        return self.database.unsealed(row.embedding, "face")

    def _joined(self, embeddings: list[bytes], dimension: str | None) -> Embeddings:
        """Stored embeddings as an array, (N, D). Raises GalleryError if D is not theirs."""
        if not embeddings:
            return np.empty((0, 1), np.float32)
        size = len(embeddings[0]) // 4
        if dimension != str(size) or any(len(each) != 4 * size for each in embeddings):
            raise self._misfit()
        return np.frombuffer(b"".join(embeddings), "<f4").reshape(-1, size)

    def _misfit(self) -> GalleryError:
        return GalleryError(
            f"{self.database.name}: damaged: the embeddings are not of the size that is "
            "written beside them; `facesearch gallery doctor` says more"
        )

    def _gathered(
        self, connection: sa.Connection, rows: Iterable[Any]
    ) -> tuple[NDArray[np.int64], Embeddings]:
        """Of `face_rows` the people (N,) and embeddings (N, D). Raises GalleryError if damaged."""
        dimension = get_setting(connection, "dimension") or ""
        size = int(dimension) if dimension.isdecimal() else 0
        owners, content = array("q"), bytearray()
        for row in rows:
            embedding = self._embedding(row)
            if len(embedding) != 4 * size:
                raise self._misfit()
            content += embedding
            owners.append(row.person)
        if not owners:
            return np.empty(0, np.int64), np.empty((0, 1), np.float32)
        return np.array(owners), np.frombuffer(content, "<f4").reshape(-1, size)

    def _check_people(self, rows: Iterable[Any]) -> None:
        """Of `_people`. Raises GalleryError for a damaged one."""
        for number, name, removed, checksum in rows:
            sound = (removed is not None) == ("\0" in name)  # see `removed_name`
            self._check(sound and checksum == person_checksum(number, name), "person", number)

    def _check_face(self, row: Any) -> None:
        """Of one of `face_rows`, without the key. Raises GalleryError if it is damaged."""
        self._check(face_is_sound(row), "face", row.id)

    def _check(self, sound: bool, what: str, number: int) -> None:
        if not sound:
            raise GalleryError(
                f"{self.database.name}: damaged: {what} {number} is not what was written; "
                "`facesearch gallery doctor` says more"
            )

    def chip(self, number: int) -> bytes | None:
        """The kept chip of a face by its number, if there is one."""
        with self.database.read() as connection:
            row = connection.execute(CHIPS.select().where(chips.c.face == number)).first()
            if row is None:
                return None
            CHIPS.check(row)
        return self.database.unsealed(row.image, "chip")

    def chip_count(self) -> int:
        with self.database.read() as connection:
            return int(
                connection.execute(sa.select(sa.func.count()).select_from(chips)).scalar_one()
            )

    # Writing

    def drop_chips(self) -> int:
        """Delete every kept chip; returns how many there were."""
        with self.database.write("drop-chips", {}) as connection:
            count = connection.execute(chips.delete()).rowcount
            set_setting(connection, UNCLEAN, "drop-chips")
        self.database.clean()
        return count

    def add(self, new: list[NewPhoto], model: ModelStamp) -> list[NewPhoto]:
        """Enrol the faces of photos; people are made as need be.

        A face in a place of its photo where somebody's is enrolled already is left out, and so is a
        photo without others; returns what was enrolled. model: of the embeddings. Raises
        GalleryError if those of the gallery are of another, or a face of these photos is damaged.
        """
        with self.database.write("enroll", {"photos": len(new)}) as connection:
            bound = _model(connection)
            if bound is not None and bound.fingerprint != model.fingerprint:
                raise GalleryError(
                    f"{self.database.name}: somebody began to enrol with another model, "
                    f"{bound.name!r}, in the meantime"
                )
            set_setting(connection, "model", model.name)
            set_setting(connection, "fingerprint", model.fingerprint)
            set_setting(connection, "dimension", str(model.dimension))
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
                self._check_face(row)
                taken.setdefault(row.sha256, []).append(Box(*json.loads(row.box)))
            left = (_without(photo, taken.get(photo.sha256, [])) for photo in new)
            fresh = [photo for photo in left if photo.faces]
            for photo in fresh:
                query = sa.select(people.c.id).where(people.c.name == photo.name)
                person = connection.execute(query).scalar()
                if person is None:
                    person = new_person(connection, photo.name)
                number = rows.get(photo.sha256) or _new_photo(connection, photo)
                set_path(connection, number, photo.path, photo.sha256)
                self._add_faces(connection, photo, number, person)
        return fresh

    def _add_faces(
        self, connection: sa.Connection, photo: NewPhoto, number: int, person: int
    ) -> None:
        rows = []
        for face, embedding, flip_consistency in zip(
            photo.faces, photo.embeddings, photo.flip_consistencies, strict=True
        ):
            box = [face.box.left, face.box.top, face.box.right, face.box.bottom]
            sealed = self.database.sealed(np.asarray(embedding, "<f4").tobytes(), "face")
            points = [list(point) for point in face.points]
            texts = json.dumps(box), json.dumps(points)
            rows.append(
                {
                    "photo": number,
                    "person": person,
                    "box": box,
                    "points": points,
                    "score": face.score,
                    "embedding": sealed,
                    "agreement": flip_consistency,
                    "checksum": face_checksum(number, person, *texts, flip_consistency, sealed),
                }
            )
        if photo.chips is None:
            connection.execute(faces.insert(), rows)
            return
        for row, chip in zip(rows, photo.chips, strict=True):
            made = _new_id(connection.execute(faces.insert().values(row)))
            keep_chip(connection, made, self.database.sealed(chip, "chip"))

    def rename(self, old: str, new: str) -> Event:
        """Give a person another name. Raises PersonError if `old` is unknown or `new` is taken."""
        event = Event("rename", {"old": old, "new": new})
        with self.database.write_event(event) as connection:
            person = event.detail["person"] = person_number(connection, old)
            set_name(connection, person, new)
        return event

    def remove(self, name: str) -> Event:
        """Take a person out of every answer, until it is undone.

        The name is free for another then. `purge` leaves nothing. Raises PersonError.
        """
        event = Event("remove", {"name": name})
        with self.database.write_event(event) as connection:
            person = event.detail["person"] = person_number(connection, name)
            query = sa.select(sa.func.count()).where(faces.c.person == person)
            event.faces = int(connection.execute(query).scalar_one())
            hide_person(connection, person, name)
        return event


def _counted() -> sa.Select[Any]:
    """Enrolled people: what `Person` has, with the checksums."""
    return (
        sa.select(
            people.c.id,
            people.c.checksum,
            people.c.name,
            sa.func.count(faces.c.id).label("faces"),
            sa.func.count(sa.distinct(faces.c.photo)).label("photos"),
            people.c.created,
            people.c.expires,
            people.c.consent,
            people.c.removed,
            people.c.terms_checksum,
        )
        .outerjoin(faces, faces.c.person == people.c.id)
        .where(people.c.removed.is_(None))
        .group_by(people.c.id)
    )


def _people() -> sa.Select[Any]:
    """Everybody, removed people too, with what their checksum covers."""
    return sa.select(people.c.id, people.c.name, people.c.removed, people.c.checksum)


def _model(connection: sa.Connection) -> ModelStamp | None:
    if connection.execute(sa.select(faces.c.id).limit(1)).first() is None:
        return None
    name, fingerprint, dimension = (
        get_setting(connection, key) or "" for key in ("model", "fingerprint", "dimension")
    )
    return ModelStamp(name, fingerprint, int(dimension) if dimension.isdecimal() else 0)


def person_number(connection: sa.Connection, name: str) -> int:
    """Raises PersonError."""
    query = sa.select(people.c.id).where(people.c.name == name, people.c.removed.is_(None))
    found = connection.execute(query).scalar()
    if found is None:
        raise UnknownPerson(f"{name}: nobody of this name is enrolled")
    return int(found)


def new_person(connection: sa.Connection, name: str) -> int:
    """The number of a person made now."""
    made = connection.execute(people.insert().values(name=name, created=now(), checksum=0))
    number = _new_id(made)
    set_name(connection, number, name)
    return number


def set_name(connection: sa.Connection, number: int, name: str) -> None:
    """Raises PersonError if the name is taken."""
    values = {"name": name, "checksum": person_checksum(number, name)}
    try:
        connection.execute(people.update().where(people.c.id == number).values(values))
    except sa.exc.IntegrityError as error:
        raise PersonError(f"{name}: this name is taken") from error


def hide_person(connection: sa.Connection, number: int, name: str) -> None:
    """The person is removed; name: theirs, free for another from now on."""
    set_name(connection, number, removed_name(name, number))
    connection.execute(people.update().where(people.c.id == number).values(removed=now()))


def _without(photo: NewPhoto, taken: list[Box]) -> NewPhoto:
    """The photo with those of its faces that lie in none of these places."""
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


def _new_photo(connection: sa.Connection, photo: NewPhoto) -> int:
    values = {
        "path": photo.path,
        "sha256": photo.sha256,
        "width": photo.width,
        "height": photo.height,
        "added": now(),
        "checksum": 0,
    }
    return _new_id(connection.execute(photos.insert().values(values)))


def set_path(connection: sa.Connection, number: int, path: Path, sha256: str) -> None:
    """Where a photo is now. sha256: the photo's."""
    values = {"path": path, "checksum": photo_checksum(number, path, sha256)}
    connection.execute(photos.update().where(photos.c.id == number).values(values))


def keep_chip(connection: sa.Connection, face: int, sealed: bytes) -> None:
    """Keep the chip of an enrolled face."""
    connection.execute(chips.insert().values(face=face, image=sealed))


def _new_id(result: sa.CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])
