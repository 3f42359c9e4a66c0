"""The functions that `import facesearch` offers: open a gallery, look at a photo, compare two."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from facesearch.core.arrays import Pixels
from facesearch.core.errors import GalleryError
from facesearch.core.lazy import LazyModule
from facesearch.core.paths import DETAIL, MIN_FACE
from facesearch.core.photos import Photo
from facesearch.gallery.recognizer import DetectedFace, recognizer

if TYPE_CHECKING:
    from facesearch import async_gallery, client
    from facesearch.async_gallery import AsyncGallery
    from facesearch.client import Client
    from facesearch.gallery import gallery
    from facesearch.gallery.gallery import Gallery
    from facesearch.matching.comparison import Comparison
    from facesearch.storage import vault
    from facesearch.storage.vault import Keys, Kind
    from facesearch.vision import photo_input
else:
    async_gallery = LazyModule("facesearch.async_gallery")
    client = LazyModule("facesearch.client")
    gallery = LazyModule("facesearch.gallery.gallery")
    photo_input = LazyModule("facesearch.vision.photo_input")
    vault = LazyModule("facesearch.storage.vault")

Place = str | os.PathLike[str]


def open(
    where: Place,
    *,
    create: bool = True,
    model: Place | None = None,
    detector: str | None = None,
    precision: str | None = None,
    detail: int = DETAIL,
    min_face: float = MIN_FACE,
    passphrase: str | None = None,
    key_file: Place | None = None,
    token: str | None = None,
    verify: bool | str = True,
) -> "Gallery | Client":
    """Open a gallery: a folder, a PostgreSQL URL, or the address of a service, https://host.

    create: make the gallery where there is none. model: a name or a folder, else FACESEARCH_MODEL
    and then the default. detector ("network", "dlib") and precision ("fp32", "int8"): instead of
    the model's own. detail: the longest side, in pixels, of what the detector looks at. min_face:
    pixels; narrower faces are left out. passphrase, key_file: open an encrypted gallery; else
    FACESEARCH_PASSPHRASE and FACESEARCH_KEY_FILE. token: for a service, else FACESEARCH_TOKEN.
    verify: whether the certificate of a service must be valid, or a file of authorities to trust.

    Raises GalleryError if there is no gallery and none is to be made, or for an option that does
    not go with the place.
    """
    address = str(where) if isinstance(where, str) else ""
    own = (model, detector, precision, passphrase, key_file)
    if address.startswith(("http://", "https://")):
        if own != (None,) * len(own) or (detail, min_face) != (DETAIL, MIN_FACE):
            raise GalleryError(f"{where}: the model and the key are the service's choice")
        return client.Client(address, token, verify=verify)
    if token is not None:
        raise GalleryError(f"{where}: a token is for a service at http:// or https://")
    return gallery.Gallery(
        where,
        create=create,
        model=_model(model),
        detector=detector,
        precision=precision,
        detail=detail,
        min_face=min_face,
        keys=_keys(passphrase, key_file),
    )


def open_async(
    where: Place,
    *,
    create: bool = True,
    model: Place | None = None,
    detector: str | None = None,
    precision: str | None = None,
    detail: int = DETAIL,
    min_face: float = MIN_FACE,
    passphrase: str | None = None,
    key_file: Place | None = None,
    token: str | None = None,
    verify: bool | str = True,
) -> "AsyncGallery":
    """The same for `async with`; the gallery is opened when it is entered, or first asked.

    See `open`, whose errors are raised then.
    """
    return async_gallery.AsyncGallery(
        lambda: open(
            where,
            create=create,
            model=model,
            detector=detector,
            precision=precision,
            detail=detail,
            min_face=min_face,
            passphrase=passphrase,
            key_file=key_file,
            token=token,
            verify=verify,
        )
    )


def faces(
    photo: Photo,
    *,
    model: Place | None = None,
    detector: str | None = None,
    precision: str | None = None,
    detail: int = DETAIL,
    min_face: float = MIN_FACE,
) -> list[DetectedFace]:
    """Every face of a photo, the largest first: its box, points, embedding, quality and chip.

    photo: a path, bytes, an open binary file, a PIL image, or an RGB array (H, W, 3) of uint8. See
    `open` for the model's options; it is loaded once. Raises PhotoError for a photo that cannot be
    read, ModelError, and ValueError for what is no photo.
    """
    return recognizer(_model(model), detector, precision, detail, min_face).detect(photo)


def compare(
    a: Photo,
    b: Photo,
    *,
    fmr: float | None = None,
    threshold: float | None = None,
    prior: float = 0.5,
    model: Place | None = None,
    detector: str | None = None,
    precision: str | None = None,
    detail: int = DETAIL,
    min_face: float = MIN_FACE,
) -> "Comparison":
    """Tell whether two photos show one person, by the largest usable face of each.

    fmr: the accepted share of pairs of different people that are called the same, by default 0.001;
    threshold: the largest distance to accept, instead. prior: the probability, before the photos
    were looked at, that they show one person. See `faces` for the rest. Raises PhotoError,
    CalibrationError for a rate that the model cannot promise, and ModelError.
    """
    found = recognizer(_model(model), detector, precision, detail, min_face)
    return found.compare(a, b, fmr=fmr, threshold=threshold, prior=prior)


def bgr(frame: Pixels) -> Pixels:
    """An image of OpenCV's, (H, W, 3) uint8 in the order blue, green, red, as a photo.

    Raises ValueError for an array of another kind.
    """
    return photo_input.bgr(frame)


def _model(given: Place | None) -> str | None:
    return None if given is None else os.fspath(given)


def _keys(passphrase: str | None, key_file: Place | None) -> "Keys":
    """What opens an encrypted gallery: as given, else as the environment says."""

    def keys(kind: "Kind") -> bytes:
        if kind == "passphrase" and passphrase is not None:
            return vault.passphrase_bytes(passphrase)
        if kind == "key file" and key_file is not None:
            return vault.key_file_bytes(Path(key_file))
        return vault.from_environment(kind)

    return keys
