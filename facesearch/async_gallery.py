"""A gallery for `async` programs: each method runs in a thread, so that the loop goes on."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from facesearch.core.arrays import Embeddings, Pixels
from facesearch.core.photos import Photo
from facesearch.core.progress import Progress

if TYPE_CHECKING:
    from facesearch.client import Client
    from facesearch.enrollment.results import EnrolledPhoto, EnrollmentReport, WhichFaces
    from facesearch.gallery.change import Change, Rejected
    from facesearch.gallery.gallery import Gallery
    from facesearch.gallery.info import GalleryInfo
    from facesearch.gallery.profile import PersonProfile
    from facesearch.gallery.purge import PurgeTarget
    from facesearch.gallery.search_results import IdentifyResult, SearchResult
    from facesearch.matching.comparison import Comparison
    from facesearch.matching.identification import IdentifiedFace
    from facesearch.matching.rejection import Rejection
    from facesearch.matching.thresholds import Threshold
    from facesearch.storage.audit_log import Search
    from facesearch.storage.records import Person

Item = TypeVar("Item")
Result = TypeVar("Result")
_END: Any = object()


class AsyncGallery:
    """A `Gallery` or a `Client` whose methods are awaited; see `Gallery` for what each does."""

    def __init__(self, opening: "Callable[[], Gallery | Client]") -> None:
        """opening: opens the gallery, when it is needed first."""
        self._opening, self._lock = opening, threading.Lock()
        self._opened: Gallery | None = None

    @property
    def gallery(self) -> "Gallery":
        """The gallery itself, for what is not here: `await asyncio.to_thread(...)` such a call."""
        with self._lock:
            if self._opened is None:
                self._opened = cast("Gallery", self._opening())  # a client has the same methods
            return self._opened

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(lambda: self.gallery)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            await asyncio.to_thread(opened.close)

    async def _call(self, work: "Callable[[Gallery], Result]") -> Result:
        return await asyncio.to_thread(lambda: work(self.gallery))

    async def _each(self, work: "Callable[[Gallery], Iterator[Item]]") -> AsyncIterator[Item]:
        """What an iterator yields, each step taken in a thread."""
        items = await self._call(work)
        try:
            while (item := await asyncio.to_thread(next, items, _END)) is not _END:
                yield item
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                await asyncio.to_thread(close)

    # Enrolling

    async def enroll(
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
        return await self._call(
            lambda gallery: gallery.enroll(
                name,
                photos,
                faces=faces,
                include_doubtful=include_doubtful,
                dry_run=dry_run,
                keep_chips=keep_chips,
                progress=progress,
            )
        )

    async def enroll_tree(
        self,
        folders: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        *,
        faces: "WhichFaces" = "only",
        include_doubtful: bool = False,
        dry_run: bool = False,
        keep_chips: bool = False,
        progress: Progress | None = None,
    ) -> "EnrollmentReport":
        return await self._call(
            lambda gallery: gallery.enroll_tree(
                folders,
                faces=faces,
                include_doubtful=include_doubtful,
                dry_run=dry_run,
                keep_chips=keep_chips,
                progress=progress,
            )
        )

    def enroll_each(
        self,
        asked: Iterable[tuple[str, Photo]],
        *,
        faces: "WhichFaces" = "only",
        include_doubtful: bool = False,
        dry_run: bool = False,
        keep_chips: bool = False,
        progress: Progress | None = None,
    ) -> "AsyncIterator[EnrolledPhoto]":
        return self._each(
            lambda gallery: gallery.enroll_each(
                asked,
                faces=faces,
                include_doubtful=include_doubtful,
                dry_run=dry_run,
                keep_chips=keep_chips,
                progress=progress,
            )
        )

    # Searching

    async def identify(
        self,
        photo: Photo,
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = 5,
        prior: float = 0.5,
        exact: bool = False,
    ) -> "list[IdentifiedFace]":
        return await self._call(
            lambda gallery: gallery.identify(
                photo, fpir=fpir, threshold=threshold, top=top, prior=prior, exact=exact
            )
        )

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
    ) -> "AsyncIterator[tuple[Photo, IdentifyResult]]":
        return self._each(
            lambda gallery: gallery.identify_each(
                photos,
                fpir=fpir,
                threshold=threshold,
                top=top,
                prior=prior,
                exact=exact,
                progress=progress,
            )
        )

    async def search(
        self,
        embedding: Embeddings | Sequence[float],
        *,
        fpir: float | None = None,
        threshold: float | None = None,
        top: int = 5,
    ) -> "SearchResult":
        return await self._call(
            lambda gallery: gallery.search(embedding, fpir=fpir, threshold=threshold, top=top)
        )

    async def search_threshold(
        self, fpir: float | None = None, threshold: float | None = None
    ) -> "Threshold":
        return await self._call(lambda gallery: gallery.search_threshold(fpir, threshold))

    async def compare(
        self,
        a: Photo,
        b: Photo,
        *,
        fmr: float | None = None,
        threshold: float | None = None,
        prior: float = 0.5,
    ) -> "Comparison":
        return await self._call(
            lambda gallery: gallery.compare(a, b, fmr=fmr, threshold=threshold, prior=prior)
        )

    # People

    async def people(self) -> "list[Person]":
        return await self._call(lambda gallery: gallery.people())

    async def person(self, name: str) -> "Person":
        return await self._call(lambda gallery: gallery.person(name))

    async def profile(self, name: str) -> "PersonProfile":
        """A person with their faces: `gallery[name]` of a Gallery. Raises UnknownPerson."""
        return await self._call(lambda gallery: gallery[name])

    async def contains(self, name: str) -> bool:
        """Whether somebody of this name is enrolled: `name in gallery` of a Gallery."""
        return await self._call(lambda gallery: name in gallery)

    async def picture(self, number: int) -> Pixels:
        return await self._call(lambda gallery: gallery.picture(number))

    async def rename(self, old: str, new: str) -> "Change":
        return await self._call(lambda gallery: gallery.rename(old, new))

    async def remove(self, name: str) -> "Change":
        return await self._call(lambda gallery: gallery.remove(name))

    async def merge(self, name: str, other: str, *, force: bool = False) -> "Change":
        return await self._call(lambda gallery: gallery.merge(name, other, force=force))

    async def split(
        self, name: str, numbers: Iterable[int], into: str, *, force: bool = False
    ) -> "Change":
        return await self._call(lambda gallery: gallery.split(name, numbers, into, force=force))

    async def set_terms(
        self, name: str, *, expires: str | None = None, consent: str | None = None
    ) -> "Change":
        return await self._call(
            lambda gallery: gallery.set_terms(name, expires=expires, consent=consent)
        )

    async def changes(self) -> "list[Change]":
        return await self._call(lambda gallery: gallery.changes())

    async def undo(self, change: "Change | int | None" = None) -> "Change":
        return await self._call(lambda gallery: gallery.undo(change))

    async def reject(self, name: str, photo: Photo, *, face: int | None = None) -> "Rejected":
        return await self._call(lambda gallery: gallery.reject(name, photo, face=face))

    async def reject_face(self, name: str, number: int) -> "Rejected":
        return await self._call(lambda gallery: gallery.reject_face(name, number))

    async def rejections(self) -> "list[Rejection]":
        return await self._call(lambda gallery: gallery.rejections())

    async def photos_of_rejections(self) -> dict[str, Path]:
        return await self._call(lambda gallery: gallery.photos_of_rejections())

    async def forget(self, number: int) -> None:
        await self._call(lambda gallery: gallery.forget(number))

    async def purge(self, name: str) -> int:
        return await self._call(lambda gallery: gallery.purge(name))

    async def purge_expired(self, on: date) -> "list[PurgeTarget]":
        return await self._call(lambda gallery: gallery.purge_expired(on))

    # The gallery as a whole

    async def info(self) -> "GalleryInfo":
        return await self._call(lambda gallery: gallery.info())

    def review(
        self, *, fpir: float | None = None, photos: bool = True, progress: Progress | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        return self._each(
            lambda gallery: gallery.review(fpir=fpir, photos=photos, progress=progress)
        )

    async def searches(self, since: datetime | None = None) -> "list[Search]":
        return await self._call(lambda gallery: gallery.searches(since))
