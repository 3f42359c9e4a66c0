"""Enrolling photos: read, judged by the rest of their folder, written, reported."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from facesearch.core.errors import PhotoError
from facesearch.core.photos import Photo
from facesearch.core.progress import Progress
from facesearch.enrollment.duplicates import CopyFinder, KnownPicture
from facesearch.enrollment.folder_check import Folder, Verdict
from facesearch.enrollment.journal import PhotoScan, ScanJournal
from facesearch.enrollment.local_reader import PhotoReader
from facesearch.enrollment.new_photos import new_photo, stamp
from facesearch.enrollment.other_people import NearestPeople, OtherPeople
from facesearch.enrollment.person_photos import PersonPhotos, by_person
from facesearch.enrollment.prefetch import Prefetcher, ReadPhoto
from facesearch.enrollment.results import (
    EnrolledPhoto,
    WhichFaces,
    enrolled_before,
    same_content,
    unreadable,
)
from facesearch.matching.calibration import Calibration
from facesearch.matching.duplicates import near_enough
from facesearch.matching.rejection import Rejection, barred
from facesearch.storage.records import NOBODY
from facesearch.storage.store import Store
from facesearch.vision.embedder import Embedder

PHOTOS_PER_TRANSACTION = 32  # what a crash loses at most
CHOOSE = "choose with --faces largest or --faces all"


@dataclass(frozen=True, slots=True)
class EnrollmentOptions:
    """How photos are enrolled."""

    faces: WhichFaces = "only"  # of a photo with several
    include_doubtful: bool = False  # enrol what would be held back, and near copies
    dry_run: bool = False  # write nothing
    keep_chips: bool = False  # keep a small picture of every face that is enrolled


class Enroller:
    """One run of enrolment.

    A person's photos are judged together, so that their order does not matter. What can only be
    told from the other people waits until all photos have been read. Every PHOTOS_PER_TRANSACTION
    decided photos are one transaction, and are reported when they are written.
    """

    def __init__(
        self,
        store: Store,
        embedder: Embedder,
        reader: PhotoReader,
        calibration: Calibration | None,
        nearest: NearestPeople,
        rejections: Callable[[], list[Rejection]],
        options: EnrollmentOptions,
    ) -> None:
        """calibration: without one nothing is judged, and everything is enrolled.

        reader: reads the photos, as `embedder` would. nearest: finds the enrolled people near
        faces. rejections: what is known of whose faces are not whose.
        """
        self._store, self._embedder, self._calibration = store, embedder, calibration
        self._options, self._read_rejections = options, rejections
        self._rejections: list[Rejection] | None = None  # read anew after each transaction
        self._journal = ScanJournal(store.database, embedder, keep=options.keep_chips)
        self._prefetcher = Prefetcher(reader, store, self._journal, keep=options.keep_chips)
        self._unwritten: list[PhotoScan] = []  # that the journal does not hold yet
        self._in_journal: set[str] = set()  # SHA-256 of undecided photos
        self._owners: dict[str, tuple[str, Path]] = {}  # by SHA-256: who gets a photo in this run
        self._decided: list[tuple[PersonPhotos, int]] = []  # to be written next
        self._already_enrolled: set[str] = set()  # names of those asked for
        self._others = OtherPeople(store, calibration, nearest)
        self._copies = CopyFinder(near_enough(calibration) if calibration else 0.0)

    def run(self, asked: list[tuple[str, Photo]], progress: Progress) -> Iterator[EnrolledPhoto]:
        """Enrol photos, each with a name; yields what became of each, person by person."""
        people = by_person(asked)
        progress.start("enrolling", len(asked))
        sound = [person for person in people.values() if not person.fault]
        self._already_enrolled = self._store.enrolled([person.name for person in sound])
        photos = self._prefetcher.read([path for person in sound for path in person.paths])
        last = next(reversed(people), None)
        waiting: list[PersonPhotos] = []
        for name in list(people):
            person = people.pop(name)  # nothing holds on to what is written
            self._read(person, photos, progress)
            self._judge(person, final=False)
            self._others.add(person)
            if name == last and not waiting:
                self._judge(person, final=True)
            decided = set(range(len(person.paths))) - set(person.undecided)
            yield from self._decide(person, decided)
            if person.undecided:
                waiting.append(person)
            else:
                self._copies.forget(name)
        left = [(person, list(person.undecided)) for person in waiting]
        self._others.look_up([person.scans[place] for person, places in left for place in places])
        for person in waiting:
            self._judge(person, final=True)
        for person, places in left:
            yield from self._decide(person, set(places))
        yield from self._write()

    # Reading

    def _read(self, person: PersonPhotos, photos: Iterator[ReadPhoto], progress: Progress) -> None:
        """Read every photo of a person: known, unreadable, or with faces to be judged."""
        first: dict[str, Path] = {}  # of these photos, by SHA-256
        for place, path in enumerate(person.paths):
            result: EnrolledPhoto | None
            if person.fault:
                result = EnrolledPhoto(path, person.name, "skipped", person.fault, 0, error=True)
            else:
                result = self._read_one(person, place, next(photos), first)
            progress.advance()
            if result is not None:
                person.results[place] = result

    def _read_one(
        self, person: PersonPhotos, place: int, read: ReadPhoto, first: dict[str, Path]
    ) -> EnrolledPhoto | None:
        """What becomes of a photo unless it is judged otherwise; None: it is still to be judged."""
        path, name = person.paths[place], person.name
        if read.sha256:
            person.hashes[place] = read.sha256
        owner, where = self._owners.get(read.sha256, (name, path))
        if owner != name:
            return same_content(path, name, where, owner)
        if isinstance(read.found, set):
            return enrolled_before(path, name, read.found)
        if read.sha256 in first:
            return same_content(path, name, first[read.sha256], name)
        if isinstance(read.found, PhotoError):
            return unreadable(path, name, read.found)
        first[read.sha256] = path
        scan = replace(read.found, path=path)
        self._note(scan, fresh=read.fresh)
        return self._with_usable_faces(person, place, scan)

    def _with_usable_faces(
        self, person: PersonPhotos, place: int, scan: PhotoScan
    ) -> EnrolledPhoto | None:
        """Keep the faces that may be the person's; without any the photo is skipped."""
        if self._rejections is None:
            self._rejections = self._read_rejections()
        rejected = [
            barred(self._rejections, scan.sha256, seen.face.box, seen.embedding)
            for seen in scan.faces
        ]
        reason = f"rejected: this face is not {person.name}'s"
        faces = [
            replace(seen, reason=reason) if person.name in names else seen
            for seen, names in zip(scan.faces, rejected, strict=True)
        ]
        usable = [face for face in faces if not face.reason]
        if not usable:
            reason = faces[0].reason if faces else "no face found"
            return EnrolledPhoto(scan.path, person.name, "skipped", reason, 0)
        result = None
        if self._options.faces == "largest":
            note = f"the largest of {len(usable)} faces" if len(usable) > 1 else ""
            result = EnrolledPhoto(scan.path, person.name, "enrolled", note, 1)
            usable = usable[:1]
        person.scans[place] = replace(scan, faces=usable)
        person.rejected[place] = set().union(*rejected)
        return result

    def _note(self, scan: PhotoScan, *, fresh: bool) -> None:
        """Note a scan in the journal, so that an interruption repeats nothing.

        fresh: the journal does not hold it yet.
        """
        if not fresh:
            self._in_journal.add(scan.sha256)
            return
        self._unwritten.append(scan)
        if len(self._unwritten) >= PHOTOS_PER_TRANSACTION and not self._options.dry_run:
            self._journal.keep(self._unwritten)
            self._in_journal |= {scan.sha256 for scan in self._unwritten}
            self._unwritten.clear()

    # Judging

    def _judge(self, person: PersonPhotos, *, final: bool) -> None:
        """Decide what can be decided; `final` leaves nothing undecided."""
        if not person.scans:
            return
        if not person.judged:
            self._begin(person)
            places = person.judged
        else:
            places, person.undecided = person.undecided, []
        every_face = self._options.faces == "all"
        if final and person.folder is not None and not every_face:
            self._others.look_up([person.scans[place] for place in places])
        alone: list[int] = []  # places of photos with one face, which is the person's
        for place in places:
            scan = person.scans[place]
            if every_face or person.folder is None:
                self._take_unjudged(person, place)
                if len(scan.faces) == 1 and place in person.scans:
                    alone.append(place)
                continue
            others, count = self._others.near(person, place) if final else (None, 0)
            verdict = person.folder.judge(person.judged.index(place), others, count)
            if verdict is None:
                person.undecided.append(place)
                continue
            self._take(person, place, verdict)
            if place in person.scans:
                alone.append(place)
        if self._calibration is not None and not self._options.include_doubtful:
            self._drop_copies(person, alone)

    def _begin(self, person: PersonPhotos) -> None:
        """Put a person's photos together, with what is enrolled of them already."""
        places = person.judged = sorted(person.scans)
        if self._calibration is None:
            return
        dimension = self._embedder.model.dimension
        there = person.name in self._already_enrolled
        enrolled = self._store.enrolled_faces(person.name) if there else NOBODY
        where = self._store.face_locations(enrolled.numbers.tolist())
        for number, embedding in zip(enrolled.numbers.tolist(), enrolled.embeddings, strict=True):
            if number in where:
                known = KnownPicture(embedding, where[number].photo, where[number].face)
                self._copies.add(person.name, known)
        faces = [person.scans[place].faces for place in places]
        person.folder = Folder(
            [np.array([seen.embedding for seen in each]) for each in faces],
            [np.array([seen.flip_consistency for seen in each]) for each in faces],
            enrolled.embeddings.reshape(-1, dimension),
            float(enrolled.flip_consistencies.max(initial=0.0)),
            self._calibration,
        )

    def _take_unjudged(self, person: PersonPhotos, place: int) -> None:
        """Enrol a photo without asking the folder, unless a face must be chosen."""
        scan = person.scans[place]
        if len(scan.faces) > 1 and self._options.faces == "only":
            reason = f"{len(scan.faces)} faces found; {CHOOSE}"
            person.results[place] = EnrolledPhoto(scan.path, person.name, "skipped", reason, 0)
            del person.scans[place]
            return
        note = person.results[place].reason if place in person.results else ""
        person.results[place] = EnrolledPhoto(
            scan.path, person.name, "enrolled", note, len(scan.faces)
        )

    def _take(self, person: PersonPhotos, place: int, verdict: Verdict) -> None:
        """Make the folder's verdict the result of a photo."""
        scan, near = person.scans[place], verdict.nearest
        result = EnrolledPhoto(
            scan.path,
            person.name,
            "enrolled",
            verdict.reason,
            1,
            distance=verdict.distance,
            nearest=None if near is None else person.paths[person.judged[near]],
            other=verdict.other,
        )
        if verdict.face is None:
            reason = f"{verdict.reason}; {CHOOSE}"
            result = replace(result, status="skipped", reason=reason, faces=0)
        elif verdict.held and not self._options.include_doubtful:
            result = replace(result, status="skipped", faces=0, held=True)
        elif len(scan.faces) > 1:
            note = f"of {len(scan.faces)} faces the one like the rest of the folder"
            result = replace(result, reason=note)
            person.scans[place] = replace(scan, faces=[scan.faces[verdict.face]])
        elif verdict.held:
            result = replace(result, reason=f"enrolled all the same: {verdict.reason}")
        elif place in person.results:
            result = replace(result, reason=person.results[place].reason)
        if result.status == "skipped":
            del person.scans[place]
        person.results[place] = result

    def _drop_copies(self, person: PersonPhotos, places: list[int]) -> None:
        """Of photos that are copies of one picture enrol only the largest."""

        def largest_first(place: int) -> tuple[int, str]:
            scan = person.scans[place]
            return -scan.width * scan.height, scan.sha256

        for place in sorted(places, key=largest_first):
            scan = person.scans[place]
            seen = scan.faces[0]
            picture = KnownPicture(seen.embedding, scan.path, seen.face)
            original = self._copies.original(person.name, picture)
            if original is None:
                self._copies.add(person.name, picture)
                continue
            person.results[place] = EnrolledPhoto(
                scan.path,
                person.name,
                "duplicate",
                f"nearly the same picture as {original.path}",
                0,
                distance=float(np.linalg.norm(original.embedding - seen.embedding)),
                nearest=original.path,
            )
            del person.scans[place]

    # Writing

    def _decide(self, person: PersonPhotos, places: set[int]) -> Iterator[EnrolledPhoto]:
        """Put decided photos in line to be written; yields those of full transactions."""
        for place in sorted(places):
            scan = person.scans.get(place)
            if scan is not None and person.results[place].status == "enrolled":
                mine = person.name, scan.path
                owner, path = self._owners.setdefault(scan.sha256, mine)
                if (owner, path) != mine:
                    person.results[place] = same_content(scan.path, person.name, path, owner)
            self._decided.append((person, place))
            if len(self._decided) == PHOTOS_PER_TRANSACTION:
                yield from self._write()

    def _write(self) -> Iterator[EnrolledPhoto]:
        """Write the decided photos in one transaction, and yield what became of each."""
        batch, self._decided, self._rejections = self._decided, [], None
        new = {
            person.scans[place].sha256: (person, place)
            for person, place in batch
            if place in person.scans and person.results[place].status == "enrolled"
        }
        if new and not self._options.dry_run:
            photos = [new_photo(person.name, person.scans[at]) for person, at in new.values()]
            added = self._store.add(photos, stamp(self._embedder))
            written = {photo.sha256: len(photo.faces) for photo in added}
            for sha256, (person, place) in new.items():
                if sha256 in written:
                    result = person.results[place]
                    person.results[place] = replace(result, faces=written[sha256])
                    continue
                names = self._store.known([sha256]).get(sha256, set())  # somebody was quicker
                path = person.paths[place]
                person.results[place] = enrolled_before(path, person.name, names)
        self._forget({person.hashes[place] for person, place in batch if place in person.hashes})
        for person, place in batch:  # nothing holds on to what is written
            person.scans.pop(place, None)
            yield replace(person.results.pop(place), photo=person.photos[place])

    def _forget(self, hashes: set[str]) -> None:
        """Delete the scans of decided photos from the journal."""
        self._unwritten = [scan for scan in self._unwritten if scan.sha256 not in hashes]
        noted = self._in_journal & hashes
        if noted and not self._options.dry_run:
            self._journal.forget(noted)
            self._in_journal -= noted
