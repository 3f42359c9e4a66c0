"""What a command works with: the gallery, the model and the keys that the global options name."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import typer

from facesearch.cli.options import options
from facesearch.core.errors import GalleryError
from facesearch.core.lazy import LazyModule
from facesearch.core.paths import find_gallery, find_model

if TYPE_CHECKING:
    from facesearch import client
    from facesearch.client import Client
    from facesearch.gallery import gallery as galleries
    from facesearch.gallery import recognizer as recognizers
    from facesearch.gallery.gallery import Gallery
    from facesearch.gallery.recognizer import Recognizer
    from facesearch.storage import database, vault
    from facesearch.storage.vault import Kind
else:
    client = LazyModule("facesearch.client")
    galleries = LazyModule("facesearch.gallery.gallery")
    recognizers = LazyModule("facesearch.gallery.recognizer")
    database = LazyModule("facesearch.storage.database")
    vault = LazyModule("facesearch.storage.vault")


def gallery(*, create: bool = False, model: bool = False) -> "Gallery | Client":
    """The gallery that --gallery names: on this machine, or that of a service.

    create: make one if there is none. model: the command looks at photos, so the network begins to
    load at once. Raises GalleryError, and ModelError with `model`.
    """
    if options.server is not None:
        return client.Client(options.server)
    return local_gallery(create=create, model=model)


def local_gallery(*, create: bool = False, model: bool = False) -> "Gallery":
    """The same, but only on this machine. Raises GalleryError if a service was named."""
    place = gallery_place()
    if model:
        _ = recognizer().embedder  # loads in a thread, while the rest is imported
    return _open(place, create)


@contextmanager
def gallery_or_none(*, model: bool = False) -> "Iterator[Gallery | Client]":
    """The gallery; if there is none, an empty one in a temporary folder, so that none is made."""
    if options.server is not None or database.is_there(gallery_place()):
        with gallery(model=model) as found:
            yield found
    else:
        with TemporaryDirectory() as folder, _open(Path(folder), create=True) as empty:
            yield empty


def gallery_place() -> Path | str:
    """The folder or the URL of the gallery. Raises GalleryError if a service was named instead."""
    if options.server is not None:
        raise GalleryError(
            f"{options.server}: is a service; run this command on the machine of the gallery"
        )
    return find_gallery(options.gallery)


def recognizer() -> "Recognizer":
    """The model that the options name, with its detector and calibration. Raises ModelError."""
    return recognizers.recognizer(
        str(find_model(options.model)),
        options.detector,
        options.precision,
        options.detail,
        options.min_face,
    )


@cache
def given_keys(kind: "Kind") -> bytes:
    """The key of an encrypted gallery, from the options, the environment or the terminal."""
    if kind == "key file" and options.key_file is not None:
        return vault.key_file_bytes(options.key_file)
    asked = kind == "passphrase" and not os.environ.get("FACESEARCH_PASSPHRASE")
    if asked and sys.stdin.isatty():
        return vault.passphrase_bytes(typer.prompt("Passphrase", hide_input=True, err=True))
    return vault.from_environment(kind)


def _open(place: Path | str, create: bool) -> "Gallery":
    return galleries.Gallery(
        place,
        create=create,
        model=options.model,
        detector=options.detector,
        precision=options.precision,
        detail=options.detail,
        min_face=options.min_face,
        keys=given_keys,
    )
