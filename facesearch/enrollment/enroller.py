"""Photos into the database: read, judged by the rest of their folder, written, reported."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import PersonError, PhotoError
from facesearch.core.face import Face
from facesearch.core.names import clean_name
from facesearch.core.photos import Photo
from facesearch.core.progress import Progress
from facesearch.core.uploads import Upload
from facesearch.enrollment.folder_check import Folder, Verdict
from facesearch.enrollment.journal import PhotoScan, ScanJournal
from facesearch.enrollment.local_reader import PhotoReader
from facesearch.enrollment.prefetch import Found, Prefetcher
from facesearch.enrollment.results import EnrolledPhoto, WhichFaces
from facesearch.index.faiss_index import PersonIndex
from facesearch.matching import rejection
from facesearch.matching.calibration import Calibration
from facesearch.matching.decision import Candidate
from facesearch.matching.duplicates import near_enough
from facesearch.matching.evidence import FACES_BEHIND
from facesearch.matching.identification import NEAREST_PEOPLE
from facesearch.matching.rejection import Rejection
from facesearch.storage.records import NOBODY, ModelStamp, NewPhoto
from facesearch.storage.store import Store
from facesearch.vision.embedder import EmbeddedFace, Embedder
from facesearch.vision.near_duplicates import Sketch, copies, sketch
from facesearch.vision.photo_input import as_path

if TYPE_CHECKING:
    from facesearch.gallery.unknown_faces import UnknownFace

PHOTOS_PER_TRANSACTION = 32  # photos in a transaction: what a crash loses at most
LOOKED_AT = 3  # faces near one that may be its copy whose photos are opened, at most
SKETCHES = 256  # kept in memory

Which = WhichFaces
SEARCHED = 64  # faces at once: by far quicker than one by one
Nearest = Callable[[Sequence[EmbeddedFace], int, Calibration], list[list[Candidate]]]
Said = Callable[[], list[Rejection]]


@dataclass(slots=True)
class _Job:
    """A person with the photos to enrol; results by the photos' places."""

    name: str
    photos: list[Photo]  # as they were given
    paths: list[Path]
    hashes: dict[int, str] = field(default_factory=dict)
    done: dict[int, EnrolledPhoto] = field(default_factory=dict)
    scans: dict[int, PhotoScan] = field(default_factory=dict)
    kept: list[tuple[Embeddings, Path, Face]] = field(default_factory=list)  # enrolled faces
    barred: dict[int, set[str]] = field(default_factory=dict)  # who is known not to be on it
    undecided: list[int] = field(default_factory=list)
    folder: Folder | None = None
    begun: list[int] = field(default_factory=list)  # the places of the folder's photos, in order


