"""A gallery that a service keeps, with the methods of a local one."""

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from facesearch.client.connection import Connection, given
from facesearch.client.enrolling import Sending
from facesearch.client.local_only import LocalOnly
from facesearch.client.people import ClientPeople
from facesearch.client.photos import Asked, SentPhotos
from facesearch.core.arrays import Embeddings
from facesearch.core.errors import GalleryError, PhotoError
from facesearch.core.names import clean_name
from facesearch.core.photos import Photo
from facesearch.core.progress import Progress, Silent
from facesearch.enrollment.results import EnrolledPhoto, EnrollmentReport, WhichFaces
from facesearch.gallery.info import GalleryInfo
from facesearch.gallery.search_results import IdentifyResult, SearchResult
from facesearch.matching.comparison import Comparison
from facesearch.matching.identification import IdentifiedFace
from facesearch.matching.thresholds import Threshold
from facesearch.serialization.answers import (
    COMPARISON,
    IDENTIFIED,
    SEARCHED,
    identify_result,
    search_result,
)
from facesearch.serialization.gallery import GALLERY_INFO
from facesearch.serialization.responses import (
    Audit,
    Health,
    Reviewed,
    SearchThreshold,
)
from facesearch.storage.audit_log import Search
from facesearch.vision.photo_files import people_in
from facesearch.vision.photo_input import expand, several

if TYPE_CHECKING:
    from facesearch.enrollment.local_reader import PhotoReader


