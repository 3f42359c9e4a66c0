"""Photos that are sent to be enrolled: few in a request, many as a job."""

from collections import defaultdict
from collections.abc import Iterator

from facesearch.client.connection import Connection
from facesearch.client.people import place_of
from facesearch.client.photos import Asked, PhotosByName, SentPhotos, requests, unreadable
from facesearch.core.errors import FacesearchError
from facesearch.core.progress import Progress
from facesearch.enrollment.results import EnrolledPhoto, WhichFaces
from facesearch.serialization.enrollment import ENROLLED_PHOTO
from facesearch.serialization.responses import Enrolled, Job


class Sending:
    """Photos that are sent to be enrolled; many of them become a job."""

    def __init__(
        self,
        service: Connection,
        faces: WhichFaces,
        include_doubtful: bool,
        dry_run: bool,
        progress: Progress,
    ) -> None:
        self._service, self._progress, self._dry_run = service, progress, dry_run
        self._options = {"faces": faces, "include_doubtful": str(include_doubtful)}
        self.event: int | None = None  # the number of the last change that is known

    def run(self, asked: list[Asked]) -> Iterator[EnrolledPhoto]:
        """Yields what became of each photo."""
        self._progress.start("enrolling", len(asked))
        there: list[Asked] = []
        for name, photo in asked:
            missing = unreadable(name, photo)
            if missing is None:
                there.append((name, photo))
            else:
                self._progress.advance()
                yield missing
        parts = list(requests(there))
        found = self._one_by_one(there) if self._dry_run or len(parts) == 1 else self._job(parts)
        known = PhotosByName(photo for _, photo in there)
        for result in found:
            self._progress.advance()
            yield known.with_photo(result)

    def _one_by_one(self, asked: list[Asked]) -> Iterator[EnrolledPhoto]:
        by_name: defaultdict[str, list[Asked]] = defaultdict(list)
        for name, photo in asked:
            by_name[name].append((name, photo))
        for name, theirs in by_name.items():
            for some in requests(theirs):
                with SentPhotos([photo for _, photo in some]) as sent:
                    answer = self._service.ask(
                        Enrolled,
                        "POST",
                        f"{place_of(name)}/faces",
                        files=[("photos", each) for each in sent],
                        data=self._options | {"dry_run": str(self._dry_run)},
                    )
                self.event = answer.event or self.event
                yield from answer.results

    def _job(self, parts: list[list[Asked]]) -> Iterator[EnrolledPhoto]:
        number = ""
        for place, some in enumerate(parts):
            more = {"name": some[0][0], "more": str(place < len(parts) - 1)}
            with SentPhotos([photo for _, photo in some]) as sent:
                number = self._service.ask(
                    Job,
                    "POST",
                    f"/v1/jobs/{number}/photos" if number else "/v1/jobs",
                    files=[("photos", each) for each in sent],
                    data=more if number else more | self._options,
                ).id
        if not number:
            return
        for kind, fields in self._service.events(number):
            if kind == "result":
                yield ENROLLED_PHOTO.read(fields)
            elif kind == "end" and fields["state"] != "done":
                reason = fields["reason"] or f"the job was {fields['state']}"
                raise FacesearchError(f"{self._service.url}: {reason}")
