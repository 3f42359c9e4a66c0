"""Another model for a gallery: every face embedded anew beside the old, then all exchanged at once.

What is computed is kept in a table of its own, batch by batch, so that an interruption repeats
nothing. The gallery answers with its old model until one transaction exchanges everything.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch.core.arrays import Embeddings, Pixels
from facesearch.core.errors import GalleryError, PhotoError
from facesearch.core.face import Box, Face
from facesearch.core.progress import Progress
from facesearch.matching.rejection import near_of
from facesearch.storage import reembedded, rejections
from facesearch.storage.chips import stored_chips
from facesearch.storage.connection import Connection
from facesearch.storage.database import Database
from facesearch.storage.records import ModelStamp
from facesearch.storage.reembedded import NewEmbedding, PendingFace, PendingPhoto, Source
from facesearch.storage.row_checksums import Damaged
from facesearch.storage.store import Store, set_model
from facesearch.vision import images
from facesearch.vision.alignment import align
from facesearch.vision.embedder import Embedder, in_order
from facesearch.vision.stored_chips import chip_of

PHOTOS_PER_CHECKPOINT = 32  # photos between two points from which to go on
FOUND_AGAIN_IOU = 0.3  # the least overlap of a stored box with a face that is found again


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


Cut = tuple[PendingFace, Pixels, Source]  # a face with the model's chip of it


class _Behind(Exception):
    """The exchange came too early: there is more to embed."""


def unfinished(database: Database) -> str | None:
    """How far a reindex came that was interrupted, in words; None if there is none."""
    with database.read() as connection:
        target = reembedded.target(connection)
        if target is None:
            return None
        done, whole = reembedded.counts(connection)
    return f"to {target.name}: {done} of {whole} faces done"


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
                reembedded.forget(connection)
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

    # What is done, and what is left

    def _begin(self) -> int:
        """Begin, or take up an interrupted run; returns how many faces are done."""
        with self.database.append() as connection:
            if reembedded.target(connection) != self.target:
                reembedded.begin(connection, self.target)
            done, _ = reembedded.counts(connection)
        return done

    def _check_mine(self, connection: Connection) -> None:
        if reembedded.target(connection) != self.target:
            raise GalleryError(
                f"{self.name}: another reindex began or ended in the meantime; "
                "see `facesearch gallery info`"
            )

    def _left(self) -> set[int]:
        """The numbers of the faces that are neither done nor missing."""
        with self.database.read() as connection:
            self._check_mine(connection)
            pending = reembedded.pending_faces(connection)
        self._still_missing(pending)
        return pending - self.missing.keys()

    def _still_missing(self, pending: set[int]) -> None:
        """Forget notes of faces that are done or gone."""
        self.missing = {n: face for n, face in self.missing.items() if n in pending}

    def _batches(self) -> Iterator[list[PendingPhoto]]:
        """Photos with faces to be embedded, in the order of their numbers."""
        after = 0
        while True:
            with self.database.read() as connection:
                self._check_mine(connection)
                batch = reembedded.pending_photos(connection, after, PHOTOS_PER_CHECKPOINT)
            if not batch:
                return
            yield batch
            after = batch[-1].number

    # Embedding

    def _embed_all(self) -> None:
        with self.database.read() as connection:
            total = reembedded.pending_photo_count(connection)
        self.progress.start("embedding again", total)
        for batch in self._batches():
            self._embed(batch)

    def _embed(self, batch: list[PendingPhoto]) -> None:
        cut: list[tuple[PendingPhoto, Cut]] = []
        for photo, found in in_order(self._cut, batch):
            self.progress.advance()
            if isinstance(found, PhotoError):
                found = self._from_chips(photo, str(found).removeprefix(f"{photo.path}: "))
            cut += [(photo, each) for each in found]
        if not cut:
            return
        vectors, consistencies = self.embedder.model.embed_with_consistency(
            np.array([chip for _, (_, chip, _) in cut])
        )
        new = [
            NewEmbedding(face, photo.sha256, source, vector, float(consistency))
            for (photo, (face, _, source)), vector, consistency in zip(
                cut, vectors, consistencies, strict=True
            )
        ]
        # sealed within the transaction: another program may encrypt the gallery at any time
        with self.database.append() as connection:
            self._check_mine(connection)
            reembedded.keep(self.database, connection, new)

    def _cut(self, photo: PendingPhoto) -> list[Cut]:
        """The model's chips of the faces wanted in a photo. Raises PhotoError."""
        if images.sha256(photo.path) != photo.sha256:
            raise PhotoError(f"{photo.path}: not the photo that was enrolled")
        portrait = self.embedder.read(photo.path)
        again = _found_again([face.box for face in photo.faces], portrait.faces)
        cut: list[Cut] = []
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

    def _from_chips(self, photo: PendingPhoto, reason: str) -> list[Cut]:
        """Chips cut out of the stored ones, and a note of each face that has none.

        reason: why the photo itself cannot be used.
        """
        with self.database.read() as connection:
            stored = stored_chips(self.database, connection, [face.number for face in photo.faces])
        cut: list[Cut] = []
        how = self.embedder.preprocessing
        for face in photo.faces:
            chip = stored.get(face.number)
            why = "no chip is kept"
            if isinstance(chip, Damaged):
                why = str(chip)
            elif chip is not None:
                try:
                    cut.append((face, chip_of(chip, face.points, how), "chip"))
                    continue
                except PhotoError as error:
                    why = str(error)
            name, why = _shown(face.name), f"{reason}; {why}"
            self.missing[face.number] = Missing(name, photo.path, face.box, why)
        return cut

    # Rejections

    def _rejected(self) -> dict[int, Embeddings | None]:
        """The rejected faces embedded anew, by their rejections; None where a face is not found."""
        with self.database.read() as connection:
            places = rejections.places(connection)
        found: dict[int, Embeddings | None] = {}
        for place in places:
            found[place.rejection] = None
            if place.path is None:
                continue
            try:
                if images.sha256(place.path) != place.sha256:
                    continue
                portrait = self.embedder.read(place.path)
            except PhotoError:
                continue
            at = _found_again([place.box], portrait.faces).get(0)
            if at is not None:
                found[place.rejection] = self.embedder.embed(portrait.chips[at][None])[0]
        return found

    # The exchange

    def _exchange(
        self, former: ModelStamp, rejected: dict[int, Embeddings | None]
    ) -> tuple[dict[Source, int], int]:
        """Exchange everything in one transaction. Raises _Behind.

        Returns how many faces were cut out of what, and how many rejections lost their embedding.
        """
        detail = {"from": former.name, "to": self.target.name, "dropped": len(self.missing)}
        bad: list[int] = []
        try:
            with self.database.write("reindex", detail) as connection:
                self._check_mine(connection)
                pending = reembedded.pending_faces(connection)
                there = rejections.have_embedding(connection)
                if pending - self.missing.keys() or there.keys() - rejected.keys():
                    raise _Behind
                self._still_missing(pending)
                reembedded.drop_faces(connection, sorted(pending))
                dimension = self.target.dimension
                counts, bad = reembedded.exchange(self.database, connection, dimension)
                if bad:
                    raise _Behind
                if not any(counts.values()):
                    raise GalleryError(f"{self.name}: not one face can be embedded again")
                for number in there:
                    self._set_rejection(connection, number, rejected[number])
                narrowed = sum(had and rejected[number] is None for number, had in there.items())
                set_model(connection, self.target)
                reembedded.forget(connection)
        except _Behind:
            if bad:
                with self.database.append() as connection:
                    reembedded.drop(connection, bad)
            raise
        return counts, narrowed

    def _set_rejection(
        self, connection: Connection, number: int, vector: Embeddings | None
    ) -> None:
        if vector is None:  # the face is still known by its photo and box
            vector = np.empty(0, np.float32)
        rejections.set_embedding(self.database, connection, number, vector, self.near)


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


def _faces(count: int) -> str:
    return f"{count} face{'s' * (count != 1)}"


def _shown(name: str) -> str:
    """A name for people; that of a removed person bears a number."""
    plain, mark, _ = name.partition("\0")
    return f"{plain} (removed)" if mark else plain