class Client(ClientPeople, LocalOnly):
    """People with their faces, at a service. Several threads may use one client.

    It has the methods of `Gallery`, with the same parameters, results and errors. Photos are sent
    to the service, and results give them back as they were passed; photos of the gallery bear
    their file names alone. GalleryError is raised if the service cannot be reached, and by what
    needs the gallery's own machine.
    """

    def __init__(
        self, url: str, token: str | None = None, *, verify: bool | str | os.PathLike[str] = True
    ) -> None:
        """Speak to the service at a URL.

        token: else FACESEARCH_TOKEN, or what is in the file FACESEARCH_TOKEN_FILE. verify: whether
        the service's certificate must be valid, or a file of authorities to trust. Raises
        FacesearchError if one of the files cannot be read.
        """
        self._service = Connection(url, token, verify=verify)
        self.url = self.name = self._service.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the service."""
        self._service.close()

    def unlock(self) -> None:
        """Nothing: the service has the key of an encrypted gallery."""

    def check_model(self) -> None:
        """Raises FacesearchError if the service cannot search its gallery."""
        self._service.get(Health, "/readyz")

    def prepare(self) -> None:
        """Have the service bring its index up to date. Raises FacesearchError if it cannot."""
        self._service.get(Health, "/readyz")

    # Enrolling

    def enroll(
        self,
        name: str,
        photos: Photo | Iterable[Photo],
        *,
        faces: WhichFaces = "only",
        include_doubtful: bool = False,
        dry_run: bool = False,
        keep_chips: bool = False,
        progress: Progress | None = None,
    ) -> EnrollmentReport:
        """Enroll a person from photos, which are looked at together; see `Gallery.enroll`.

        Many photos become a job, which the service goes on with if this program ends. A service
        keeps a picture of each face, whatever keep_chips says.
        """
        name = clean_name(name)
        asked = [(name, photo) for photo in expand(several(photos))]
        return self._enrolled(asked, faces, include_doubtful, dry_run, progress)

    def enroll_tree(
        self,
        folders: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        faces: WhichFaces = "only",
        include_doubtful: bool = False,
        dry_run: bool = False,
        keep_chips: bool = False,
        progress: Progress | None = None,
    ) -> EnrollmentReport:
        """Enroll everybody of folders that hold a folder per person, which bears their name.

        See `enroll`. Raises DataError if a folder holds none.
        """
        places = [folders] if isinstance(folders, str | os.PathLike) else folders
        people = [found for place in places for found in people_in(Path(place)).items()]
        asked: list[Asked] = [(name, photo) for name, photos in people for photo in photos]
        return self._enrolled(asked, faces, include_doubtful, dry_run, progress)

    def enroll_each(
        self,
        asked: Iterable[tuple[str, Photo]],
        *,
        faces: WhichFaces = "only",
        include_doubtful: bool = False,
        dry_run: bool = False,
        keep_chips: bool = False,
        reader: "PhotoReader | None" = None,
        progress: Progress | None = None,
    ) -> Iterator[EnrolledPhoto]:
        """Enroll photos, each with a person's name; yields what became of each.

        See `enroll`. Raises GalleryError for a reader: the service reads the photos itself.
        """
        if reader is not None:
            raise GalleryError(f"{self.url}: a service reads the photos itself")
        sending = Sending(self._service, faces, include_doubtful, dry_run, progress or Silent())
        yield from sending.run(list(asked))

    def _enrolled(
        self,
        asked: list[Asked],
        faces: WhichFaces,
        include_doubtful: bool,
        dry_run: bool,
        progress: Progress | None,
    ) -> EnrollmentReport:
        sending = Sending(self._service, faces, include_doubtful, dry_run, progress or Silent())
        photos = list(sending.run(asked))
        return EnrollmentReport(photos, sending.event)

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
    ) -> list[IdentifiedFace]:
        """Name every face of a photo; see `Gallery.identify`."""
        return self._identified(photo, fpir, threshold, top, prior, exact).faces

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
    ) -> Iterator[tuple[Photo, IdentifyResult]]:
        """The same for many photos, in their order; see `Gallery.identify_each`."""
        progress = progress or Silent()
        every = several(photos)
        found: Iterable[Photo] = expand(every)
        if isinstance(every, Sequence):
            found = list(found)
        progress.start("identifying", len(found) if isinstance(found, list) else 0)
        for photo in found:
            try:
                result = self._identified(photo, fpir, threshold, top, prior, exact)
            except PhotoError as error:
                result = IdentifyResult(photo, [], error)
            progress.advance()
            yield photo, result

    def _identified(
        self,
        photo: Photo,
        fpir: float | None,
        threshold: float | None,
        top: int,
        prior: float,
        exact: bool,
    ) -> IdentifyResult:
        _check_one(fpir=fpir, threshold=threshold)
        asked = {"fpir": fpir, "threshold": threshold, "top": top, "prior": prior, "exact": exact}
        with SentPhotos([photo]) as sent:
            answer = self._service.ask(
                IDENTIFIED.model,
                "POST",
                "/v1/identify",
                again=True,
                files=[("photo", sent[0])],
                params=given(asked),
            )
        return identify_result(answer, photo)

    def search(
        self,
        embedding: Embeddings | Sequence[float],
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = 5,
    ) -> SearchResult:
        """Whose an embedding is, a unit vector (D,) of this model; see `Gallery.search`."""
        _check_one(fpir=fpir, threshold=threshold)
        vector = [float(value) for value in embedding]
        asked = {"embedding": vector, "fpir": fpir, "threshold": threshold, "top": top}
        answer = self._service.ask(
            SEARCHED.model, "POST", "/v1/search", again=True, json=given(asked)
        )
        return search_result(answer)

    def search_threshold(
        self, fpir: float | None = None, threshold: float | None = None
    ) -> Threshold:
        """The largest distance that a search accepts, and what there is to say about it.

        Raises as `identify` does.
        """
        _check_one(fpir=fpir, threshold=threshold)
        if threshold is not None:
            return Threshold(threshold)
        found = self._service.get(SearchThreshold, "/v1/threshold", fpir=fpir)
        return Threshold(found.distance, found.warning)

    def compare(
        self,
        a: Photo,
        b: Photo,
        *,
        fmr: float | None = None,
        threshold: float | None = None,
        prior: float = 0.5,
    ) -> Comparison:
        """Tell whether the largest usable faces of two photos are one person's.

        See `Recognizer.compare`; nobody needs to be enrolled.
        """
        _check_one(fmr=fmr, threshold=threshold)
        asked = given({"fmr": fmr, "threshold": threshold, "prior": prior})
        with SentPhotos([a, b]) as sent:
            files = [("a", sent[0]), ("b", sent[1])]
            answer = self._service.ask(
                COMPARISON.model, "POST", "/v1/compare", again=True, files=files, params=asked
            )
        return COMPARISON.read(answer, a=a, b=b)

    # The gallery as a whole

    def info(self) -> GalleryInfo:
        """Sizes, the model of the embeddings, the index and the settings.

        folder: the address of the service.
        """
        found = self._service.get(GALLERY_INFO.model, "/v1/gallery")
        return GALLERY_INFO.read(found, folder=self.url)

    def review(
        self, *, fpir: float | None = None, photos: bool = True, progress: Progress | None = None
    ) -> Iterator[dict[str, Any]]:
        """What is probably wrong, as rows; see `Gallery.review`."""
        found = self._service.get(Reviewed, "/v1/review", fpir=fpir, photos=photos)
        yield from (finding.model_dump() for finding in found.findings)

    def searches(self, since: datetime | None = None) -> list[Search]:
        """What was searched for, the oldest first, as far as it was recorded."""
        after = None if since is None else since.isoformat()
        return self._service.get(Audit, "/v1/audit", since=after).searches


def _check_one(**asked: float | None) -> None:
    """Raises ValueError if both an error rate and a threshold were asked for."""
    if all(value is not None for value in asked.values()):
        raise ValueError(f"{' and '.join(asked)} exclude each other")