class Enroller:
    """One run of enrolment."""

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        looker: PhotoReader,
        calibration: Calibration | None,
        nearest: Nearest,
        said: Said,
        which: Which,
        insist: bool,
        dry_run: bool,
        keep: bool,
    ) -> None:
        """Without a calibration nothing is judged. keep: a chip of every face that is enrolled.

        nearest: the enrolled people near faces. said: whose faces are known not to be.
        """
        self._store, self._embedder, self._calibration = store, embedder, calibration
        self._nearest, self._said, self._which = nearest, said, which
        self._rejections: list[Rejection] | None = None  # None: to be asked for
        self._insist, self._dry_run = insist, dry_run
        self._looked = ScanJournal(store.database, embedder, keep=keep)
        self._ahead = Prefetcher(looker, store, self._looked, keep=keep)
        self._pending: list[PhotoScan] = []  # read, but neither written nor kept
        self._kept: set[str] = set()  # of looks
        self._claims: dict[str, tuple[str, Path]] = {}  # by SHA-256, of what this run enrolled
        self._queue: list[tuple[_Job, int]] = []  # decided, and not written yet
        self._known: set[str] = set()  # of those who are asked for
        self._crowd = _Crowd()
        self._near = near_enough(calibration) if calibration else 0.0
        self._sketches: dict[tuple[Path, Face], Sketch | None] = {}
        self._near_of: dict[str, list[Candidate]] = {}  # by SHA-256 of the photo, with one face
        self._several: int | None = None  # people in two photos at least

    def run(self, asked: list[tuple[str, Photo]], progress: Progress) -> Iterator[EnrolledPhoto]:
        """Yields what became of each photo, person by person; see Gallery.enroll."""
        jobs: dict[str, _Job] = {}
        for name, photo in asked:
            key = _kept_name(name)
            job = jobs.setdefault(key, _Job(key, [], []))
            job.photos.append(photo)
            job.paths.append(as_path(photo))
        self._known = self._store.enrolled([name for name in jobs if not _fault_of(name)])
        progress.start("enrolling", len(asked))
        waiting: list[_Job] = []
        last = list(jobs)[-1] if jobs else None
        sound = [job.paths for job in jobs.values() if not _fault_of(job.name)]
        found = self._ahead.found([path for paths in sound for path in paths])
        for name in list(jobs):
            job = jobs.pop(name)  # what is written is not held on to
            self._look(job, found, progress)
            self._judge(job, final=False)
            self._crowd.add(job)
            if name == last and not waiting:
                self._judge(job, final=True)
            yield from self._decided(job, set(range(len(job.paths))) - set(job.undecided))
            if job.undecided:
                waiting.append(job)
        decided = [(job, list(job.undecided)) for job in waiting]
        self._search([job.scans[place] for job, places in decided for place in places])
        for job in waiting:
            self._judge(job, final=True)
        for job, places in decided:
            yield from self._decided(job, set(places))
        yield from self._written()

    def _look(self, job: _Job, scans: Iterator[Found], progress: Progress) -> None:
        """Every photo of a person: known, unreadable, or with faces to be judged."""
        fault = _fault_of(job.name)
        first: dict[str, Path] = {}
        for place, path in enumerate(job.paths):
            done: EnrolledPhoto | None
            if fault:
                done = EnrolledPhoto(path, job.name, "skipped", fault, 0, error=True)
            else:
                done = self._looked_at(job, place, path, next(scans), first)
            progress.advance()
            if done is not None:
                job.done[place] = done

    def _looked_at(
        self, job: _Job, place: int, path: Path, found: Found, first: dict[str, Path]
    ) -> EnrolledPhoto | None:
        """What became of a photo, or becomes unless it is judged otherwise; None: to be judged.

        first: the photos of this job, by SHA-256.
        """
        if found.sha256:
            job.hashes[place] = found.sha256
        claim = self._claims.get(found.sha256)
        if claim is not None and claim[0] != job.name:
            return _claimed(path, job.name, claim)
        if isinstance(found.sight, set):
            return _already(path, job.name, found.sight)
        if found.sha256 in first:
            reason = f"same content as {first[found.sha256]}"
            return EnrolledPhoto(path, job.name, "duplicate", reason, 0)
        if isinstance(found.sight, PhotoError):
            return _unreadable(job.name, path, found.sight)
        first[found.sha256] = path
        look = replace(found.sight, path=path)
        self._keep(look, fresh=found.fresh)
        if self._rejections is None:
            self._rejections = self._said()
        barred = [
            rejection.barred(self._rejections, look.sha256, seen.face.box, seen.embedding)
            for seen in look.faces
        ]
        rejected = f"rejected: this face is not {job.name}'s"
        faces = [
            replace(seen, reason=rejected) if job.name in names else seen
            for seen, names in zip(look.faces, barred, strict=True)
        ]
        good = [face for face in faces if not face.reason]
        if not good:
            reason = faces[0].reason if faces else "no face found"
            return EnrolledPhoto(path, job.name, "skipped", reason, 0)
        done = None
        if self._which == "largest":
            note = f"the largest of {len(good)} faces" if len(good) > 1 else ""
            done = EnrolledPhoto(path, job.name, "enrolled", note, 1)
            good = good[:1]
        job.scans[place] = replace(look, faces=good)
        job.barred[place] = set().union(*barred)
        return done

    def _keep(self, look: PhotoScan, *, fresh: bool) -> None:
        """So that a break repeats nothing. fresh: not kept yet."""
        if not fresh:
            self._kept.add(look.sha256)
            return
        self._pending.append(look)
        if len(self._pending) >= PHOTOS_PER_TRANSACTION and not self._dry_run:
            self._looked.keep(self._pending)
            self._kept |= {look.sha256 for look in self._pending}
            self._pending.clear()

    # Judging

    def _judge(self, job: _Job, *, final: bool) -> None:
        """Decide what can be decided; `final` leaves nothing undecided."""
        if not job.scans:
            return
        places = sorted(job.scans)
        if not job.begun:
            self._begin(job, places)
            todo = places
        else:
            todo, job.undecided = job.undecided, []
        if final and job.folder is not None and self._which != "all":
            self._search([job.scans[place] for place in todo])
        theirs: list[int] = []
        for place in todo:
            look = job.scans[place]
            if self._which == "all" or job.folder is None:
                self._take_unjudged(job, place)
                if len(look.faces) == 1 and place in job.scans:
                    theirs.append(place)
                continue
            others, people = self._others(job, place) if final else (None, 0)
            verdict = job.folder.judge(job.begun.index(place), others, people)
            if verdict is None:
                job.undecided.append(place)
                continue
            self._take(job, place, verdict)
            if place in job.scans:
                theirs.append(place)
        if self._calibration is not None and not self._insist:
            self._drop_copies(job, theirs)

    def _begin(self, job: _Job, places: list[int]) -> None:
        """The folder as a whole, with what is enrolled of the person already."""
        job.begun = places
        if self._calibration is None:
            return
        dimension = self._embedder.model.dimension
        enrolled = self._store.enrolled_faces(job.name) if job.name in self._known else NOBODY
        where = self._store.face_locations(enrolled.numbers.tolist())
        for number, embedding in zip(enrolled.numbers.tolist(), enrolled.embeddings, strict=True):
            if number in where:
                job.kept.append((embedding, where[number].photo, where[number].face))
        job.folder = Folder(
            [np.array([seen.embedding for seen in job.scans[place].faces]) for place in places],
            [
                np.array([seen.flip_consistency for seen in job.scans[place].faces])
                for place in places
            ],
            enrolled.embeddings.reshape(-1, dimension),
            float(enrolled.flip_consistencies.max(initial=0.0)),
            self._calibration,
        )

    def _others(self, job: _Job, place: int) -> tuple[list[Candidate], int]:
        """The people near a photo's only face, but for its own; and how many they are among."""
        assert self._calibration is not None
        name, look, barred = job.name, job.scans[place], job.barred[place]
        if len(look.faces) > 1:
            return [], 1
        seen = look.faces[0]
        found: dict[str, Candidate] = {}
        crowd = self._crowd.names
        if self._several is None:
            self._several = self._store.with_two_faces_count()
            self._several += len(crowd - self._store.with_two_photos(crowd))
        near = self._near_of[look.sha256]
        several = self._store.with_two_photos({one.name for one in near} | {name})
        # of a person in one photo it cannot be told who is wrong
        near = [one for one in near if one.name in several]
        for one in [*near, *self._crowd.near(seen, self._calibration)]:
            if one.name != name and one.name not in barred:
                rival = found.get(one.name)
                if rival is None or one.log_ratio > rival.log_ratio:
                    found[one.name] = one
        return list(found.values()), max(1, self._several - (name in several | crowd))

    def _search(self, scans: list[PhotoScan]) -> None:
        """Find the people near each face that is alone on its photo."""
        if self._calibration is None:
            return
        new = [look for look in scans if len(look.faces) == 1 and look.sha256 not in self._near_of]
        for at in range(0, len(new), SEARCHED):
            some = new[at : at + SEARCHED]
            faces = [look.faces[0] for look in some]
            near = self._nearest(faces, NEAREST_PEOPLE, self._calibration)
            self._near_of |= {look.sha256: one for look, one in zip(some, near, strict=True)}

    def _take_unjudged(self, job: _Job, place: int) -> None:
        look = job.scans[place]
        if len(look.faces) > 1 and self._which == "only":
            reason = f"{len(look.faces)} faces found; {CHOOSE}"
            job.done[place] = EnrolledPhoto(look.path, job.name, "skipped", reason, 0)
            del job.scans[place]
            return
        note = job.done[place].reason if place in job.done else ""
        job.done[place] = EnrolledPhoto(look.path, job.name, "enrolled", note, len(look.faces))

    def _take(self, job: _Job, place: int, verdict: Verdict) -> None:
        """What the folder said becomes the photo's result."""
        look = job.scans[place]
        near = verdict.nearest
        nearest = None if near is None else job.paths[job.begun[near]]
        result = EnrolledPhoto(
            look.path,
            job.name,
            "enrolled",
            verdict.reason,
            1,
            distance=verdict.distance,
            nearest=nearest,
            other=verdict.other,
        )
        if verdict.face is None:
            reason = f"{verdict.reason}; {CHOOSE}"
            job.done[place] = replace(result, status="skipped", reason=reason, faces=0)
            del job.scans[place]
            return
        if verdict.held and not self._insist:
            job.done[place] = replace(result, status="skipped", faces=0, held=True)
            del job.scans[place]
            return
        if len(look.faces) > 1:
            note = f"of {len(look.faces)} faces the one like the rest of the folder"
            result = replace(result, reason=note)
            job.scans[place] = replace(look, faces=[look.faces[verdict.face]])
        elif verdict.held:
            result = replace(result, reason=f"enrolled all the same: {verdict.reason}")
        elif place in job.done:
            result = replace(result, reason=job.done[place].reason)
        job.done[place] = result

    def _drop_copies(self, job: _Job, places: list[int]) -> None:
        """Of photos that are copies of one picture only the largest is enrolled."""

        def size(place: int) -> tuple[int, str]:
            look = job.scans[place]
            return -look.width * look.height, look.sha256

        for place in sorted(places, key=size):
            look = job.scans[place]
            seen = look.faces[0]
            original = self._copy_of(job, look)
            if original is None:
                job.kept.append((seen.embedding, look.path, seen.face))
                continue
            embedding, path, _ = original
            distance = float(np.linalg.norm(embedding - seen.embedding))
            job.done[place] = EnrolledPhoto(
                look.path,
                job.name,
                "duplicate",
                f"nearly the same picture as {path}",
                0,
                distance=distance,
                nearest=path,
            )
            del job.scans[place]

    def _copy_of(self, job: _Job, look: PhotoScan) -> tuple[Embeddings, Path, Face] | None:
        if not job.kept:
            return None
        seen = look.faces[0]
        apart = np.linalg.norm(np.stack([one[0] for one in job.kept]) - seen.embedding, axis=1)
        for number in np.argsort(apart, kind="stable")[:LOOKED_AT]:
            if apart[number] > self._near:
                break
            original = job.kept[int(number)]
            mine, theirs = self._sketch(look.path, seen.face), self._sketch(*original[1:])
            if mine is not None and theirs is not None and copies(mine, theirs):
                return original
        return None

    def _sketch(self, path: Path, face: Face) -> Sketch | None:
        """None where the photo is gone."""
        key = (path, face)
        if key not in self._sketches:
            if len(self._sketches) >= SKETCHES:
                self._sketches.pop(next(iter(self._sketches)))
            try:
                self._sketches[key] = sketch(path, face)
            except PhotoError:
                self._sketches[key] = None
        return self._sketches[key]

    # Writing

    def _decided(self, job: _Job, places: set[int]) -> Iterator[EnrolledPhoto]:
        """These photos wait to be written, and are told of when they are."""
        for place in sorted(places):
            look = job.scans.get(place)
            if look is not None and job.done[place].status == "enrolled":
                claim = self._claims.setdefault(look.sha256, (job.name, look.path))
                if claim != (job.name, look.path):
                    job.done[place] = _claimed(look.path, job.name, claim)
            self._queue.append((job, place))
            if len(self._queue) == PHOTOS_PER_TRANSACTION:
                yield from self._written()

    def _written(self) -> Iterator[EnrolledPhoto]:
        """Write what waits, and tell of it."""
        batch, self._queue, self._rejections = self._queue, [], None
        new = {
            job.scans[place].sha256: (job, place)
            for job, place in batch
            if place in job.scans and job.done[place].status == "enrolled"
        }
        if new and not self._dry_run:
            photos = [
                _new_photo(job.name, job.scans[at], job.scans[at].faces) for job, at in new.values()
            ]
            added = self._store.add(photos, stamp(self._embedder))
            written = {photo.sha256: len(photo.faces) for photo in added}
            for sha256, (job, place) in new.items():
                if sha256 in written:
                    job.done[place] = replace(job.done[place], faces=written[sha256])
                    continue
                names = self._store.known([sha256]).get(sha256, set())  # somebody was quicker
                job.done[place] = _already(job.paths[place], job.name, names)
        self._forget({job.hashes[place] for job, place in batch if place in job.hashes})
        for job, place in batch:  # what is written is not held on to
            job.scans.pop(place, None)
            yield replace(job.done.pop(place), photo=job.photos[place])

    def _forget(self, hashes: set[str]) -> None:
        """These photos are decided."""
        self._pending = [look for look in self._pending if look.sha256 not in hashes]
        kept = self._kept & hashes
        if kept and not self._dry_run:
            self._looked.forget(kept)
            self._kept -= kept


