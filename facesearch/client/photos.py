"""Photos on their way to a service: opened, named, and divided into requests."""

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import IO, Any

import numpy as np
from PIL import Image

from facesearch.core.errors import PhotoError
from facesearch.core.photos import Photo
from facesearch.core.uploads import Upload
from facesearch.enrollment.results import EnrolledPhoto
from facesearch.serialization.record import name_of
from facesearch.vision.photo_input import as_path

MOST_PHOTOS, MOST_BYTES = 32, 64 << 20  # in a request; more of them become a job

Asked = tuple[str, Photo]  # a person's name and a photo


class SentPhotos:
    """Photos open to be sent, each with its bare name."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self._photos, self._open = photos, ExitStack()

    def __enter__(self) -> list[tuple[str, IO[bytes]]]:
        """Raises PhotoError if one cannot be read."""
        try:
            return [(as_path(photo).name, self._opened(photo)) for photo in self._photos]
        except BaseException:
            self._open.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def _opened(self, photo: Photo) -> IO[Any]:
        path = as_path(photo)
        if isinstance(path, Upload) and path.pixels is not None:
            return io.BytesIO(_png(path.pixels()))
        try:
            return self._open.enter_context(path.open("rb"))
        except OSError as error:
            raise PhotoError(f"{path}: cannot be read ({error.strerror})") from error


def _png(pixels: "np.ndarray[Any, Any]") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


class PhotosByName:
    """The photos behind the bare names in a service's answers, each given out once."""

    def __init__(self, photos: Iterable[Photo]) -> None:
        self._by_name: defaultdict[str, list[Photo]] = defaultdict(list)
        for photo in photos:
            self._by_name[as_path(photo).name].append(photo)

    def with_photo(self, result: EnrolledPhoto) -> EnrolledPhoto:
        """What became of a photo, with the photo as it was given."""
        there = self._by_name[name_of(result.photo)]
        return replace(result, photo=there.pop(0)) if there else result


def requests(asked: Iterable[Asked]) -> Iterator[list[Asked]]:
    """Divide photos into requests of MOST_PHOTOS and MOST_BYTES at most, each of one person."""
    some: list[Asked] = []
    size = 0
    for name, photo in asked:
        more = _bytes(photo)
        full = len(some) >= MOST_PHOTOS or size + more > MOST_BYTES
        if some and (full or some[0][0] != name):
            yield some
            some, size = [], 0
        some.append((name, photo))
        size += more
    if some:
        yield some


def _bytes(photo: Photo) -> int:
    path = as_path(photo)
    if isinstance(path, Upload):
        return len(path.held()) if path.pixels is None else int(path.pixels().nbytes)
    return path.stat().st_size if path.is_file() else 0


def unreadable(name: str, photo: Photo) -> EnrolledPhoto | None:
    """What becomes of a photo that cannot be sent; None for one that can."""
    path = as_path(photo)
    if isinstance(path, Upload):
        return None
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "cannot be read"
        return EnrolledPhoto(photo, name, "skipped", reason, 0, error=True)
