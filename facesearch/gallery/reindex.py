"""Another model for a gallery: every face embedded anew beside the old, then all exchanged at once.

What is computed is kept in a table of its own, batch by batch, so that a break repeats nothing. The
gallery answers with its old model until one transaction exchanges everything.
"""

import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa

from facesearch.core.arrays import Embeddings, Pixels
from facesearch.core.errors import GalleryError, PhotoError
from facesearch.core.face import Box, Face, Point
from facesearch.core.progress import Progress
from facesearch.matching.rejection import near_of
from facesearch.storage.database import Database
from facesearch.storage.records import ModelStamp
from facesearch.storage.row_checksums import CHIPS, REJECTIONS, Damaged, check_face
from facesearch.storage.schema import (
    Checksum,
    as_text,
    chips,
    face_checksum,
    faces,
    people,
    photos,
    rejections,
    settings,
)
from facesearch.storage.settings import get_setting, set_setting
from facesearch.storage.store import Store
from facesearch.vision import images
from facesearch.vision.alignment import align
from facesearch.vision.embedder import Embedder, in_order
from facesearch.vision.stored_chips import chip_of

PHOTOS_PER_CHECKPOINT = 32  # photos between two points from which to go on
PAGE = 1000  # faces read at once for the exchange
FOUND_AGAIN_IOU = 0.3  # the least overlap of a stored box with a face that is found again
UNIT = 1e-3  # how far the length of an embedding may lie from 1

UNFINISHED = "reindex"  # the setting with the model that an unfinished reindex leads to
Source = Literal["photo", "points", "chip"]

