"""A gallery: enrol people from photos, and name the faces of others."""

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal

from facesearch import images
from facesearch.calibrate import Calibration
from facesearch.decide import Candidate, Decision, Threshold, decide, threshold_to_search
from facesearch.embed import Embedder, Portrait, in_order, unusable
from facesearch.errors import GalleryError, PersonError, PhotoError
from facesearch.face import Box
from facesearch.index import FaceIndex
from facesearch.model import Embeddings
from facesearch.progress import Progress
from facesearch.store import ModelStamp, NewPhoto, Person, Store, StoredFace

INDEX = "vectors.faiss"
BATCH = 32  # photos in a transaction: what a crash loses at most
LONGEST_NAME = 255

Which = Literal["only", "largest", "all"]


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What became of one photo."""

    photo: Path
    name: str
    status: Literal["enrolled", "duplicate", "skipped"]
    reason: str
    faces: int  # of it that are enrolled now
    error: bool = False  # the photo could not be read at all


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
        self._index: FaceIndex | None = None
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
            (self.folder / INDEX).unlink(missing_ok=True)  # it holds the vectors, too
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
            if FaceIndex.load(self.folder / INDEX, self._store.revision())
            else "to be rebuilt",
        )

    # Enrolling

    def enroll(
        self,
        photos: Iterable[tuple[str, Path]],
        embedder: Embedder,
        progress: Progress,
        which: Which = "only",
    ) -> Iterator[Enrolment]:
        """Enrol photos; yields what became of each, in order, as it is written.

        photos: each with the name of the person on it. which: of a photo with several faces.
        Photos known already, by content, are left alone. Every BATCH photos are one transaction:
        an interruption loses only what was not yielded. Raises GalleryError for another model or
        a folder that cannot be written to.
        """
        self._store.check_writable()
        self._check_model(embedder)
        asked = list(photos)
        progress.start("enrolling", len(asked))
        for at in range(0, len(asked), BATCH):
            batch = asked[at : at + BATCH]
            yield from self._enroll_batch(batch, embedder, progress, which)
        self._current_index()

    def _enroll_batch(
        self,
        photos: list[tuple[str, Path]],
        embedder: Embedder,
        progress: Progress,
        which: Which,
    ) -> list[Enrolment]:
        done: dict[int, Enrolment] = {}  # by the photo's place in the batch
        fresh: dict[str, tuple[int, str, Path]] = {}  # by hash: place, name, path

        def skip(place: int, reason: str, *, error: bool = False) -> None:
            name, path = photos[place]
            done[place] = Enrolment(path, name, "skipped", reason, 0, error)

        hashes: dict[int, str] = {}
        for place, (name, path) in enumerate(photos):
            try:
                clean_name(name)
                hashes[place] = _sha256(path)
            except (PersonError, PhotoError) as error:
                skip(place, str(error).removeprefix(f"{path}: "), error=True)
        known = self._store.known(list(hashes.values()))
        for place, sha256 in hashes.items():
            name, path = clean_name(photos[place][0]), photos[place][1]
            if sha256 in known:
                done[place] = _already(path, name, known[sha256])
            elif sha256 in fresh:
                _, first_name, first = fresh[sha256]
                if first_name == name:
                    done[place] = Enrolment(path, name, "duplicate", f"same content as {first}", 0)
                else:
                    skip(place, f"same content as {first}, which is {first_name}'s")
            else:
                fresh[sha256] = (place, name, path)
        for _ in done:
            progress.advance()
        new: dict[str, NewPhoto] = {}
        read = in_order(embedder.read, (path for _, _, path in fresh.values()))
        for (sha256, (place, name, path)), (_, portrait) in zip(fresh.items(), read, strict=True):
            progress.advance()
            if isinstance(portrait, PhotoError):
                skip(place, str(portrait).removeprefix(f"{path}: "), error=True)
                continue
            chosen, reason = _choose(portrait, which)
            if not chosen:
                skip(place, reason)
                continue
            new[sha256] = NewPhoto(
                name=name,
                path=Path(os.path.abspath(path)),  # noqa: PTH100 - keeps links as they are
                sha256=sha256,
                width=portrait.width,
                height=portrait.height,
                faces=[portrait.faces[face] for face in chosen],
                embeddings=embedder.embed(portrait.chips[chosen]),
            )
            done[place] = Enrolment(path, name, "enrolled", reason, len(chosen))
        if new:
            written = self._store.add(list(new.values()), _stamp(embedder))
            for sha256 in new.keys() - {photo.sha256 for photo in written}:
                place, name, path = fresh[sha256]  # somebody else was quicker
                names = self._store.known([sha256]).get(sha256, set())
                done[place] = _already(path, name, names)
        return [done[place] for place in range(len(photos))]

    # Searching

    def identify(
        self,
        photos: Iterable[Path],
        embedder: Embedder,
        threshold: float,
        calibration: Calibration,
        progress: Progress,
        top: int = 5,
    ) -> Iterator[tuple[Path, list[Identification] | PhotoError]]:
        """Every face of every photo, with one of the four answers, the largest face first.

        top: candidates listed for each face. A photo that cannot be read yields its PhotoError.
        Raises GalleryError if nobody is enrolled, or with another model.
        """
        self._check_model(embedder)
        index = self._current_index()
        if not len(index):
            raise GalleryError(f"{self.folder}: nobody is enrolled yet; enrol somebody first")
        paths = list(photos)
        progress.start("identifying", len(paths))
        for path, portrait in in_order(embedder.read, paths):
            progress.advance()
            if isinstance(portrait, PhotoError):
                yield path, portrait
            else:
                yield path, self._name(path, portrait, embedder, threshold, calibration, top)

    def threshold(self, calibration: Calibration, fpir: float | None) -> Threshold:
        """For a search of this gallery as large as it is now; see threshold_to_search."""
        return threshold_to_search(calibration, fpir, len(self._current_index()))

    def _name(
        self,
        path: Path,
        portrait: Portrait,
        embedder: Embedder,
        threshold: float,
        calibration: Calibration,
        top: int,
    ) -> list[Identification]:
        if not portrait.faces:
            nothing = Decision("unusable", None, None, None, "no face found")
            return [Identification(path, None, None, nothing, threshold, [])]
        answers = []
        embeddings = embedder.embed(portrait.chips)
        for number, face in enumerate(portrait.faces):
            reason = unusable(face, portrait.width, portrait.height)
            if reason:
                decision, near = Decision("unusable", None, None, None, reason), []
            else:
                near = self._nearest_people(embeddings[number : number + 1], max(2, top))
                decision = decide(near, threshold, calibration)
            answers.append(Identification(path, number, face.box, decision, threshold, near[:top]))
        return _each_person_once(answers)

    def _nearest_people(self, query: Embeddings, count: int) -> list[Candidate]:
        """The `count` nearest people; a person is as near as their nearest face."""
        index = self._current_index()
        count = min(count, self._store.person_count())
        wanted = 4 * count
        while True:
            numbers, distances = index.search(query, wanted)
            faces = self._store.faces(numbers[0].tolist())
            nearest: dict[str, Candidate] = {}
            for number, distance in zip(numbers[0].tolist(), distances[0].tolist(), strict=True):
                face = faces.get(number)  # None if it was removed a moment ago
                if face is not None:
                    nearest.setdefault(face.name, Candidate(face.name, distance, face.photo))
            if len(nearest) >= count or wanted >= len(index):
                return list(nearest.values())[:count]
            wanted *= 4

    # The index and the model

    def _current_index(self) -> FaceIndex:
        """The index of the gallery as it is now, rebuilt from the database if need be."""
        revision = self._store.revision()
        if self._index is None or revision != self._revision:
            self._index = FaceIndex.load(self.folder / INDEX, revision)
            if self._index is None:
                revision, numbers, embeddings = self._store.vectors()
                self._index = FaceIndex(numbers, embeddings)
                with suppress(OSError):  # it is only a cache
                    self._index.save(self.folder / INDEX, revision)
            self._revision = revision
        return self._index

    def _check_model(self, embedder: Embedder) -> None:
        """Embeddings of two models mean nothing to each other."""
        mine, other = self._store.model(), embedder.model
        if mine is not None and mine.fingerprint != other.fingerprint:
            raise GalleryError(
                f"{self.folder}: enrolled with the model {mine.name!r} ({mine.fingerprint[:12]}), "
                f"not with {other.name!r} ({other.fingerprint[:12]}); choose that one with "
                "--model, or another gallery with --gallery"
            )


def clean_name(name: str) -> str:
    """A person's name as it is kept: composed Unicode, spaces trimmed.

    Raises PersonError for an empty one, one with control characters, or one over LONGEST_NAME.
    """
    clean = unicodedata.normalize("NFC", name).strip()
    if not clean:
        raise PersonError("a person's name must not be empty")
    if len(clean) > LONGEST_NAME:
        raise PersonError(
            f"{clean[:20]}...: a name of {len(clean)} characters; {LONGEST_NAME} are the most"
        )
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in clean):
        raise PersonError(f"{clean!r}: a name must not hold control or broken characters")
    return clean


def _choose(portrait: Portrait, which: Which) -> tuple[list[int], str]:
    """The numbers of the faces to enrol, and why some or all are not."""
    if not portrait.faces:
        return [], "no face found"
    reasons = [unusable(face, portrait.width, portrait.height) for face in portrait.faces]
    good = [number for number, reason in enumerate(reasons) if not reason]
    if not good:
        return [], reasons[0]
    if len(good) == 1 or which == "all":
        return good, ""
    if which == "only":
        return [], f"{len(good)} faces found; choose with --faces largest or --faces all"
    return good[:1], f"the largest of {len(good)} faces"


def _stamp(embedder: Embedder) -> ModelStamp:
    model = embedder.model
    return ModelStamp(model.name, model.fingerprint, model.dimension)


def _already(path: Path, name: str, names: set[str]) -> Enrolment:
    if name in names:
        return Enrolment(path, name, "duplicate", "enrolled before", 0)
    others = ", ".join(sorted(names))
    return Enrolment(path, name, "skipped", f"this photo is enrolled as {others}", 0)


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


def _sha256(path: Path) -> str:
    with images.opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
