"""Photos as callers give them, turned into paths that the rest of the program reads."""

import io
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar, cast

import numpy as np

from facesearch.core.arrays import Pixels
from facesearch.core.lazy import LazyModule
from facesearch.core.photos import Photo
from facesearch.core.uploads import NAMELESS, Upload, bare

if TYPE_CHECKING:
    from facesearch.vision import images, photo_files
else:
    photo_files = LazyModule("facesearch.vision.photo_files")
    images = LazyModule("facesearch.vision.images")

Value = TypeVar("Value")


def as_path(photo: Photo) -> Path:
    """The path of a photo; for one that is no file an `Upload`, which holds its content or pixels.

    photo: a path, bytes, an open binary file, a PIL image, or an RGB array (H, W, 3) of uint8.
    Raises ValueError for an array of another kind, and for a file that is closed or open as text.
    """
    if isinstance(photo, Path):
        return photo
    if isinstance(photo, str | os.PathLike):
        return Path(photo)
    if isinstance(photo, bytes | bytearray | memoryview):
        content = bytes(photo)
        return _upload(NAMELESS, content=lambda: content)
    if isinstance(photo, np.ndarray):
        pixels = _checked(photo)
        return _upload(NAMELESS, pixels=lambda: pixels)
    pillow = sys.modules.get("PIL.Image")  # whoever has an image has imported it
    if pillow is not None and isinstance(photo, pillow.Image):
        name = bare(str(getattr(photo, "filename", "") or NAMELESS))
        return _upload(name, pixels=_Once(lambda: images.upright_rgb(photo, Path(name))))
    if hasattr(photo, "read"):
        return _from_file(cast(BinaryIO, photo))
    kind = type(photo).__name__
    raise ValueError(f"a photo is a path, bytes, an open file, a PIL image or an array, not {kind}")


def several(photos: Photo | Iterable[Photo]) -> Iterable[Photo]:
    """One photo or several, as several."""
    if isinstance(photos, np.ndarray):
        one = photos.ndim != 4  # else images of one size
    else:
        single = isinstance(photos, str | os.PathLike | bytes | bytearray | memoryview)
        # files can be iterated, too: over their lines
        one = single or hasattr(photos, "read") or not isinstance(photos, Iterable)
    return [cast(Photo, photos)] if one else cast(Iterable[Photo], photos)


def expand(photos: Iterable[Photo]) -> Iterator[Photo]:
    """The photos in their order, with folders replaced by the photos in them.

    A folder without a photo stays: reading it says what is wrong.
    """
    for photo in photos:
        if isinstance(photo, str | os.PathLike) and not isinstance(photo, Upload):
            folder = os.path.isdir(photo)  # noqa: PTH112 - never raises
            inside = photo_files.photos_in(Path(photo)) if folder else []
            yield from inside or iter([photo])
        else:
            yield photo


def bgr(frame: Pixels) -> Pixels:
    """An image in OpenCV's order of colours, (H, W, 3) uint8, as RGB: a view, nothing is copied.

    Raises ValueError for an array of another kind.
    """
    return _colours(frame)[..., ::-1]


def _from_file(file: BinaryIO) -> Upload:
    if isinstance(file, io.TextIOBase):
        raise ValueError("a photo's file must be open in binary mode: open(path, 'rb')")
    if file.closed:
        raise ValueError("a photo's file is closed")
    named = getattr(file, "name", None)

    def content() -> bytes:
        if file.seekable():
            file.seek(0)
        return file.read()

    return _upload(bare(named) if isinstance(named, str) else NAMELESS, content=_Once(content))


def _upload(
    name: str,
    *,
    content: Callable[[], bytes] | None = None,
    pixels: Callable[[], Pixels] | None = None,
) -> Upload:
    path = Upload(name)
    path.content, path.pixels = content, pixels
    return path


def _colours(array: Any) -> Pixels:
    """The array if it is an image. Raises ValueError."""
    good = isinstance(array, np.ndarray) and array.ndim == 3 and array.shape[2] == 3
    if not good or array.dtype != np.uint8 or not array.size:
        kind = (
            f"shape {array.shape} and dtype {array.dtype}"
            if isinstance(array, np.ndarray)
            else f"a {type(array).__name__}"
        )
        raise ValueError(f"an array is a photo with shape (H, W, 3) and dtype uint8, not {kind}")
    return np.asarray(array)


def _checked(array: Any) -> Pixels:
    """A copy, since cameras write their next frame into the same memory."""
    return np.array(_colours(array), order="C")


class _Once(Generic[Value]):
    """Calls a function when it is first asked, and remembers what it returned."""

    def __init__(self, make: Callable[[], Value]) -> None:
        self._lock, self._make = threading.Lock(), make
        self._made: list[Value] = []

    def __call__(self) -> Value:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]