_new = sa.Table(  # embeddings with the model to come; a face that is deleted takes its own along
    "reembedded",
    sa.MetaData(),
    sa.Column(
        "face",
        sa.Integer,
        sa.ForeignKey(faces.c.id, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    sa.Column("sha256", sa.Text, nullable=False),  # of the photo
    # of the face: with `sha256` they say what was embedded
    sa.Column("points", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("embedding", sa.LargeBinary, nullable=False),
    sa.Column("agreement", sa.Float, nullable=False),
    sa.Column("checksum", Checksum, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Missing:
    """An enrolled face that cannot be embedded again."""

    name: str
    photo: Path
    box: Box
    reason: str


class FacesMissing(GalleryError):
    """Faces cannot be embedded again, and nobody said that they may be dropped."""

    def __init__(self, message: str, missing: list[Missing]) -> None:
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What a change of the model did."""

    model: str
    former: str
    faces: int  # embedded with the new model; 0 if the gallery had that model already
    photo: int  # of them found again in their photos
    points: int  # cut out of their photos where the old model's detector had found them
    chip: int  # cut out of kept chips
    resumed: int  # of them done before an interruption
    dropped: list[Missing]
    # of which nothing was left to embed: they hold for the very same photo only, not for copies
    rejections_narrowed: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A face to be embedded."""

    number: int
    name: str
    box: Box
    points: tuple[Point, ...]
    text: str  # of the points, as it is stored


@dataclass(frozen=True, slots=True)
class _Photo:
    number: int
    path: Path
    sha256: str
    faces: list[_Wanted]


class _Behind(Exception):
    """The exchange came too early: there is more to embed."""


def unfinished(database: Database) -> str | None:
    """How far a reindex came that was interrupted, in words; None if there is none."""
    with database.read() as connection:
        target = _target(connection)
        if target is None:
            return None
        done = connection.execute(sa.select(sa.func.count()).select_from(_done())).scalar_one()
        whole = connection.execute(sa.select(sa.func.count()).select_from(faces)).scalar_one()
    return f"to {target.name}: {done} of {whole} faces done"


def forget(connection: sa.Connection) -> None:
    """Drop what an unfinished reindex has computed."""
    connection.execute(sa.text("DROP TABLE IF EXISTS reembedded"))
    connection.execute(settings.delete().where(settings.c.key == UNFINISHED))


def reindex(
    store: Store, embedder: Embedder, progress: Progress, *, drop_missing: bool = False
) -> Reindexed:
    """Embed every face with the embedder's model, and exchange all embeddings in one step.

    A face is found again in its photo, as enrolling would; where this model's detector misses it,
    it is cut out at the points stored; where the photo is gone or another, from its kept chip.
    Faces of removed people are embedded too, so that they can be brought back. Goes on from where
    it was interrupted, unless that was on the way to another model.

    Raises FacesMissing, and changes nothing, for faces of which nothing is left; with
    `drop_missing` they are removed from the gallery instead. Raises GalleryError if there are no
    faces, or somebody else ends or begins a reindex meanwhile.
    """
    return _Reindex(store, embedder, progress).run(drop_missing)


class _Reindex:
    def __init__(self, store: Store, embedder: Embedder, progress: Progress) -> None:
        self.store = store
        self.database = store.database
        self.name = self.database.name
        self.embedder = embedder
        self.progress = progress
        model = embedder.model
        self.target = ModelStamp(model.name, model.fingerprint, model.dimension)
        self.near = near_of(model)
        self.missing: dict[int, Missing] = {}  # by the number of the face

    def run(self, drop_missing: bool) -> Reindexed:
        self.database.check_writable()
        former = self.store.model()
        if former is None:
            raise GalleryError(
                f"{self.name}: nobody is enrolled; the first enrolment decides on the model"
            )
        if former.fingerprint == self.target.fingerprint:
            with self.database.append() as connection:
                forget(connection)
            return Reindexed(self.target.name, former.name, 0, 0, 0, 0, 0, [], 0)
        resumed = self._begin()
        while True:
            while self._left():
                self._embed_all()
            if self.missing and not drop_missing:
                raise FacesMissing(
                    f"{self.name}: {_faces(len(self.missing))} cannot be embedded again, so the "
                    f"gallery stays with --model {former.name}; bring the photos back, or go on "
                    "without these faces with --drop-missing",
                    list(self.missing.values()),
                )
            try:
                counts, narrowed = self._exchange(former, self._rejected())
            except _Behind:
                continue
            dropped = list(self.missing.values())
            total = sum(counts.values())
            return Reindexed(
                self.target.name,
                former.name,
                total,
                counts["photo"],
                counts["points"],
                counts["chip"],
                min(resumed, total),
                dropped,
                narrowed,
            )

    # The table of what is done

    def _begin(self) -> int:
        """Make the table, or take up that of an interrupted run; returns how much is done."""
        with self.database.append() as connection:
            if _target(connection) != self.target:
                forget(connection)
                _new.create(connection, checkfirst=True)
                set_setting(connection, UNFINISHED, json.dumps(asdict(self.target)))
            return int(
                connection.execute(sa.select(sa.func.count()).select_from(_done())).scalar_one()
            )

    def _check_mine(self, connection: sa.Connection) -> None:
        if _target(connection) != self.target:
            raise GalleryError(
                f"{self.name}: another reindex began or ended in the meantime; "
                "see `facesearch gallery info`"
            )

    def _left(self) -> set[int]:
        """The numbers of the faces that are neither done nor missing."""
        with self.database.read() as connection:
            self._check_mine(connection)
            pending = set(connection.execute(_pending(faces.c.id)).scalars())
        self._still_missing(pending)
        return pending - self.missing.keys()

    def _still_missing(self, pending: set[int]) -> None:
        """Forget notes of faces that are done or gone."""
        self.missing = {n: face for n, face in self.missing.items() if n in pending}

    def _batches(self) -> Iterator[list[_Photo]]:
        """Photos with faces to be embedded, in the order of their numbers."""
        after = 0
        while True:
            with self.database.read() as connection:
                self._check_mine(connection)
                query = _pending(faces.c.photo).where(faces.c.photo > after).distinct()
                numbers = connection.execute(
                    query.order_by(faces.c.photo).limit(PHOTOS_PER_CHECKPOINT)
                )
                batch = _photos(connection, list(numbers.scalars()))
            if not batch:
                return
            yield batch
            after = batch[-1].number

    # Embedding

    def _embed_all(self) -> None:
        with self.database.read() as connection:
            query = sa.select(sa.func.count(sa.distinct(faces.c.photo)))
            total = connection.execute(query.where(faces.c.id.in_(_pending(faces.c.id))))
            self.progress.start("embedding again", int(total.scalar_one()))
        for batch in self._batches():
            self._embed(batch)

    def _embed(self, batch: list[_Photo]) -> None:
        cut: list[tuple[_Photo, _Wanted, Pixels, Source]] = []
        for photo, found in in_order(self._cut, batch):
            self.progress.advance()
            if isinstance(found, PhotoError):
                found = self._from_chips(photo, str(found).removeprefix(f"{photo.path}: "))
            cut += [(photo, *face) for face in found]
        if not cut:
            return
        vectors, flip_consistencies = self.embedder.model.embed_with_consistency(
            np.array([one[2] for one in cut])
        )
        # sealed within the transaction: another program may encrypt the gallery at any time
        with self.database.append() as connection:
            self._check_mine(connection)
            rows = []
            for (photo, face, _, source), vector, flip_consistency in zip(
                cut, vectors, flip_consistencies, strict=True
            ):
                sealed = self.database.sealed(np.asarray(vector, "<f4").tobytes(), "face")
                fields = photo.sha256, face.text, source, float(flip_consistency)
                row: dict[str, Any] = dict(
                    zip(("sha256", "points", "source", "agreement"), fields, strict=True)
                )
                row |= {"face": face.number, "embedding": sealed}
                rows.append(row | {"checksum": _checksum(face.number, *fields, sealed)})
            there = sa.select(faces.c.id).where(faces.c.id.in_([row["face"] for row in rows]))
            numbers = set(connection.execute(there).scalars())
            connection.execute(_new.delete().where(_new.c.face.in_(numbers)))
            still = [row for row in rows if row["face"] in numbers]
            if still:
                connection.execute(_new.insert(), still)

    def _cut(self, photo: _Photo) -> list[tuple[_Wanted, Pixels, Source]]:
        """The model's chips of the faces wanted in a photo. Raises PhotoError."""
        if images.sha256(photo.path) != photo.sha256:
            raise PhotoError(f"{photo.path}: not the photo that was enrolled")
        portrait = self.embedder.read(photo.path)
        again = _found_again([face.box for face in photo.faces], portrait.faces)
        cut: list[tuple[_Wanted, Pixels, Source]] = []
        whole: Pixels | None = None
        how = self.embedder.preprocessing
        for at, face in enumerate(photo.faces):
            if at in again:
                cut.append((face, portrait.chips[again[at]], "photo"))
                continue
            if whole is None:
                whole = images.read(photo.path)
            chip = align(whole, face.points, how.size, template=how.template)
            cut.append((face, chip, "points"))
        return cut

    def _from_chips(self, photo: _Photo, reason: str) -> list[tuple[_Wanted, Pixels, Source]]:
        """Chips cut out of the kept ones, and a note of the faces without one.

        reason: why the photo itself cannot be used.
        """
        numbers = [face.number for face in photo.faces]
        with self.database.read() as connection:
            query = CHIPS.select().where(chips.c.face.in_(numbers))
            kept = {row.face: row for row in connection.execute(query)}
        cut: list[tuple[_Wanted, Pixels, Source]] = []
        how = self.embedder.preprocessing
        for face in photo.faces:
            why = f"{reason}; no chip is kept"
            if face.number in kept:
                try:
                    CHIPS.check(kept[face.number])
                    image = self.database.unsealed(kept[face.number].image, "chip")
                    cut.append((face, chip_of(image, face.points, how), "chip"))
                    continue
                except (PhotoError, Damaged) as error:
                    why = f"{reason}; {error}"
            self.missing[face.number] = Missing(_shown(face.name), photo.path, face.box, why)
        return cut

    # Rejections

    def _rejected(self) -> dict[int, Embeddings | None]:
        """The rejected faces embedded anew, by their row; None where nothing of one is left."""
        query = REJECTIONS.select().add_columns(photos.c.path)
        query = query.outerjoin(photos, photos.c.sha256 == rejections.c.sha256)
        with self.database.read() as connection:
            rows = connection.execute(query).all()
            for row in rows:
                REJECTIONS.check(row)
        found: dict[int, Embeddings | None] = {}
        for row in rows:
            found[row.id] = None
            if row.path is None:
                continue
            try:
                if images.sha256(row.path) != row.sha256:
                    continue
                portrait = self.embedder.read(row.path)
            except PhotoError:
                continue
            at = _found_again([Box(*json.loads(row.box))], portrait.faces).get(0)
            if at is not None:
                found[row.id] = self.embedder.embed(portrait.chips[at][None])[0]
        return found

    # The exchange

    def _exchange(
        self, former: ModelStamp, rejected: dict[int, Embeddings | None]
    ) -> tuple[dict[Source, int], int]:
        """All at once. Raises _Behind.

        Returns how many faces came from where, and how many rejections lost their embedding.
        """
        detail = {"from": former.name, "to": self.target.name, "dropped": len(self.missing)}
        bad: list[int] = []
        counts: dict[Source, int] = {"photo": 0, "points": 0, "chip": 0}
        try:
            with self.database.write("reindex", detail) as connection:
                self._check_mine(connection)
                pending = set(connection.execute(_pending(faces.c.id)).scalars())
                query = sa.select(rejections.c.id, rejections.c.embedding)
                there = {number: bool(sealed) for number, sealed in connection.execute(query)}
                if pending - self.missing.keys() or there.keys() - rejected.keys():
                    raise _Behind
                self._still_missing(pending)
                self._drop(connection, sorted(pending))
                for row in _exchanged(connection):
                    if not self._sound(row):
                        bad.append(row.face)
                        continue
                    _set_embedding(connection, row)
                    counts[row.source] += 1
                if bad:
                    raise _Behind
                if not any(counts.values()):
                    raise GalleryError(f"{self.name}: not one face can be embedded again")
                for number in there:
                    self._set_rejection(connection, number, rejected[number])
                narrowed = sum(had and rejected[number] is None for number, had in there.items())
                set_setting(connection, "model", self.target.name)
                set_setting(connection, "fingerprint", self.target.fingerprint)
                set_setting(connection, "dimension", str(self.target.dimension))
                forget(connection)
        except _Behind:
            if bad:
                with self.database.append() as connection:
                    connection.execute(_new.delete().where(_new.c.face.in_(bad)))
            raise
        return counts, narrowed

    def _sound(self, row: Any) -> bool:
        """Whether what is about to be exchanged is what was computed.

        Raises GalleryError if the face's own row is damaged: a new checksum would hide it.
        """
        old = row.photo, row.person, row.box, row.points, row.old_agreement, row.old
        if row.old_checksum != face_checksum(*old):
            raise GalleryError(
                f"{self.name}: damaged: face {row.face} is not what was written; "
                "`facesearch gallery doctor` says more"
            )
        fields = row.sha256, row.points, row.source, row.agreement
        if row.checksum != _checksum(row.face, *fields, row.embedding):
            return False
        vector = np.frombuffer(self.database.unsealed(row.embedding, "face"), "<f4")
        if len(vector) != self.target.dimension:
            return False
        return abs(math.sqrt(float(np.square(vector, dtype=np.float64).sum())) - 1) <= UNIT

    def _drop(self, connection: sa.Connection, numbers: list[int]) -> None:
        for number in numbers:
            connection.execute(faces.delete().where(faces.c.id == number))
        if numbers:
            used = sa.select(faces.c.photo)
            connection.execute(photos.delete().where(photos.c.id.not_in(used)))

    def _set_rejection(
        self, connection: sa.Connection, number: int, vector: Embeddings | None
    ) -> None:
        if vector is None:  # it is still known by its photo and box
            vector = np.empty(0, np.float32)
        sealed = self.database.sealed(np.asarray(vector, "<f4").tobytes(), "rejection")
        changed = rejections.update().where(rejections.c.id == number)
        connection.execute(changed.values(embedding=sealed, near=self.near))


def _set_embedding(connection: sa.Connection, row: Any) -> None:
    fields = row.photo, row.person, row.box, row.points, row.agreement, row.embedding
    connection.execute(
        faces.update()
        .where(faces.c.id == row.face)
        .values(embedding=row.embedding, agreement=row.agreement, checksum=face_checksum(*fields))
    )


def _target(connection: sa.Connection) -> ModelStamp | None:
    """The model that an unfinished reindex leads to."""
    value = get_setting(connection, UNFINISHED)
    there = value is not None and sa.inspect(connection).has_table(_new.name)
    return None if value is None or not there else ModelStamp(**json.loads(value))


def _same() -> sa.ColumnElement[bool]:
    """Whether a row of the table is of this face as it is now."""
    return sa.and_(
        _new.c.face == faces.c.id,
        _new.c.sha256 == photos.c.sha256,
        _new.c.points == as_text(faces.c.points),
    )


def _done() -> sa.Subquery:
    query = sa.select(faces.c.id).join(photos, photos.c.id == faces.c.photo)
    return query.join(_new, _same()).subquery()


def _pending(column: sa.Column[Any]) -> sa.Select[Any]:
    """This column of the faces that are not done."""
    query = sa.select(column).join(photos, photos.c.id == faces.c.photo)
    return query.outerjoin(_new, _same()).where(_new.c.face.is_(None))


def _exchanged(connection: sa.Connection) -> Iterator[Any]:
    """The faces as they are, with what they are to become, a page at a time."""
    query = (
        sa.select(
            _new.c.face,
            _new.c.sha256,
            _new.c.source,
            _new.c.embedding,
            _new.c.agreement,
            _new.c.checksum,
            faces.c.photo,
            faces.c.person,
            as_text(faces.c.box).label("box"),
            as_text(faces.c.points).label("points"),
            faces.c.agreement.label("old_agreement"),
            faces.c.embedding.label("old"),
            faces.c.checksum.label("old_checksum"),
        )
        .join(faces, faces.c.id == _new.c.face)
        .order_by(_new.c.face)
        .limit(PAGE)
    )
    after = 0
    while rows := connection.execute(query.where(_new.c.face > after)).all():
        yield from rows
        after = rows[-1].face


def _photos(connection: sa.Connection, numbers: list[int]) -> list[_Photo]:
    """Photos with those of their faces that are not done."""
    query = (
        _pending(faces.c.id)
        .add_columns(photos.c.path, photos.c.sha256, faces.c.photo, people.c.name)
        .add_columns(faces.c.person, faces.c.agreement, faces.c.embedding, faces.c.checksum)
        .add_columns(as_text(faces.c.box).label("box"), as_text(faces.c.points).label("points"))
        .join(people, people.c.id == faces.c.person)
        .where(faces.c.photo.in_(numbers))
        .order_by(faces.c.photo, faces.c.id)
    )
    found: dict[int, _Photo] = {}
    for row in connection.execute(query):
        check_face(row)
        photo = found.setdefault(row.photo, _Photo(row.photo, row.path, row.sha256, []))
        points = tuple((float(x), float(y)) for x, y in json.loads(row.points))
        photo.faces.append(_Wanted(row.id, row.name, Box(*json.loads(row.box)), points, row.points))
    return list(found.values())


def _found_again(boxes: list[Box], found: list[Face]) -> dict[int, int]:
    """For the places of boxes those of the faces that cover them, each once, the best first."""
    pairs = [
        (box.overlap(face.box), at, number)
        for at, box in enumerate(boxes)
        for number, face in enumerate(found)
    ]
    again: dict[int, int] = {}
    for overlap, at, number in sorted(pairs, reverse=True):
        if overlap >= FOUND_AGAIN_IOU and at not in again and number not in again.values():
            again[at] = number
    return again


def _checksum(face: int, *fields_and_embedding: Any) -> int:
    *fields, embedding = fields_and_embedding
    return zlib.crc32(embedding, zlib.crc32(repr((face, *fields)).encode()))


def _faces(count: int) -> str:
    return f"{count} face{'s' * (count != 1)}"


def _shown(name: str) -> str:
    """A name for people; that of a removed person bears a number."""
    plain, mark, _ = name.partition("\0")
    return f"{plain} (removed)" if mark else plain
