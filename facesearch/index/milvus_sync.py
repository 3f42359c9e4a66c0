"""The index of a gallery in Milvus, which follows the database.

A gallery draws a name once, with which the names of its collections begin. The catalogue says which
collection is in use and which state of the gallery it holds. A new collection is entered there when
it is full, so that nobody sees it half filled. Before and after every change the catalogue is
written, so that an interruption, or another program that changes the collection too, is noticed.
"""

import json
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain

import numpy as np

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import GalleryError
from facesearch.core.templates import templates
from facesearch.index.base import Numbers
from facesearch.index.milvus import Catalogue, Gone, MilvusIndex, Server
from facesearch.storage import change_log
from facesearch.storage.database import LOCK_SECONDS
from facesearch.storage.folder_lock import locked
from facesearch.storage.settings import (
    KEY_RECORD,
    MILVUS_PREFIX,
    MILVUS_UNCLEAN,
    delete_settings,
    get_setting,
    set_setting,
)
from facesearch.storage.state import State
from facesearch.storage.store import Store

PEOPLE_IN_PAGE = 500  # whose faces are in memory while a collection is filled
LOCK = "milvus.lock"  # held while a collection is filled or changed


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """What the catalogue says of a gallery's collection."""

    collection: str
    fingerprint: str  # of the model
    index: str
    people: int
    dimension: int  # of the templates
    state: str  # of the gallery; empty if it is not known
    towards: str = ""  # the state that it is being changed to, and a token


Current = tuple[MilvusIndex, State]


