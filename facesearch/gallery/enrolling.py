"""Enrolling into a gallery: photos judged by what is enrolled, and groups of unknown faces."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from facesearch.core.names import clean_name
from facesearch.core.photos import Photo
from facesearch.core.progress import Progress
from facesearch.enrollment.enroller import Enroller, EnrollmentOptions
from facesearch.enrollment.journal import PhotoScan
from facesearch.enrollment.local_reader import LocalReader, PhotoReader
from facesearch.enrollment.new_photos import new_photo, stamp
from facesearch.enrollment.results import EnrolledPhoto
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
    options: EnrollmentOptions,
    reader: PhotoReader | None,
    progress: Progress,
) -> Iterator[EnrolledPhoto]:
    """See `Gallery.enroll_each`."""
    if not options.dry_run:
        store.database.check_writable()
    search.check_model(recognizer.model)
    if preference(store.database, "keep-chips") == "on":
        options = replace(options, keep_chips=True)
    enroller = Enroller(
        store,
        recognizer.embedder,
        reader or LocalReader(recognizer.embedder),
        recognizer.calibrated,  # without one nothing can be judged, and everything is enrolled
        search.nearest,
        rejections.all,
        options,
    )
    with store.database.engine.busy():
        yield from enroller.run(list(asked), progress)
    if not options.dry_run:
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
    scans: dict[str, PhotoScan] = {}  # with the faces to enrol, by SHA-256
    rejected = 0
    for face in unknown:
        seen = face.seen
        if name in barred(known, face.sha256, seen.face.box, seen.embedding):
            rejected += 1
            continue
        empty = PhotoScan(face.path, face.sha256, face.width, face.height, [])
        scans.setdefault(face.sha256, empty).faces.append(seen)
    new = [new_photo(name, scan) for scan in scans.values()]
    written = store.add(new, stamp(recognizer.embedder)) if new else []
    index.prepare()
    count = sum(len(photo.faces) for photo in written)
    return GroupEnrolled(count, rejected, len(unknown) - rejected - count)
