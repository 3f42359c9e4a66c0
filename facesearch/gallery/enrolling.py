"""Enrolling into a gallery: photos judged by what is enrolled, and groups of unknown faces."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from facesearch.core.names import clean_name
from facesearch.core.photos import Photo
from facesearch.core.progress import Progress
from facesearch.enrollment.enroller import Enroller, new_photo, stamp
from facesearch.enrollment.local_reader import LocalReader, PhotoReader
from facesearch.enrollment.results import EnrolledPhoto, WhichFaces
from facesearch.gallery.gallery_index import GalleryIndex
from facesearch.gallery.known_rejections import KnownRejections
from facesearch.gallery.recognizer import Recognizer
from facesearch.gallery.search import Search
from facesearch.gallery.unknown_faces import UnknownFace
from facesearch.matching.rejection import barred
from facesearch.storage.preferences import preference
from facesearch.storage.store import Store


@dataclass(frozen=True, slots=True)
class GroupEnrolled:
    """What became of the faces of a group."""

    faces: int  # that are enrolled now
    rejected: int  # left out: rejected as the person's
    known: int  # left out: somebody's face is enrolled from the same place of the photo


def enroll_each(
    store: Store,
    index: GalleryIndex,
    search: Search,
    rejections: KnownRejections,
    recognizer: Recognizer,
    asked: Iterable[tuple[str, Photo]],
    faces: WhichFaces,
    include_doubtful: bool,
    dry_run: bool,
    keep_chips: bool,
    reader: PhotoReader | None,
    progress: Progress,
) -> Iterator[EnrolledPhoto]:
    """See `Gallery.enroll_each`."""
    if not dry_run:
        store.database.check_writable()
    search.check_model(recognizer.model)
    enroller = Enroller(
        store,
        recognizer.embedder,
        reader or LocalReader(recognizer.embedder),
        recognizer.calibrated,  # without one nothing can be judged, and everything is enrolled
        search.nearest,
        rejections.all,
        faces,
        insist=include_doubtful,
        dry_run=dry_run,
        keep=keep_chips or preference(store.database, "keep-chips") == "on",
    )
    with store.database.engine.busy():
        yield from enroller.run(list(asked), progress)
    if not dry_run:
        index.prepare()


def enroll_group(
    store: Store,
    index: GalleryIndex,
    search: Search,
    rejections: KnownRejections,
    recognizer: Recognizer,
    name: str,
    unknown: Sequence[UnknownFace],
) -> GroupEnrolled:
    """See `Gallery.enroll_group`."""
    store.database.check_writable()
    search.check_model(recognizer.model)
    name, known = clean_name(name), rejections.all()
    by_photo: dict[str, list[UnknownFace]] = {}
    rejected = 0
    for face in unknown:
        seen = face.seen
        if name in barred(known, face.sha256, seen.face.box, seen.embedding):
            rejected += 1
        else:
            by_photo.setdefault(face.sha256, []).append(face)
    new = [new_photo(name, faces) for faces in by_photo.values()]
    written = store.add(new, stamp(recognizer.embedder)) if new else []
    index.prepare()
    count = sum(len(photo.faces) for photo in written)
    return GroupEnrolled(count, rejected, len(unknown) - rejected - count)
