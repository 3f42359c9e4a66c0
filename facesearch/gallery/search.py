"""Searching a gallery: the people near a face, thresholds, the answers for a photo."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.core.embedded import EmbeddedFace, EmbeddedPhoto
from facesearch.core.errors import GalleryError, PhotoError
from facesearch.core.latest import Latest
from facesearch.core.parallel import in_order
from facesearch.core.paths import COHORT
from facesearch.core.photos import Photo
from facesearch.core.templates import templates
from facesearch.gallery.gallery_index import GalleryIndex
from facesearch.gallery.impostor_search import impostor_scores
from facesearch.gallery.known_rejections import KnownRejections
from facesearch.gallery.recognizer import Recognizer
from facesearch.gallery.search_results import IdentifyResult, SearchResult
from facesearch.index import milvus
from facesearch.index.base import SearchIndex
from facesearch.matching.calibration import Calibration
from facesearch.matching.decision import EVEN, Candidate, decide
from facesearch.matching.identification import NEAREST_PEOPLE, IdentifiedFace, answered
from facesearch.matching.thresholds import ImpostorScores, Threshold, threshold_to_search
from facesearch.storage import audit_log
from facesearch.storage.records import PersonFaces
from facesearch.storage.store import Store
from facesearch.vision.model import Model
from facesearch.vision.photo_input import as_path

MOST_OFF_UNIT = 0.01  # by which the length of an embedding may differ from 1: it was rounded


@dataclass(frozen=True, slots=True)
class Question:
    """What a search is asked for beside the photo."""

    threshold: Threshold
    calibration: Calibration
    top: int = NEAREST_PEOPLE  # candidates listed for each face
    prior: float = EVEN  # the probability, before a face is looked at, that it is enrolled
    exact: bool = False  # miss nobody in a gallery of millions, however long that takes


@dataclass(frozen=True, slots=True)
class _Vector:
    """A face of which only the embedding is known."""

    embedding: Embeddings  # (D,)
    flip_consistency: float


class Search:
    """Finds the enrolled people near faces.

    Several threads may use it: the database serves each thread by itself, and one thread at a time
    looks at the index, for a millisecond where the network takes many.
    """

    def __init__(self, store: Store, index: GalleryIndex, rejections: KnownRejections) -> None:
        self._store, self._index, self._rejections = store, index, rejections
        self._impostor_scores: Latest[ImpostorScores] = Latest()

    def busy(self) -> AbstractContextManager[None]:
        """Keep the database's connections open while several questions follow one another."""
        return self._store.database.engine.busy()

    # Questions

    def question(
        self,
        recognizer: Recognizer,
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = NEAREST_PEOPLE,
        prior: float = EVEN,
        exact: bool = False,
    ) -> Question:
        """Raises ValueError for fpir with threshold, ModelError without a calibration.

        Raises GalleryError if nobody is enrolled, or for another model, and CalibrationError for a
        rate that cannot be promised.
        """
        calibration = recognizer.calibration
        limit = self.threshold(recognizer, fpir=fpir, threshold=threshold)
        return Question(limit, calibration, top, prior, exact)

    def threshold(
        self, recognizer: Recognizer, *, fpir: float | None = None, threshold: float | None = None
    ) -> Threshold:
        """The largest distance that a search accepts. Raises as `question` does."""
        if threshold is not None:
            if fpir is not None:
                raise ValueError("fpir and threshold exclude each other")
            return Threshold(threshold)
        calibration = recognizer.calibration
        self.check_model(recognizer.model)
        return threshold_to_search(calibration, self.impostor_scores(recognizer.model), fpir)

    def check_model(self, model: Model) -> None:
        """Raises GalleryError if the gallery's embeddings mean nothing to this model."""
        mine = self._store.model()
        if mine is not None and mine.fingerprint != model.fingerprint:
            raise GalleryError(
                f"{self._store.database.name}: enrolled with --model {mine.name} "
                f"({mine.fingerprint[:12]}), not with --model {model.name} "
                f"({model.fingerprint[:12]}); choose the former, move the gallery to the latter "
                f"with `facesearch gallery reindex --model {model.name}`, or choose another "
                "gallery with --gallery"
            )

    def check_searchable(self, model: Model) -> None:
        """Raises GalleryError if a search is in vain.

        Nobody is enrolled, the model is another one, or searches cannot be recorded as they must.
        """
        self.check_model(model)
        audit_log.check_recordable(self._store.database)
        if not len(self._index.current()):
            raise self._empty()

    def people_count(self) -> int:
        """How many people the index holds. Raises GalleryError for a damaged gallery."""
        return len(self._index.current())

    def _empty(self) -> GalleryError:
        name = self._store.database.name
        return GalleryError(f"{name}: nobody is enrolled yet; enroll somebody first")

    # Answers

    def identify(self, recognizer: Recognizer, photo: Photo, question: Question) -> IdentifyResult:
        """The answers for one photo. Raises PhotoError, and GalleryError as `check_searchable`."""
        self.check_searchable(recognizer.model)
        path = as_path(photo)
        with self.busy():
            seen = recognizer.embedder.embed_photo(path)
            return self._identified(photo, path, seen, question)

    def identify_each(
        self, recognizer: Recognizer, photos: Iterable[Photo], question: Question
    ) -> Iterator[IdentifyResult]:
        """The answers for photos, in their order, which are read on all cores ahead of that.

        A photo that cannot be read gives its error. Raises GalleryError as `check_searchable` does.
        """
        self.check_searchable(recognizer.model)
        embedder = recognizer.embedder
        pairs = ((photo, as_path(photo)) for photo in photos)
        with self.busy():
            for (photo, path), seen in in_order(lambda pair: embedder.embed_photo(pair[1]), pairs):
                try:
                    yield self._identified(photo, path, seen.result(), question)
                except PhotoError as error:
                    yield IdentifyResult(photo, [], error)

    def _identified(
        self, photo: Photo, path: Path, seen: EmbeddedPhoto, question: Question
    ) -> IdentifyResult:
        faces = self.answers(photo, path, seen, question)
        names = [face.name for face in faces if face.name is not None]
        audit_log.record(self._store.database, "identify", len(seen.faces), names)
        limit = question.threshold
        return IdentifyResult(
            photo, faces, None, limit.distance, limit.warning, seen.width, seen.height
        )

    def answers(
        self, photo: Photo, path: Path, seen: EmbeddedPhoto, question: Question
    ) -> list[IdentifiedFace]:
        """For the faces of a photo, see `answered`. Raises PhotoError if its file is gone."""
        barred = self._rejections.barred(path, seen.faces)
        usable = [face for face in seen.faces if not face.reason]
        least = max(NEAREST_PEOPLE, question.top)
        wanted = least + max(map(len, barred), default=0)
        found = iter(self.nearest(usable, wanted, question.calibration, exact=question.exact))
        near = [
            [] if face.reason else next(found)[: least + len(names)]
            for face, names in zip(seen.faces, barred, strict=True)
        ]
        people = len(self._index.current())
        limit, prior, top = question.threshold.distance, question.prior, question.top
        return answered(photo, seen.faces, near, barred, limit, people, prior, top)

    def are_named(self, path: Path, seen: EmbeddedPhoto, question: Question) -> list[bool]:
        """For each face of a photo whether a search names it, or hesitates between two people.

        Raises PhotoError and GalleryError.
        """
        answers = self.answers(path, path, seen, question)
        return [each.answer in ("match", "ambiguous") for each in answers if each.face is not None]

    def search(
        self, embedding: Embeddings | Sequence[float], recognizer: Recognizer, question: Question
    ) -> SearchResult:
        """Whose an embedding is, a unit vector (D,) of this model.

        Raises ValueError for what is none, and GalleryError as `check_searchable` does.
        """
        probe = _Vector(_unit(embedding, recognizer.model.dimension), flip_consistency=1.0)
        self.check_searchable(recognizer.model)
        people = len(self._index.current())
        top, limit = question.top, question.threshold
        (near,) = self.nearest([probe], max(NEAREST_PEOPLE, top), question.calibration)
        decision = decide(near, limit.distance, people)
        names = [decision.name] if decision.name else []
        audit_log.record(self._store.database, "search", 1, names)
        return SearchResult(decision, limit.distance, near[:top], limit.warning)

    # The people near a face

    def nearest(
        self,
        faces: Sequence[EmbeddedFace | _Vector],
        count: int,
        calibration: Calibration,
        *,
        exact: bool = False,
    ) -> list[list[Candidate]]:
        """For each face the `count` nearest people, nearest first.

        Raises GalleryError if the index and the faces of one of them disagree.
        """
        with self._index.turn:
            index, revision = self._index.current(), self._index.state.revision
            if not len(index) or not faces:
                return [[] for _ in faces]
            query = np.stack([seen.embedding for seen in faces])
            try:
                numbers, distances = index.search(query, count, exact=exact)
                near = np.unique(numbers)
                samples = self._store.person_faces(near.tolist())
                agree = _agree(index, near, samples)
            except (milvus.Gone, KeyError):
                agree = False
            if not agree:
                # changed a moment ago?
                if self._store.revision() != revision or self._index.distrust():
                    return self.nearest(faces, count, calibration, exact=exact)
                raise GalleryError(
                    f"{self._store.database.name}: damaged: faces are missing or are not those "
                    "that the index was made from; `facesearch gallery doctor` says more"
                )
        return [
            [
                _candidate(seen, samples[number], distance, calibration)
                for number, distance in zip(theirs.tolist(), apart.tolist(), strict=True)
            ]
            for seen, theirs, apart in zip(faces, numbers, distances, strict=True)
        ]

    def impostor_scores(self, model: Model) -> ImpostorScores:
        """How near the people with whom a model was calibrated come to this gallery as it is.

        Raises GalleryError if nobody is enrolled, ModelError without a cohort.
        """
        with self._index.turn:
            self._index.current()
            key = self._index.state.revision, model.fingerprint, _written(model.folder / COHORT)
            return self._impostor_scores.get(key, partial(self._scores, model))

    def _scores(self, model: Model) -> ImpostorScores:
        if not len(self._index.current()):
            raise self._empty()
        try:
            return impostor_scores(self._store, self._index.follower, model)
        except (milvus.Gone, KeyError):
            if not self._index.distrust():
                raise
            return self._scores(model)


