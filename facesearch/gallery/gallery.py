"""A gallery as users have it: enrol people from photos, and name the faces of others."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facesearch.core.arrays import Embeddings
from facesearch.core.lazy import LazyModule
from facesearch.core.names import clean_name
from facesearch.core.photos import Photo
from facesearch.core.progress import Progress, Silent
from facesearch.gallery.people import GalleryPeople
from facesearch.gallery.upkeep import GalleryUpkeep
from facesearch.storage import events

if TYPE_CHECKING:
    from facesearch.enrollment import enroller, results
    from facesearch.enrollment.local_reader import PhotoReader
    from facesearch.enrollment.results import EnrolledPhoto, EnrollmentReport, WhichFaces
    from facesearch.gallery import enrolling, unknown_faces
    from facesearch.gallery.enrolling import GroupEnrolled
    from facesearch.gallery.search_results import IdentifyResult, SearchResult
    from facesearch.gallery.unknown_faces import Unknown, UnknownFace
    from facesearch.matching.comparison import Comparison
    from facesearch.matching.identification import IdentifiedFace
    from facesearch.matching.thresholds import Threshold
    from facesearch.vision import photo_files, photo_input
else:
    enroller = LazyModule("facesearch.enrollment.enroller")
    enrolling = LazyModule("facesearch.gallery.enrolling")
    photo_files = LazyModule("facesearch.vision.photo_files")
    photo_input = LazyModule("facesearch.vision.photo_input")
    results = LazyModule("facesearch.enrollment.results")
    unknown_faces = LazyModule("facesearch.gallery.unknown_faces")


class Gallery(GalleryPeople, GalleryUpkeep):
    """People with their faces, in a folder or a PostgreSQL database.

    Several threads may use one gallery, and several processes may open the same one. A photo is a
    path, bytes, an open binary file, a PIL image, or an RGB array (H, W, 3) of uint8.
    """

    # Enrolling

    def enroll(
        self,
        name: str,
        photos: Photo | Iterable[Photo],
        *,
        faces: "WhichFaces" = "only",
        include_doubtful: bool = False,
        dry_run: bool = False,
        keep_chips: bool = False,
        progress: Progress | None = None,
    ) -> "EnrollmentReport":
        """Enrol a person from photos, which are looked at together.

        photos: one, a folder of them, or several of both. faces: of a photo with several: the only
        one that is like the person's other photos, the largest, or all. include_doubtful: enrol
        what would be held back, and near copies. dry_run: write nothing. keep_chips: keep a small
        picture of each face, although the gallery does not say so. Raises BadName, and GalleryError
        for another model or a gallery that cannot be written to; photos that cannot be read are
        among the report's.
        """
        name = clean_name(name)
        found = self.enroll_each(
            ((name, photo) for photo in photo_input.expand(photo_input.several(photos))),
            faces=faces,
            include_doubtful=include_doubtful,
            dry_run=dry_run,
            keep_chips=keep_chips,
            progress=progress,
        )
        return self._report(list(found), dry_run)

    def enroll_tree(
        self,
        folders: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        faces: "WhichFaces" = "only",
        include_doubtful: bool = False,
        dry_run: bool = False,
        keep_chips: bool = False,
        progress: Progress | None = None,
    ) -> "EnrollmentReport":
        """Enrol everybody of folders that hold a folder per person, which bears their name.

        See `enroll`. Raises DataError if a folder holds none.
        """
        several = [folders] if isinstance(folders, str | os.PathLike) else folders
        people = [
            found for folder in several for found in photo_files.people_in(Path(folder)).items()
        ]
        found = self.enroll_each(
            ((name, photo) for name, photos in people for photo in photos),
            faces=faces,
            include_doubtful=include_doubtful,
            dry_run=dry_run,
            keep_chips=keep_chips,
            progress=progress,
        )
        return self._report(list(found), dry_run)

    def enroll_each(
        self,
        asked: Iterable[tuple[str, Photo]],
        *,
        faces: "WhichFaces" = "only",
        include_doubtful: bool = False,
        dry_run: bool = False,
        keep_chips: bool = False,
        reader: "PhotoReader | None" = None,
        progress: Progress | None = None,
    ) -> "Iterator[EnrolledPhoto]":
        """Enrol photos, each with a person's name; yields what became of each when it is written.

        A person's photos are looked at together; what can only be told from the other people comes
        last. Photos that are enrolled already, by content, are left alone. A transaction takes some
        photos: an interruption loses only what was not yielded. reader: reads the photos, with the
        same model, instead of this process. See `enroll` for the rest.
        """
        yield from enrolling.enroll_each(
            self._store,
            self._index,
            self._search,
            self._rejections,
            self.recognizer,
            asked,
            enroller.EnrollmentOptions(faces, include_doubtful, dry_run, keep_chips),
            reader,
            progress or Silent(),
        )

    def _report(self, photos: "list[EnrolledPhoto]", dry_run: bool) -> "EnrollmentReport":
        if dry_run or not any(photo.status == "enrolled" for photo in photos):
            return results.EnrollmentReport(photos)
        with self._store.database.read() as connection:
            return results.EnrollmentReport(photos, events.last_number(connection, "enroll"))

    # Searching

    def identify(
        self,
        photo: Photo,
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = 5,
        prior: float = 0.5,
        exact: bool = False,
    ) -> "list[IdentifiedFace]":
        """Name every face of a photo: match, unknown, ambiguous or unusable, the largest first.

        A photo without a face gives one answer, which is unusable and has no box. fpir: the
        accepted share of strangers who are given a name, by default 0.01; threshold: the largest
        distance to accept, instead. top: candidates listed for each face. prior: the probability,
        before a face is looked at, that it is an enrolled person's. exact: miss nobody, in a
        gallery of millions too, however long that takes. Raises PhotoError, GalleryError if nobody
        is enrolled or for another model, CalibrationError for a rate that cannot be promised, and
        ModelError without a calibration.
        """
        with self._search.busy():
            question = self._search.question(
                self.recognizer, fpir=fpir, threshold=threshold, top=top, prior=prior, exact=exact
            )
            return self._search.identify(self.recognizer, photo, question).faces

    def identify_each(
        self,
        photos: Photo | Iterable[Photo],
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = 5,
        prior: float = 0.5,
        exact: bool = False,
        progress: Progress | None = None,
    ) -> "Iterator[tuple[Photo, IdentifyResult]]":
        """The same for many photos, on all cores; yields each photo with its result, in order.

        photos: also folders, and generators, which are read as they are needed. A photo that cannot
        be read has its PhotoError in the result. See `identify` for the rest.
        """
        progress = progress or Silent()
        question = self._search.question(
            self.recognizer, fpir=fpir, threshold=threshold, top=top, prior=prior, exact=exact
        )
        every = photo_input.several(photos)
        found: Iterable[Photo] = photo_input.expand(every)
        if isinstance(every, Sequence):
            found = list(found)
        progress.start("identifying", len(found) if isinstance(found, list) else 0)
        for result in self._search.identify_each(self.recognizer, found, question):
            progress.advance()
            yield result.photo, result

    def search(
        self,
        embedding: Embeddings | Sequence[float],
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = 5,
    ) -> "SearchResult":
        """Whose an embedding is, a unit vector (D,) of the gallery's model.

        Raises ValueError for what is none, and the errors of `identify`.
        """
        with self._search.busy():
            question = self._search.question(
                self.recognizer, fpir=fpir, threshold=threshold, top=top
            )
            return self._search.search(embedding, self.recognizer, question)

    def search_threshold(
        self, fpir: float | None = None, threshold: float | None = None
    ) -> "Threshold":
        """The largest distance that a search accepts, and what there is to say about it.

        Raises as `identify` does.
        """
        return self._search.threshold(self.recognizer, fpir=fpir, threshold=threshold)

    def compare(
        self,
        a: Photo,
        b: Photo,
        *,
        fmr: float | None = None,
        threshold: float | None = None,
        prior: float = 0.5,
    ) -> "Comparison":
        """Tell whether the largest usable faces of two photos are one person's.

        See `Recognizer.compare`; nobody needs to be enrolled.
        """
        return self.recognizer.compare(a, b, fmr=fmr, threshold=threshold, prior=prior)

    # Unknown faces

    def group_unknown(
        self, photos: Photo | Iterable[Photo], *, progress: Progress | None = None
    ) -> "Unknown":
        """Group the faces of photos that a search does not name.

        A photo that is there twice, by content, counts once. Raises GalleryError for another model.
        """
        return unknown_faces.group_unknown(
            self._search,
            self.recognizer,
            list(photo_input.expand(photo_input.several(photos))),
            anybody=len(self) > 0,
            progress=progress or Silent(),
        )

    def enroll_group(self, name: str, faces: "Sequence[UnknownFace]") -> "GroupEnrolled":
        """Enrol faces that were grouped, but for those that were rejected as the person's.

        A face that is enrolled already is left alone. Raises PersonError and GalleryError.
        """
        return enrolling.enroll_group(
            self._store,
            self._index,
            self._search,
            self._rejections,
            self.recognizer,
            name,
            faces,
        )