class MilvusSync:
    """Gives an index in Milvus of the people as they are whenever it is asked."""

    def __init__(self, store: Store, server: Server) -> None:
        self._store, self._server = store, server
        self._folder = store.database.folder
        self._index: MilvusIndex | None = None
        self.state = State("", 0)  # of the index that `current` gave last
        self._distrusted: State | None = None

    def current(self) -> MilvusIndex:
        """The index as of now; fills or changes the collection if necessary.

        Raises GalleryError for an encrypted or a damaged gallery, for one that is not writable but
        whose collection is out of date, and as `milvus.connect` does.
        """
        if self._index is None or self._store.revision() != self.state.revision:
            name, catalogue = self._name(), Catalogue(self._server)
            self._index, self.state = self._found(catalogue, name) or self._made(catalogue, name)
        return self._index

    def prepare(self) -> None:
        """Fill the collection; the server then builds its index."""
        self.current()

    def forget(self) -> None:
        """Forget the collection that was opened."""
        self._index = None

    def is_kept(self) -> bool:
        """Whether there is a collection that is up to date or can be brought up to date."""
        name = name_of(self._store)
        if name is None:
            return False
        held = _read(Catalogue(self._server), name)
        state = State.of(held.state) if held and self._usable(held) else None
        return state is not None and self._knows(state)

    def distrust(self) -> bool:
        """Replace the collection before it is used again, because it lacks people.

        Returns False if the collection is not to blame: it was replaced for this state before, or
        the database was changed by another program than facesearch.
        """
        index, self._index = self._index, None
        if index is None or self._distrusted == self.state:
            return False
        if not self._knows(self.state):
            return False
        name, catalogue = self._name(), Catalogue(self._server)
        with locked(self._folder, LOCK_SECONDS, LOCK):
            held = _read(catalogue, name)
            if held is not None and held.collection == index.name:
                self._distrusted = self.state
                _write(catalogue, name, replace(held, state=""))
        return True

    def refill(self) -> None:
        """Fill a new collection and drop the old one, in which deleted rows may remain."""
        name, catalogue = self._name(), Catalogue(self._server)
        with locked(self._folder, LOCK_SECONDS, LOCK):
            self._index, self.state = self._filled(catalogue, name)

    def clean(self) -> None:
        """Remove what was purged from the server, even if that failed when it was purged."""
        self.current()
        if self._is_unclean():
            self.refill()

    def leave(self) -> None:
        """Remove everything of this gallery from the server. Raises GalleryError."""
        name = name_of(self._store)
        self._index = None
        if name is not None:
            catalogue = Catalogue(self._server)
            with locked(self._folder, LOCK_SECONDS, LOCK):
                catalogue.remove(name)
                _drop_others(catalogue, name, None)
                forget_name(self._store)

    def problem(self) -> str | None:
        """What is wrong with a collection that claims to be up to date; None if it is sound."""
        state, numbers, wanted = self._truth()
        held = _read(Catalogue(self._server), self._name())
        if held is None or held.state != str(state) or held.towards:
            return None
        try:
            index = self._opened(held)
            same = index.count() == len(numbers) and np.allclose(
                index.of(numbers), wanted, atol=1e-5
            )
        except Gone:
            return None
        except KeyError:
            same = False
        return None if same else f"{held.collection}: does not hold what the database holds"

    # What is in the server

    def _found(self, catalogue: Catalogue, name: str) -> Current | None:
        """The collection, if it is up to date and complete."""
        held, state = _read(catalogue, name), self._store.state()
        if held is None or held.state != str(state) or held.towards or not self._usable(held):
            return None
        return self._opened(held), state

    def _made(self, catalogue: Catalogue, name: str) -> Current:
        """The collection, brought up to date or filled again."""
        if not self._store.database.writable:
            raise GalleryError(
                f"{self._folder}: the collection in Milvus is out of date, and this gallery cannot "
                "be written to; search it once as somebody who may write to it"
            )
        with locked(self._folder, LOCK_SECONDS, LOCK):
            # another program may have been quicker
            current = self._found(catalogue, name) or self._changed(catalogue, name)
            if current is None or self._is_unclean():
                current = self._filled(catalogue, name)
            return current

    def _usable(self, held: CatalogueEntry) -> bool:
        """Whether a collection is of the right model and index, and complete."""
        model = self._store.model()
        if held.fingerprint != (model.fingerprint if model else ""):
            return False
        if self._server.index not in (None, held.index):
            return False
        try:  # the number of rows is not known while it is changed
            return bool(held.towards) or self._opened(held).count() == held.people
        except Gone:
            return False

    def _changed(self, catalogue: Catalogue, name: str) -> Current | None:
        """The collection with all changes since; None if it has to be filled again."""
        held = _read(catalogue, name)
        since = State.of(held.state) if held else None
        if held is None or since is None or not held.collection or not self._usable(held):
            return None
        begun = State.of(held.towards)
        # an interrupted change is made again; if it led to a state that this database does not know
        # (since it was restored from a copy), the people who were changed are unknown
        if held.towards and (begun is None or not self._knows(begun)):
            return None
        delta = self._store.changes_since(since)
        if delta is None:
            return None
        there, owners = np.unique(delta.owners, return_inverse=True)
        note = replace(held, towards=f"{delta.state} {secrets.token_hex(8)}")
        _write(catalogue, name, note)
        index = self._opened(held)
        index.drop(np.setdiff1d(delta.people, there))
        index.put(there, templates(delta.embeddings, owners))
        if _read(catalogue, name) != note:  # another program changed it at the same time
            return None
        done = replace(held, people=len(index), state=str(delta.state), towards="")
        _write(catalogue, name, done)
        return index, delta.state

    def _filled(self, catalogue: Catalogue, name: str) -> Current:
        """Fill a new collection with everybody, and drop all others.

        People are read in pages, since they may not fit into memory. Some who change meanwhile are
        written as they were before; they are among the changes since `state`.
        """
        state, model = self._store.state(), self._store.model()
        fingerprint = model.fingerprint if model else ""
        held = CatalogueEntry("", fingerprint, self._server.index or "FLAT", 0, 1, str(state))
        _drop_others(catalogue, name, _read(catalogue, name))  # half-filled ones
        pages = self._pages()
        first = next(pages, None)
        if first is not None:
            collection = f"{name}_{fingerprint[:12]}_{secrets.token_hex(4)}"
            dimension = first[1].shape[1]
            index = MilvusIndex.make(
                self._server, collection, dimension, self._store.with_faces_count()
            )
            for numbers, vectors in chain([first], pages):
                index.add(numbers, vectors)
            index.flush()
            held = CatalogueEntry(
                collection, fingerprint, index.kind, len(index), dimension, str(state)
            )
        _write(catalogue, name, held)
        _drop_others(catalogue, name, held)
        with self._store.database.append() as connection:
            if change_log.state(connection) == state:  # else somebody may have been purged since
                delete_settings(connection, MILVUS_UNCLEAN)
        return self._opened(held), state

    def _is_unclean(self) -> bool:
        with self._store.database.read() as connection:
            return get_setting(connection, MILVUS_UNCLEAN) is not None

    def _opened(self, held: CatalogueEntry) -> MilvusIndex:
        """The collection of an entry, loaded. Raises Gone."""
        index = MilvusIndex(self._server, held.collection, held.index, held.people, held.dimension)
        if held.collection:
            index.load()
        return index

    # The truth

    def _knows(self, state: State) -> bool:
        """Whether the gallery knows this state and what changed since."""
        return self._store.changed(state) is not None

    def _truth(self) -> tuple[State, Numbers, Embeddings]:
        """The state, and of all people the numbers (P,) and templates (P, D)."""
        state, faces, embeddings = self._store.vectors()
        numbers, owners = np.unique(faces, return_inverse=True)
        return state, numbers, templates(embeddings, owners)

    def _pages(self) -> Iterator[tuple[Numbers, Embeddings]]:
        """The numbers and templates of all people, some at a time.

        Raises GalleryError for a damaged gallery.
        """
        database, last, revision = self._store.database, 0, self._store.revision()
        with database.read() as connection:
            database.engine.check_sound(connection)
        while True:
            noted = self._store.face_totals(after=last, limit=PEOPLE_IN_PAGE)
            if not noted:
                return
            last = max(noted)
            samples = self._store.person_faces(list(noted))
            found = {number: len(samples[number].embeddings) for number in sorted(samples)}
            if found != noted and self._store.revision() == revision:
                raise GalleryError(
                    f"{database.name}: damaged: faces are missing; "
                    "`facesearch gallery doctor` says more"
                )
            if found:
                owners = np.repeat(np.arange(len(found)), list(found.values()))
                vectors = np.concatenate([samples[number].embeddings for number in found])
                yield np.array(list(found), np.int64), templates(vectors, owners)

    def _name(self) -> str:
        """The first part of the collections' names, drawn once.

        Raises GalleryError for an encrypted gallery.
        """
        database = self._store.database
        with database.read() as connection:
            encrypted = get_setting(connection, KEY_RECORD) is not None
            name = get_setting(connection, MILVUS_PREFIX)
        if name is None and not encrypted:
            with database.append() as connection:  # `encrypt` looks for a name in one, too
                encrypted = get_setting(connection, KEY_RECORD) is not None
                name = (
                    get_setting(connection, MILVUS_PREFIX) or f"facesearch_{secrets.token_hex(8)}"
                )
                if not encrypted:
                    set_setting(connection, MILVUS_PREFIX, name)
        if encrypted or name is None:
            raise GalleryError(
                f"{self._folder}: this gallery is encrypted, and Milvus would hold its face data "
                "unencrypted; unset MILVUS_URI to search locally"
            )
        return name


def name_of(store: Store) -> str | None:
    """The first part of the collections' names; None if the gallery never was in Milvus."""
    with store.database.read() as connection:
        return get_setting(connection, MILVUS_PREFIX)


def forget_name(store: Store) -> None:
    """Forget that a server holds something of the gallery."""
    with store.database.append() as connection:
        delete_settings(connection, MILVUS_PREFIX, MILVUS_UNCLEAN)


def _drop_others(catalogue: Catalogue, name: str, held: CatalogueEntry | None) -> None:
    """Drop the collections of a gallery that are not in use."""
    for collection in catalogue.collections(f"{name}_"):
        if held is None or collection != held.collection:
            catalogue.drop_collection(collection)


def _read(catalogue: Catalogue, name: str) -> CatalogueEntry | None:
    text = catalogue.get(name)
    try:
        return None if text is None else CatalogueEntry(**json.loads(text))
    except (ValueError, TypeError):  # written by another version
        return None


def _write(catalogue: Catalogue, name: str, held: CatalogueEntry) -> None:
    catalogue.set(name, json.dumps(asdict(held)))