def _unit(embedding: Embeddings | Sequence[float], dimension: int) -> Embeddings:
    """The embedding as an array of length 1. Raises ValueError if it is not nearly so already."""
    vector = np.asarray(embedding, np.float64)
    length = math.hypot(*vector.ravel())  # unlike NumPy's norm it does not overflow
    if vector.shape != (dimension,) or not abs(length - 1) <= MOST_OFF_UNIT:
        raise ValueError(f"embedding: not a unit vector of {dimension} numbers")
    return np.asarray(vector / length, np.float32)


def _written(file: Path) -> int:
    """When a file was written, in nanoseconds; 0 if there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _candidate(
    seen: EmbeddedFace | _Vector, person: PersonFaces, distance: float, calibration: Calibration
) -> Candidate:
    nearest = int((person.embeddings @ seen.embedding).argmax())
    worse = min(seen.flip_consistency, person.flip_consistency)
    ratio = calibration.evidence.log_ratio(distance, worse, len(person.photos))
    photo, face = person.photos[nearest], person.numbers[nearest]
    return Candidate(person.name, distance, photo, ratio, face)


def _agree(index: SearchIndex, numbers: NDArray[np.int64], samples: dict[int, PersonFaces]) -> bool:
    """Whether these are still the faces that the index was made from."""
    if samples.keys() != set(numbers.tolist()):
        return False
    if not samples:
        return True
    each = [samples[number].embeddings for number in numbers.tolist()]
    owners = np.repeat(np.arange(len(each)), [len(vectors) for vectors in each])
    made, kept = templates(np.concatenate(each), owners), index.of(numbers)
    return made.shape == kept.shape and np.allclose(made, kept, atol=1e-5)
