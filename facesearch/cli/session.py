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
from facesearch.core.paths import find_gallery, find_model

if TYPE_CHECKING:
    from facesearch.gallery.legacy import Gallery
    from facesearch.legacy_client import Client
    from facesearch.storage.vault import Kind
    from facesearch.vision.embedder import Embedder
    from facesearch.vision.model import Model


def gallery_place() -> Path | str:
    """The folder or the URL of the gallery. Raises GalleryError if a service was named instead."""
    if options.server:
        raise GalleryError(
            f"{options.server}: is a service; run this command on the machine of the gallery"
        )
    return find_gallery(options.gallery)


@contextmanager
def opened(*, create: bool = False) -> "Iterator[Gallery]":
    """The gallery on this machine. create: make one if there is none. Raises GalleryError."""
    from facesearch.gallery.legacy import Gallery

    with Gallery(gallery_place(), create=create, keys=given_keys) as gallery:
        yield gallery


@contextmanager
def opened_if_there() -> "Iterator[Gallery]":
    """The gallery; if there is none, an empty one in a temporary folder, so that none is made."""
    from facesearch.gallery.legacy import Gallery
    from facesearch.storage.database import is_there

    if is_there(gallery_place()):
        with opened() as gallery:
            yield gallery
    else:
        with TemporaryDirectory() as folder, Gallery(Path(folder), create=True) as gallery:
            yield gallery


@contextmanager
def reached() -> "Iterator[Gallery | Client]":
    """The gallery on this machine, or the service that --gallery names."""
    if options.server is None:
        with opened() as gallery:
            yield gallery
        return
    from facesearch.legacy_client import Client

    with Client(options.server) as client:
        yield client


@cache
def given_keys(kind: "Kind") -> bytes:
    """The key of an encrypted gallery, from the options, the environment or the terminal."""
    from facesearch.storage.vault import from_environment, key_file_bytes, passphrase_bytes

    if kind == "key file" and options.key_file is not None:
        return key_file_bytes(options.key_file)
    asked = kind == "passphrase" and not os.environ.get("FACESEARCH_PASSPHRASE")
    if asked and sys.stdin.isatty():
        return passphrase_bytes(typer.prompt("Passphrase", hide_input=True, err=True))
    return from_environment(kind)


def chosen_model() -> "Model":
    """The model that the options name. Raises ModelError."""
    from facesearch.vision.model import Model

    return Model(find_model(options.model), options.detector, options.precision)


def embedder_of(model: "Model") -> "Embedder":
    """The way from photos to embeddings with this model. Raises ModelError."""
    from facesearch.vision.embedder import Embedder

    return Embedder(model, options.detail, options.min_face)