CHOOSE = "choose with --faces largest or --faces all"


class _Crowd:
    """The people of a tree who are in two photos at least: a template of each."""

    def __init__(self) -> None:
        self._people: list[tuple[str, Embeddings, int, float, Path]] = []
        self._index: PersonIndex | None = None

    @property
    def names(self) -> set[str]:
        return {person[0] for person in self._people}

    def add(self, job: _Job) -> None:
        template = job.folder.template if job.folder else None
        typical = job.folder.typical() if job.folder else None
        if template is not None and typical is not None:
            self._people.append((job.name, *template, job.paths[job.begun[typical]]))
            self._index = None

    def near(self, seen: EmbeddedFace, calibration: Calibration) -> list[Candidate]:
        """The nearest of them."""
        if not self._people:
            return []
        if self._index is None:
            templates = np.stack([person[1] for person in self._people])
            self._index = PersonIndex(np.arange(len(templates)), templates)
        numbers, distances = self._index.search(seen.embedding[None], NEAREST_PEOPLE)
        found = []
        for number, distance in zip(numbers[0].tolist(), distances[0].tolist(), strict=True):
            name, _, photos, flip_consistency, path = self._people[number]
            worse, behind = min(seen.flip_consistency, flip_consistency), min(photos, FACES_BEHIND)
            ratio = calibration.evidence.log_ratio(distance, worse, behind)
            found.append(Candidate(name, distance, path, ratio))
        return found


