"""From photos to what is on them: who does it, and this machine's cores as the first choice."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from facesearch import images
from facesearch.embed import Embedder, in_order
from facesearch.errors import PhotoError
from facesearch.looked import Look


class Looker(Protocol):
    """Reads the photos of an enrolment."""

    def hashed(
        self, paths: Iterable[Path], *, keep: bool, seen: Callable[[list[str]], set[str]]
    ) -> Iterator[str | PhotoError]:
        """The SHA-256 of each photo, in order; who likes looks at those to come meanwhile.

        seen: of some hashes those whose photos need no look. keep: see `looks`.
        """

    def looks(
        self, photos: Sequence[tuple[Path, str]], *, keep: bool
    ) -> Iterator[Look | PhotoError]:
        """What is on each photo, given with its SHA-256, in order. keep: with chips to keep."""


class Here:
    """Looks at photos in this process, on all cores."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def hashed(
        self, paths: Iterable[Path], *, keep: bool, seen: Callable[[list[str]], set[str]]
    ) -> Iterator[str | PhotoError]:
        return contents(paths)

    def looks(
        self, photos: Sequence[tuple[Path, str]], *, keep: bool
    ) -> Iterator[Look | PhotoError]:
        read = in_order(partial(self._embedder.read, keep=keep), (path for path, _ in photos))
        for (path, sha256), (_, portrait) in zip(photos, read, strict=True):
            if isinstance(portrait, PhotoError):
                yield portrait
            else:
                faces = self._embedder.faces(portrait)
                yield Look(path, sha256, portrait.width, portrait.height, faces)


def contents(paths: Iterable[Path]) -> Iterator[str | PhotoError]:
    """The SHA-256 of each photo, or why it cannot be opened."""
    for path in paths:
        try:
            yield images.sha256(path)
        except PhotoError as error:
            yield error
