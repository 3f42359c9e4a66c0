"""What a gallery's database asks of the engine below it, SQLite or PostgreSQL."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings

NOT_A_GALLERY = "not a gallery, or a damaged one"


class TemplateSearch(Protocol):
    """People's templates in the database, and their nearest neighbours computed there."""

    def __len__(self) -> int: ...

    @property
    def dimension(self) -> int:
        """D of the templates; 0 if there are none."""

    @property
    def numbers(self) -> NDArray[np.int64]:
        """The people's numbers, in the order of `templates`, (P,)."""

    @property
    def templates(self) -> Embeddings:
        """All templates, (P, D)."""

    def of(self, numbers: NDArray[np.int64]) -> Embeddings:
        """The templates of these people, (P, D)."""

    def search(
        self, query: Embeddings, count: int, *, exact: bool = False
    ) -> tuple[NDArray[np.int64], Embeddings]:
        """The nearest people of each query, nearest first: numbers and distances, (Q, count)."""

    def forget(self, connection: sa.Connection) -> None:
        """Drop all templates; `Engine.update_templates` computes them again."""


class Engine(Protocol):
    """The tables' home: its connections, its one writer at a time, its errors."""

    name: str  # the folder, or the URL without secrets
    writable: bool

    @property
    def folder(self) -> Path:
        """Where the caches lie on this machine. Raises GalleryError."""

    def close(self) -> None:
        """Close all connections."""

    def busy(self) -> AbstractContextManager[None]:
        """Keep connections open while many transactions follow one another."""

    def reading(self) -> sa.Connection:
        """A connection that sees one state of the gallery, whoever writes meanwhile."""

    def writing(self, seconds: float) -> AbstractContextManager[sa.Connection]:
        """A transaction of the only writer.

        Raises GalleryError if another program keeps writing for `seconds`.
        """

    def alone(self, seconds: float) -> AbstractContextManager[sa.Connection]:
        """A connection of the only writer, outside of any transaction.

        Raises GalleryError as `writing` does.
        """

    def claim(self, name: str) -> AbstractContextManager[bool]:
        """Try to be the only program that does something, without waiting.

        Gives whether it is: another one may be doing it. The claim of a killed program ends with
        it.
        """

    def drop_claim(self, name: str) -> None:
        """Called when nobody will claim this name any more."""

    def free_bytes(self) -> int | None:
        """The free space on the disk of the database; None if it is on another machine."""

    def unused_share(self, connection: sa.Connection) -> tuple[int, float]:
        """How many bytes of the database are unused, and what share of it; 0 if it sees to that."""

    def translate_errors(self) -> AbstractContextManager[None]:
        """Turn errors of the database and of the file system into GalleryError."""

    def is_new(self, connection: sa.Connection) -> bool:
        """Whether the database is still empty."""

    def prepare(self, seconds: float) -> None:
        """Called before tables are created or changed."""

    def made(self, connection: sa.Connection) -> None:
        """Called after tables were created or changed, in the same transaction."""

    def update_templates(self, connection: sa.Connection) -> None:
        """Called at the end of every change: bring templates in the database up to date."""

    def templates(self) -> TemplateSearch | None:
        """The templates to search in the database; None if the index lies outside of it."""

    def check_sound(self, connection: sa.Connection) -> None:
        """Raises GalleryError if the database's own check finds damage."""

    def as_stored(self, connection: sa.Connection) -> None:
        """From now on this transaction also reads texts that are not valid UTF-8."""

    def overwrite(self, connection: sa.Connection, seconds: float) -> bool:
        """Overwrite what was deleted; the connection is one of `alone`.

        Returns False if other programs are in the way.
        """
