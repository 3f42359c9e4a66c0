"""A gallery: enrol people from photos, and name the faces of others."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from facesearch import cache, images
from facesearch.calibrate import Calibration, Strangers, calibration_of, cohort_of, strangers_to
from facesearch.cohort import content_key
from facesearch.decide import EVEN, Candidate, Decision, decide, threshold_to_search
from facesearch.embed import Embedder, SeenFace, in_order
from facesearch.enrolment import BATCH, Enroller, Enrolment, Which, clean_name, new_photo, stamp
from facesearch.errors import GalleryError, ModelError, PhotoError
from facesearch.face import Box
from facesearch.index import PersonIndex
from facesearch.model import COHORT, Model
from facesearch.progress import Progress
from facesearch.reviewed import reviewed, strangers_row
from facesearch.store import Person, Store, StoredFace
from facesearch.template import templates

if TYPE_CHECKING:
    from facesearch.unknown import UnknownFace

INDEX, STRANGERS = "vectors.faiss", "strangers.bin"
LISTED = 10  # people near a face that its probability is shared among, at least

__all__ = ["BATCH", "Enrolment", "Gallery", "GalleryInfo", "Identification", "Which", "clean_name"]


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer for one face of a photo, or for a photo without one."""

    photo: Path
    face: int | None  # counts from 0, the largest face first
    box: Box | None
    decision: Decision
    threshold: float
    candidates: list[Candidate]


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """The state of a gallery."""

    folder: Path
    people: int
    faces: int
    photos: int
    model: str | None
    fingerprint: str | None
    index: Literal["current", "to be rebuilt"]


