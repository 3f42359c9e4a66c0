"""A gallery: enrol people from photos, and name the faces of others."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings, Pixels
from facesearch.core.errors import GalleryError, ModelError, PhotoError
from facesearch.core.names import clean_name as clean_name
from facesearch.core.progress import Progress
from facesearch.core.templates import templates
from facesearch.enrollment.enroller import PHOTOS_PER_TRANSACTION, Enroller, EnrollmentOptions
from facesearch.enrollment.journal import PhotoScan
from facesearch.enrollment.local_reader import LocalReader, PhotoReader
from facesearch.enrollment.new_photos import new_photo, stamp
from facesearch.enrollment.results import EnrolledPhoto
from facesearch.enrollment.results import WhichFaces as Which
from facesearch.gallery import curation, encryption, purge, rejections, undo
from facesearch.gallery.archive_export import export
from facesearch.gallery.archive_format import Archive
from facesearch.gallery.archive_import import Merged, merge
from facesearch.gallery.archive_records import Contents
from facesearch.gallery.change import Change, Rejected
from facesearch.gallery.face_picture import picture_of
from facesearch.gallery.impostor_search import impostor_scores
from facesearch.gallery.profile import Profile, profile_of
from facesearch.gallery.purge import PurgeTarget
from facesearch.gallery.reindex import Reindexed, reindex, unfinished
from facesearch.gallery.rejections import Contradiction
from facesearch.gallery.relink import Link, relink
from facesearch.gallery.review_report import reviewed, strangers_row
from facesearch.index import milvus
from facesearch.index.base import SearchIndex
from facesearch.index.local_index import LocalIndex
from facesearch.index.milvus_sync import MilvusSync, forget_name, name_of
from facesearch.matching import rejection
from facesearch.matching.calibration import Calibration, calibration_of
from facesearch.matching.decision import EVEN, Candidate, Decision, decide
from facesearch.matching.identification import NEAREST_PEOPLE, Identification, answered
from facesearch.matching.rejection import Rejection
from facesearch.matching.thresholds import ImpostorScores, threshold_to_search
from facesearch.storage import audit_log, cache_file, preferences
from facesearch.storage.job_spool import JobSpool
from facesearch.storage.records import Person, PersonFaces, StoredFace
from facesearch.storage.store import Store
from facesearch.storage.vault import Keys, Kind, Secret, Vault, from_environment
from facesearch.vision import images
from facesearch.vision.embedder import EmbeddedFace, EmbeddedPhoto, Embedder, in_order
from facesearch.vision.model import Model

if TYPE_CHECKING:
    from facesearch.gallery.unknown_faces import UnknownFace

INDEX, STRANGERS = cache_file.INDEX, cache_file.STRANGERS

__all__ = [
    "PHOTOS_PER_TRANSACTION",
    "EnrolledPhoto",
    "Gallery",
    "GalleryInfo",
    "Identification",
    "Which",
    "clean_name",
]


@dataclass(frozen=True, slots=True)
class GroupEnrolled:
    """What became of the faces of a group."""

    faces: int  # that are enrolled now
    rejected: int  # known not to be the person's
    known: int  # in a place of their photo where somebody's is enrolled


@dataclass(frozen=True, slots=True)
class GalleryInfo:
    """The state of a gallery."""

    folder: str  # or its URL, without a password
    people: int
    faces: int
    photos: int
    model: str | None
    fingerprint: str | None
    index: Literal["current", "to be rebuilt", "in the database"]
    keeps_chips: bool
    chips: int
    unfinished_reindex: str | None  # how far it is
    encrypted: Kind | None  # with what
    audit: str  # "on" if searches are recorded


class Gallery:
    """People with their faces; the only writer of their database and of their index."""

    def __init__(
        self, where: Path | str, *, create: bool = False, keys: Keys = from_environment
    ) -> None:
        """where: a folder, or a URL of PostgreSQL.

        The index is in Milvus if MILVUS_URI is set. keys: asked for what opens an encrypted gallery
        when face data is needed first. Raises GalleryError if there is no gallery and none is to be
        made.
        """
        self._store = Store(where, create=create, keys=keys)
        self.name = self._store.database.name
        self.folder = self._store.database.folder  # of the caches
        server = milvus.chosen()
        self._following: LocalIndex | MilvusSync = (
            LocalIndex(self._store) if server is None else MilvusSync(self._store, server)
        )
        self._said: tuple[str, list[Rejection]] | None = None  # at which revision

    def __enter__(self) -> "Gallery":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._following.forget()
        self._store.close()

    @property
    def jobs(self) -> JobSpool:
        """The jobs of a service that enrols photos in the background."""
        return JobSpool(self._store.database)

    # People

    def people(self) -> list[Person]:
        """Everybody, by name."""
        return self._store.people()

    def person(self, name: str) -> Person:
        """Raises PersonError."""
        return self._store.person(clean_name(name))

    def faces_of(self, name: str) -> list[StoredFace]:
        """Raises PersonError."""
        return self._store.faces_of(clean_name(name))

    def rename(self, old: str, new: str) -> None:
        """Raises PersonError if `old` is unknown, or `new` is taken or no name."""
        curation.rename(self._store, clean_name(old), clean_name(new))

    def remove(self, name: str) -> int:
        """Take a person out of every answer; `undo` brings them back. Returns their faces.

        Raises PersonError.
        """
        self._store.database.check_writable()
        try:
            return curation.remove(self._store, clean_name(name)).faces
        finally:
            self._renew_caches()

    def merge(self, name: str, other: str, *, force: bool = False) -> int:
        """See `curation.merge`."""
        return curation.merge(
            self._store.database, clean_name(name), clean_name(other), force=force
        ).faces

    def split(self, name: str, numbers: Iterable[int], into: str, *, force: bool = False) -> int:
        """See `curation.split`."""
        return curation.split(
            self._store.database, clean_name(name), numbers, clean_name(into), force=force
        ).faces

    def changes(self) -> list[Change]:
        """What can be undone, the latest first."""
        return undo.changes(self._store.database)

    def undo(self, event: int | None = None) -> Change:
        """See `undo.undo`."""
        try:
            return undo.undo(self._store.database, event)
        finally:
            self._renew_caches()

    def set_terms(
        self, name: str, *, expires: str | None = None, consent: str | None = None
    ) -> None:
        """See `curation.set_terms`."""
        curation.set_terms(self._store.database, clean_name(name), expires=expires, consent=consent)

    def profile(self, name: str) -> Profile:
        """The faces of a person, and how typical they are. Raises PersonError."""
        return profile_of(self._store.database, clean_name(name))

    # Leaving nothing

    def kept_of(self, name: str) -> list[PurgeTarget]:
        """Whom `purge` takes."""
        return purge.targets_of(self._store.database, clean_name(name))

    def purge(self, name: str) -> int:
        """Leave nothing of a person, also of one removed before; see `purge.purge`.

        Raises PersonError, and GalleryError if another program reads on for so long that what was
        removed cannot be overwritten now, or if Milvus has it and cannot be reached.
        """
        count = purge.purge(self._store.database, clean_name(name))
        self._overwrite()
        return count

    def expired(self, on: date) -> list[PurgeTarget]:
        """Whom `purge_expired` takes."""
        return purge.expired(self._store.database, on)

    def purge_expired(self, on: date) -> list[PurgeTarget]:
        """`purge` everybody whose last day was before this one; returns who they were.

        Ends a purge that was interrupted, too. Raises GalleryError as `purge` does.
        """
        gone = purge.purge_expired(self._store.database, on)
        if purge.unfinished(self._store.database):
            self._overwrite()
        return gone

    def _overwrite(self) -> None:
        try:
            done = self._store.database.clean()
        finally:
            self._renew_caches()
        if not done:
            raise GalleryError(
                f"{self.name}: the purge is done, but another program is reading, so that what "
                "was removed is not overwritten yet; the next start without one does it, or "
                "`facesearch gallery purge-expired`"
            )
        if isinstance(self._following, MilvusSync):
            self._following.clean()
        elif name_of(self._store) is not None:
            raise GalleryError(
                f"{self.name}: the purge is done here, but Milvus may hold what was removed; set "
                "MILVUS_URI and run `facesearch gallery purge-expired`, or, if that server is gone "
                "for good, `facesearch gallery leave-milvus --lost`"
            )

    def leave_milvus(self, *, lost: bool = False) -> None:
        """Drop what Milvus has of this gallery; lost: of a server that is gone for good.

        Raises GalleryError if there is nothing, or if the server cannot be reached.
        """
        if name_of(self._store) is None:
            raise GalleryError(f"{self.name}: has nothing in Milvus")
        if lost:
            forget_name(self._store)
        elif isinstance(self._following, MilvusSync):
            self._following.leave()
        else:
            raise GalleryError(
                f"{self.name}: set MILVUS_URI to the server to leave, or say --lost if it is "
                "gone for good"
            )

    def _renew_caches(self) -> None:
        """They hold what is derived from the faces; also what a killed program left of them.

        An index that cannot be made now, without the key or from damaged rows, is gone as well: the
        next search makes it, or says why not.
        """
        derived = [self.folder / STRANGERS, *self.folder.glob("*.new")]
        if isinstance(self._following, MilvusSync):
            derived += [self.folder / name for name in cache_file.NAMES]  # of the time before
        for path in derived:
            with suppress(IsADirectoryError, PermissionError):
                path.unlink(missing_ok=True)
        try:
            if self._store.database.unlocked:
                self._current_index()
                return
        except GalleryError:
            pass
        with suppress(OSError):
            cache_file.clear(self.folder)

    # Rejections, moved photos

    def reject(
        self, name: str, photo: Path, embedder: Embedder, face: int | None = None
    ) -> Rejected:
        """Keep that a face of a photo is not a person's, and take it from them.

        face: as identify counts; None: the only one. See `rejections.reject`. Raises PhotoError
        without such a face, PersonError, and GalleryError for another model.
        """
        self._store.database.check_writable()
        self.check_model(embedder)
        seen = embedder.embed_photo(photo).faces
        if not seen:
            raise PhotoError(f"{photo}: no face found")
        if face is None:
            if len(seen) > 1:
                raise PhotoError(
                    f"{photo}: {len(seen)} faces found; choose with --face, as identify counts them"
                )
            face = 0
        if not 0 <= face < len(seen):
            raise PhotoError(f"{photo}: has no face {face}; {len(seen)} found, counted from 0")
        one = seen[face]
        return rejections.reject(
            self._store.database,
            clean_name(name),
            images.sha256(photo),
            one.face.box,
            one.embedding[:0] if one.reason else one.embedding,
            rejection.near_of(embedder.model),
            face=face,
        )

    def reject_face(self, name: str, number: int, model: Model) -> Rejected:
        """The same for a face that is enrolled, by its number. model: the gallery's.

        Raises PersonError, and GalleryError for another model.
        """
        self._check_fingerprint(model)
        face = rejections.face_to_reject(self._store.database, number)
        return rejections.reject(
            self._store.database,
            clean_name(name),
            face.sha256,
            face.box,
            face.embedding,
            rejection.near_of(model),
            face=number,
        )

    def rejections(self) -> list[Rejection]:
        """What `reject` kept, in the order in which it was said."""
        revision = self._store.revision()
        if self._said is None or self._said[0] != revision:
            self._said = revision, rejections.rejected(self._store.database)
        return self._said[1]

    def photos_of_rejections(self) -> dict[str, Path]:
        """Where the photos are, by SHA-256, as far as they are enrolled."""
        return rejections.photos_of(self._store.database)

    def forget(self, number: int) -> None:
        """Take a rejection back. Raises PersonError."""
        rejections.forget(self._store.database, number)

    def rejected_pairs(self) -> list[Contradiction]:
        """See `rejections.rejected_pairs`."""
        return rejections.rejected_pairs(self._store.database)

    def _barred(self, path: Path, faces: list[EmbeddedFace]) -> list[set[str]]:
        """For each face of a photo the people whose it is known not to be. Raises PhotoError."""
        said = self.rejections()
        sha256 = images.sha256(path) if said else ""
        return [rejection.barred(said, sha256, seen.face.box, seen.embedding) for seen in faces]

    def photo_folders(self) -> list[str]:
        """Where the enrolled photos are, each with its last separator."""
        return self._store.photo_folders()

    def relink(self, folder: Path, progress: Progress) -> list[Link]:
        """Find photos that were moved; see `relink.relink`. Raises PhotoError, GalleryError."""
        return relink(self._store.database, folder, progress)

    def info(self) -> GalleryInfo:
        """Sizes, and the model that the embeddings are made with."""
        people = self._store.people()
        model = self._store.model()
        return GalleryInfo(
            folder=self.name,
            people=len(people),
            faces=sum(person.faces for person in people),
            photos=self._store.photo_count(),
            model=model.name if model else None,
            fingerprint=model.fingerprint if model else None,
            index=self._index_state(),
            keeps_chips=self._keeps_chips(),
            chips=self._store.chip_count(),
            unfinished_reindex=unfinished(self._store.database),
            encrypted=self._store.database.encrypted_with(),
            audit=preferences.preference(self._store.database, "audit"),
        )

    def _index_state(self) -> Literal["current", "to be rebuilt", "in the database"]:
        if self._store.database.engine.templates() is not None:
            return "in the database"
        return "current" if self._following.is_kept() else "to be rebuilt"

    def _keeps_chips(self) -> bool:
        return preferences.preference(self._store.database, "keep-chips") == "on"

    def drop_chips(self) -> int:
        """Delete every kept chip; returns how many there were."""
        return self._store.drop_chips()

    def reindex(
        self, embedder: Embedder, progress: Progress, *, drop_missing: bool = False
    ) -> Reindexed:
        """Give the gallery another model; see `facesearch.reindex`."""
        done = reindex(self._store, embedder, progress, drop_missing=drop_missing)
        self.refresh()
        return done

    def export(self, file: Path, *, chips: bool = False, force: bool = False) -> Contents:
        """Write everything to one archive; see `facesearch.export`."""
        return export(self._store, file, chips=chips, force=force)

    def import_archive(self, archive: Archive) -> Merged:
        """Add what an archive holds; see `facesearch.merge`."""
        merged = merge(self._store, archive)
        self.refresh()
        return merged

    # Privacy

    def encrypt(self, secret: Secret) -> None:
        """Face data is sealed from now on. Raises GalleryError, see `encryption.encrypt`."""
        encryption.encrypt(self._store.database, secret)

    def decrypt(self) -> None:
        """Face data is plain again. Raises GalleryError, see `encryption.decrypt`."""
        encryption.decrypt(self._store.database)

    def rekey(self, secret: Secret) -> None:
        """Another secret opens it from now on. Raises GalleryError, see `encryption.rekey`."""
        encryption.rekey(self._store.database, secret)

    def unlock(self) -> None:
        """Ask for the key now, not when it is needed first. Raises GalleryError."""
        _ = self._store.database.vault

    @property
    def vault(self) -> Vault:
        """What seals face data here. Raises GalleryError without the key."""
        return self._store.database.vault

    def prefer(self, key: str, value: str) -> None:
        """Change a setting. Raises GalleryError for one that there is not."""
        preferences.prefer(self._store.database, key, value)
        if key == "search":
            cache_file.clear(self.folder)

    def searches(self, since: datetime | None = None) -> list[audit_log.Search]:
        """What was searched for, oldest first, as far as it was recorded."""
        return audit_log.searched(self._store.database, since)

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
        looker: PhotoReader | None = None,
        keep: bool = False,
    ) -> Iterator[EnrolledPhoto]:
        """Enrol photos; yields what became of each, person by person, as it is written.

        photos: each with the name of the person on it. A person's photos are looked at together,
        see Folder; what can only be told from the other people comes last. which: of a photo with
        several faces. insist: enrol what would be held back, and near duplicates. dry_run: write
        nothing. looker: sees the photos as `embedder` does; without one they are seen here. keep:
        chips, although the gallery does not say so. Photos known already, by content, are left
        alone. Every PHOTOS_PER_TRANSACTION photos are one transaction: an interruption loses
        only what was not yielded. Raises GalleryError for another model or a folder that cannot be
        written to.
        """
        if not dry_run:
            self._store.database.check_writable()
        self.check_model(embedder)
        try:
            calibration = calibration_of(embedder.model)
        except ModelError:
            calibration = None  # nothing can be judged then, and everything is enrolled
        enroller = Enroller(
            self._store,
            embedder,
            looker or LocalReader(embedder),
            calibration,
            self._nearest_each,
            self.rejections,
            EnrollmentOptions(which, insist, dry_run, keep or self._keeps_chips()),
        )
        with self._store.database.engine.busy():
            yield from enroller.run(list(photos), progress)
        if not dry_run:
            self.refresh()

    def enroll_faces(
        self, name: str, unknown: "Sequence[UnknownFace]", embedder: Embedder
    ) -> GroupEnrolled:
        """Enrol faces that were grouped, but for those that were rejected as the person's.

        A face that is enrolled already is left alone. Raises PersonError and GalleryError.
        """
        self._store.database.check_writable()
        self.check_model(embedder)
        name, said = clean_name(name), self.rejections()
        by_photo: dict[str, list[UnknownFace]] = {}
        rejected = 0
        for face in unknown:
            seen = face.seen
            if name in rejection.barred(said, face.sha256, seen.face.box, seen.embedding):
                rejected += 1
            else:
                by_photo.setdefault(face.sha256, []).append(face)
        new = [
            new_photo(
                name,
                PhotoScan(
                    some[0].path, sha, some[0].width, some[0].height, [each.seen for each in some]
                ),
            )
            for sha, some in by_photo.items()
        ]
        written = self._store.add(new, stamp(embedder)) if new else []
        self.refresh()
        count = sum(len(photo.faces) for photo in written)
        return GroupEnrolled(count, rejected, len(unknown) - rejected - count)

    def picture(self, number: int) -> Pixels:
        """An enrolled face by its number; see `picture.picture_of`. Raises PhotoError."""
        return picture_of(self._store.database, number)

    def search(
        self, embedding: Embeddings, model: Model, threshold: float, top: int = 5
    ) -> tuple[Decision, list[Candidate]]:
        """Whose an embedding is, a unit vector (D,) of this model, and the people nearest to it.

        Raises GalleryError if nobody is enrolled, or for another model.
        """
        self._check_fingerprint(model)
        audit_log.check_recordable(self._store.database)
        people = len(self._current_index())
        if not people:
            raise self._empty()
        probe = _Vector(embedding, flip_consistency=1.0)
        (near,) = self._nearest_each([probe], max(NEAREST_PEOPLE, top), calibration_of(model))
        decision = decide(near, threshold, people)
        audit_log.record(
            self._store.database, "search", 1, [decision.name] if decision.name else []
        )
        return decision, near[:top]

    def names(
        self, path: Path, photo: EmbeddedPhoto, threshold: float, calibration: Calibration
    ) -> list[bool]:
        """For each face of a photo whether a search names it, or hesitates between two people.

        Raises PhotoError and GalleryError.
        """
        answers = self._answers(path, photo, threshold, calibration)
        found = [answer for answer in answers if answer.face is not None]
        return [answer.decision.answer in ("match", "ambiguous") for answer in found]

    def review(
        self, model: Model, progress: Progress, fpir: float | None = None, *, photos: bool = True
    ) -> Iterator[dict[str, Any]]:
        """What is probably wrong, as rows; see Finding. The last row is what strangers find.

        fpir: the accepted error of a search. photos: whether photos may be opened, to see whether
        two faces are of one picture. Raises GalleryError if nobody is enrolled, or for another
        model, and ModelError without a calibration.
        """
        self._check_fingerprint(model)
        strangers = self.impostor_scores(model)
        calibration = calibration_of(model)
        limit = threshold_to_search(calibration, strangers, fpir).distance
        yield from reviewed(self._store, calibration, limit, progress, photos=photos)
        yield strangers_row(strangers, limit, len(self._current_index()))

    def identify(
        self,
        photos: Iterable[Path],
        embedder: Embedder,
        threshold: float,
        calibration: Calibration,
        progress: Progress,
        top: int = 5,
        prior: float = EVEN,
        *,
        exact: bool = False,
    ) -> Iterator[tuple[Path, list[Identification] | PhotoError]]:
        """Every face of every photo, with one of the four answers, the largest face first.

        top: candidates listed for each face. prior: the probability, before a face is looked at,
        that it is an enrolled person's. exact: miss nobody, in a gallery of millions too, however
        long that takes. A photo that cannot be read yields its PhotoError.
        Raises GalleryError if nobody is enrolled, or with another model.
        """
        self.check_model(embedder)
        audit_log.check_recordable(self._store.database)
        if not len(self._current_index()):
            raise self._empty()
        paths = list(photos)
        progress.start("identifying", len(paths))
        with self._store.database.engine.busy():
            for path, photo in in_order(embedder.embed_photo, paths):
                progress.advance()
                if isinstance(photo, PhotoError):
                    yield path, photo
                    continue
                try:
                    answers = self._answers(
                        path, photo, threshold, calibration, top, prior, exact=exact
                    )
                except PhotoError as error:  # gone a moment ago
                    yield path, error
                    continue
                decisions = (answer.decision for answer in answers)
                names = [decision.name for decision in decisions if decision.name is not None]
                audit_log.record(self._store.database, "identify", len(photo.faces), names)
                yield path, answers

    def _answers(
        self,
        path: Path,
        photo: EmbeddedPhoto,
        threshold: float,
        calibration: Calibration,
        top: int = NEAREST_PEOPLE,
        prior: float = EVEN,
        *,
        exact: bool = False,
    ) -> list[Identification]:
        """For the faces of a photo, see `answered`. Raises PhotoError if its file is gone."""
        barred = self._barred(path, photo.faces)
        usable = [seen for seen in photo.faces if not seen.reason]
        least = max(NEAREST_PEOPLE, top)
        wanted = least + max(map(len, barred), default=0)
        found = iter(self._nearest_each(usable, wanted, calibration, exact=exact))
        near = [
            [] if seen.reason else next(found)[: least + len(names)]
            for seen, names in zip(photo.faces, barred, strict=True)
        ]
        people = len(self._current_index())
        return answered(path, photo.faces, near, barred, threshold, people, prior, top)

    def impostor_scores(self, model: Model) -> ImpostorScores:
        """How near the people with whom a model was calibrated come to this gallery as it is.

        Raises GalleryError if nobody is enrolled, ModelError without a cohort.
        """
        if not len(self._current_index()):
            raise self._empty()
        try:
            return impostor_scores(self._store, self._following, model)
        except (milvus.Gone, KeyError):
            if not self._distrusts():
                raise
            return self.impostor_scores(model)

    def _empty(self) -> GalleryError:
        return GalleryError(f"{self.name}: nobody is enrolled yet; enrol somebody first")

    def _nearest_people(
        self, seen: EmbeddedFace, count: int, calibration: Calibration
    ) -> list[Candidate]:
        """The `count` nearest people, nearest first. Raises GalleryError."""
        return self._nearest_each([seen], count, calibration)[0]

    def _nearest_each(
        self,
        faces: "Sequence[EmbeddedFace | _Vector]",
        count: int,
        calibration: Calibration,
        *,
        exact: bool = False,
    ) -> list[list[Candidate]]:
        """For each face the `count` nearest people, nearest first.

        Raises GalleryError if the index and the faces of one of them disagree.
        """
        index, revision = self._current_index(), self._following.state.revision
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
            if self._store.revision() != revision or self._distrusts():  # changed a moment ago
                return self._nearest_each(faces, count, calibration, exact=exact)
            raise GalleryError(
                f"{self._store.database.name}: damaged: faces are missing or are not those that "
                "the index was made from; `facesearch gallery doctor` says more"
            )
        return [
            [
                _candidate(seen, samples[number], distance, calibration)
                for number, distance in zip(theirs.tolist(), apart.tolist(), strict=True)
            ]
            for seen, theirs, apart in zip(faces, numbers, distances, strict=True)
        ]

    # The index and the model

    def refresh(self) -> None:
        """Bring the index up to date. Raises GalleryError for a damaged gallery."""
        self._following.prepare()

    def _current_index(self) -> SearchIndex:
        """The index of the gallery as it is now. Raises GalleryError for a damaged gallery."""
        return self._following.current()

    def _distrusts(self) -> bool:
        """Whether the index may be at fault, and is another one next time."""
        return isinstance(self._following, MilvusSync) and self._following.distrust()

    def check_model(self, embedder: Embedder) -> None:
        """Raises GalleryError if its embeddings mean nothing to this model."""
        self._check_fingerprint(embedder.model)

    def _check_fingerprint(self, other: Model) -> None:
        mine = self._store.model()
        if mine is not None and mine.fingerprint != other.fingerprint:
            raise GalleryError(
                f"{self.name}: enrolled with --model {mine.name} ({mine.fingerprint[:12]}), "
                f"not with --model {other.name} ({other.fingerprint[:12]}); choose the former, "
                f"move the gallery to the latter with `facesearch gallery reindex --model "
                f"{other.name}`, or choose another gallery with --gallery"
            )


@dataclass(frozen=True, slots=True)
class _Vector:
    """A face of which no more is known."""

    embedding: Embeddings  # (D,)
    flip_consistency: float


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