def new_photo(name: str, faces: "Sequence[UnknownFace]") -> NewPhoto:
    """What is stored of faces of one photo, at least one."""
    return _new_photo(name, faces[0], [face.seen for face in faces])


def _new_photo(name: str, photo: "PhotoScan | UnknownFace", faces: list[EmbeddedFace]) -> NewPhoto:
    return NewPhoto(
        name=name,
        path=_kept_path(photo.path),
        sha256=photo.sha256,
        width=photo.width,
        height=photo.height,
        faces=[seen.face for seen in faces],
        embeddings=np.array([seen.embedding for seen in faces]),
        flip_consistencies=[seen.flip_consistency for seen in faces],
        chips=[seen.kept for seen in faces if seen.kept is not None] or None,
    )


def _kept_path(path: Path) -> Path:
    if isinstance(path, Upload):
        return path
    return Path(os.path.abspath(path))  # noqa: PTH100 - keeps links as they are


def stamp(embedder: Embedder) -> ModelStamp:
    """Of the embeddings that it makes."""
    model = embedder.model
    return ModelStamp(model.name, model.fingerprint, model.dimension)


def _fault_of(name: str) -> str:
    """Why nobody can bear this name; empty if somebody can."""
    try:
        clean_name(name)
    except PersonError as error:
        return str(error)
    return ""


def _kept_name(name: str) -> str:
    """The clean name, or what was given where that is none."""
    try:
        return clean_name(name)
    except PersonError:
        return name


def _unreadable(name: str, path: Path, error: PhotoError) -> EnrolledPhoto:
    return EnrolledPhoto(path, name, "skipped", str(error).removeprefix(f"{path}: "), 0, error=True)


def _claimed(path: Path, name: str, claim: tuple[str, Path]) -> EnrolledPhoto:
    whose, first = claim
    if whose == name:
        return EnrolledPhoto(path, name, "duplicate", f"same content as {first}", 0)
    return EnrolledPhoto(path, name, "skipped", f"same content as {first}, which is {whose}'s", 0)


def _already(path: Path, name: str, names: set[str]) -> EnrolledPhoto:
    if name in names:
        return EnrolledPhoto(path, name, "duplicate", "enrolled before", 0)
    if not names:
        return EnrolledPhoto(path, name, "skipped", "another program enrolled and removed it", 0)
    others = ", ".join(sorted(names))
    return EnrolledPhoto(path, name, "skipped", f"this photo is enrolled as {others}", 0)