class Gallery:
    """People with their faces in a folder; the only writer of its database and its index."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        """Raises GalleryError if there is no gallery in `folder` and none is to be made."""
        self.folder = folder
        self._store = Store(folder, create=create)
        self._index: PersonIndex | None = None
        self._revision = ""

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._store.close()

    # People

    def people(self) -> list[Person]:
        """Everybody, by name."""
        return self._store.people()

    def faces_of(self, name: str) -> list[StoredFace]:
        """Raises PersonError."""
        return self._store.faces_of(clean_name(name))

    def rename(self, old: str, new: str) -> None:
        """Raises PersonError if `old` is unknown, or `new` is taken or no name."""
        self._store.rename(clean_name(old), clean_name(new))

    def remove(self, name: str) -> int:
        """Remove a person with all that is kept of them; returns the number of faces.

        Raises PersonError.
        """
        try:
            return self._store.remove(clean_name(name))
        finally:
            for cached in (INDEX, STRANGERS):  # they hold what is derived from the faces
                (self.folder / cached).unlink(missing_ok=True)
            self._current_index()

    def info(self) -> GalleryInfo:
        """Sizes, and the model that the embeddings are made with."""
        people = self._store.people()
        model = self._store.model()
        return GalleryInfo(
            folder=self.folder,
            people=len(people),
            faces=sum(person.faces for person in people),
            photos=self._store.photo_count(),
            model=model.name if model else None,
            fingerprint=model.fingerprint if model else None,
            index="current"
            if PersonIndex.load(self.folder / INDEX, self._store.revision())
            else "to be rebuilt",
        )

    # Enrolling

    def enroll(
        self,
        photos: Iterable[tuple[str, Path]],
        embedder: Embedder,
        progress: Progress,
        which: Which = "only",
        *,
        insist: bool = False,
        dry_run: bool = False,
    ) -> Iterator[Enrolment]:
        """Enrol photos; yields what became of each, person by person, as it is written.

        photos: each with the name of the person on it. A person's photos are looked at together,
        see Folder; what can only be told from the other people comes last. which: of a photo with
        several faces. insist: enrol what would be held back, and near duplicates. dry_run: write
        nothing. Photos known already, by content, are left alone. Every BATCH photos are one
        transaction: an interruption loses only what was not yielded. Raises GalleryError for
        another model or a folder that cannot be written to.
        """
        if not dry_run:
            self._store.database.check_writable()
        self.check_model(embedder)
        try:
            calibration = calibration_of(embedder.model)
        except ModelError:
            calibration = None  # nothing can be judged then, and everything is enrolled
        enroller = Enroller(
            self._store, embedder, calibration, self._nearest_people, which, insist, dry_run
        )
        yield from enroller.run(list(photos), progress)
        if not dry_run:
            self._current_index()

    def enroll_faces(self, name: str, unknown: "Sequence[UnknownFace]", embedder: Embedder) -> int:
        """Enrol faces that were grouped; returns how many.

        A photo that is known already is left alone. Raises PersonError and GalleryError.
        """
        self._store.database.check_writable()
        self.check_model(embedder)
        by_photo: dict[str, list[UnknownFace]] = {}
        for face in unknown:
            by_photo.setdefault(face.sha256, []).append(face)
        new = [new_photo(clean_name(name), faces) for faces in by_photo.values()]
        written = self._store.add(new, stamp(embedder))
        self._current_index()
        return sum(len(photo.faces) for photo in written)

    def names(self, seen: SeenFace, threshold: float, calibration: Calibration) -> bool:
        """Whether a search names a usable face, or hesitates between two people."""
        near = self._nearest_people(seen, LISTED, calibration)
        return decide(near, threshold, max(1, len(near))).answer in ("match", "ambiguous")

    def review(
        self, model: Model, progress: Progress, fpir: float | None = None, *, photos: bool = True
    ) -> Iterator[dict[str, Any]]:
        """What is probably wrong, as rows; see Finding. The last row is what strangers find.

        fpir: the accepted error of a search. photos: whether photos may be opened, to see whether
        two faces are of one picture. Raises GalleryError if nobody is enrolled, or for another
        model, and ModelError without a calibration.
        """
        self._check_fingerprint(model)
        strangers = self.strangers(model)
        calibration = calibration_of(model)
        limit = threshold_to_search(calibration, strangers, fpir).distance
        yield from reviewed(self._store, calibration, limit, progress, photos=photos)
        yield strangers_row(strangers, limit, len(self._current_index()))

    # Searching

    def identify(
        self,
        photos: Iterable[Path],
        embedder: Embedder,
        threshold: float,
        calibration: Calibration,
        progress: Progress,
        top: int = 5,
        prior: float = EVEN,
    ) -> Iterator[tuple[Path, list[Identification] | PhotoError]]:
        """Every face of every photo, with one of the four answers, the largest face first.

        top: candidates listed for each face. prior: the probability, before a face is looked at,
        that it is an enrolled person's. A photo that cannot be read yields its PhotoError.
        Raises GalleryError if nobody is enrolled, or with another model.
        """
        self.check_model(embedder)
        if not len(self._current_index()):
            raise self._empty()
        paths = list(photos)
        progress.start("identifying", len(paths))
        for path, portrait in in_order(embedder.read, paths):
            progress.advance()
            if isinstance(portrait, PhotoError):
                yield path, portrait
                continue
            faces = embedder.faces(portrait)
            if not faces:
                nothing = Decision("unusable", None, None, None, "no face found")
                yield path, [Identification(path, None, None, nothing, threshold, [])]
                continue
            answers = []
            for number, seen in enumerate(faces):
                near: list[Candidate] = []
                decision = Decision("unusable", None, None, None, seen.reason)
                if not seen.reason:
                    near = self._nearest_people(seen, max(LISTED, top), calibration)
                    decision = decide(near, threshold, len(self._current_index()), prior)
                answers.append(
                    Identification(path, number, seen.face.box, decision, threshold, near[:top])
                )
            yield path, _each_person_once(answers)

    def strangers(self, model: Model) -> Strangers:
        """How near the people with whom a model was calibrated come to this gallery as it is.

        Raises GalleryError if nobody is enrolled, ModelError without a cohort.
        """
        index = self._current_index()
        if not len(index):
            raise self._empty()
        cohort = model.folder / COHORT
        stamp = f"{self._revision} {images.sha256(cohort) if cohort.is_file() else ''}"
        kept = cache.load(self.folder / STRANGERS, stamp)
        if kept is not None:
            distances, populations = np.frombuffer(kept, np.float64).reshape(2, -1)
            return Strangers(distances, populations.astype(np.int64))
        keys = np.array([content_key(sha256) for sha256 in self._store.hashes()], np.uint64)
        found = strangers_to(cohort_of(model), index.templates, keys)
        content = np.stack([found.distances, found.populations.astype(np.float64)]).tobytes()
        with suppress(OSError):
            cache.save(self.folder / STRANGERS, content, stamp)
        return found

    def _empty(self) -> GalleryError:
        return GalleryError(f"{self.folder}: nobody is enrolled yet; enrol somebody first")

    def _nearest_people(
        self, seen: SeenFace, count: int, calibration: Calibration
    ) -> list[Candidate]:
        """The `count` nearest people, nearest first."""
        if not len(self._current_index()):
            return []
        numbers, distances = self._current_index().search(seen.embedding[None], count)
        samples = self._store.samples(numbers[0].tolist())
        found = []
        for number, distance in zip(numbers[0].tolist(), distances[0].tolist(), strict=True):
            person = samples.get(number)
            if person is None:
                continue  # removed a moment ago
            nearest = int((person.embeddings @ seen.embedding).argmax())
            worse = min(seen.agreement, person.agreement)
            ratio = calibration.evidence.log_ratio(distance, worse, len(person.photos))
            found.append(Candidate(person.name, distance, person.photos[nearest], ratio))
        return found

    # The index and the model

    def _current_index(self) -> PersonIndex:
        """The index of the gallery as it is now, rebuilt from the database if need be."""
        revision = self._store.revision()
        if self._index is None or revision != self._revision:
            self._index = PersonIndex.load(self.folder / INDEX, revision)
            if self._index is None:
                revision, faces, embeddings = self._store.vectors()
                people, owners = np.unique(faces, return_inverse=True)
                self._index = PersonIndex(people, templates(embeddings, owners))
                with suppress(OSError):  # it is only a cache
                    self._index.save(self.folder / INDEX, revision)
            self._revision = revision
        return self._index

    def check_model(self, embedder: Embedder) -> None:
        """Raises GalleryError if its embeddings mean nothing to this model."""
        self._check_fingerprint(embedder.model)

    def _check_fingerprint(self, other: Model) -> None:
        mine = self._store.model()
        if mine is not None and mine.fingerprint != other.fingerprint:
            raise GalleryError(
                f"{self.folder}: enrolled with --model {mine.name} ({mine.fingerprint[:12]}), "
                f"not with --model {other.name} ({other.fingerprint[:12]}); choose the former, "
                "or another gallery with --gallery"
            )


def _each_person_once(answers: list[Identification]) -> list[Identification]:
    """In one photo a person can be only one face: the nearest keeps the name."""
    best: dict[str, Identification] = {}
    for answer in answers:
        name, distance = answer.decision.name, answer.decision.distance
        if name is not None and distance is not None:
            rival = best.get(name)
            if rival is None or distance < (rival.decision.distance or 0):
                best[name] = answer
    result = []
    for answer in answers:
        name = answer.decision.name
        if name is not None and best[name] is not answer:
            reason = f"{name} is already face {best[name].face} of this photo, which is nearer"
            decision = replace(answer.decision, answer="unknown", name=None, reason=reason)
            answer = replace(answer, decision=decision)
        result.append(answer)
    return result
