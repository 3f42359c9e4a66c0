"""A gallery's people as they are in Milvus, brought to the state of the truth when need be.

A gallery draws a name once. Its people are in a collection that begins with it; a row beside says
which collection that is and of which state. A new one is filled before it is named there, so that
nobody sees it half filled. Changes are made between two notes in that row, so that a break, or
somebody else who changes at the same time, is seen.
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
from facesearch.index.milvus import Catalogue, Gone, MilvusIndex, Numbers, Server
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
LOCK = "milvus.lock"  # held by whoever fills or changes the collection


@dataclass(frozen=True, slots=True)
class Held:
    """What a collection holds."""

    collection: str
    fingerprint: str  # of the model
    index: str
    people: int
    dimension: int  # of the templates
    state: str  # of the gallery; empty: nobody knows
    towards: str = ""  # the state, and a token, while it is changed


Current = tuple[MilvusIndex, State]


class MilvusSync:
    """The people of a gallery, in a collection, as they are whenever it is asked."""

    def __init__(self, store: Store, server: Server) -> None:
        self._store, self._server = store, server
        self._folder = store.database.folder
        self._index: MilvusIndex | None = None
        self.state = State("", 0)  # that `current` gave an index of
        self._distrusted: State | None = None

    def current(self) -> MilvusIndex:
        """The index as of now; its collection is filled or changed if need be.

        Raises GalleryError for an encrypted gallery, for one that is to be filled and cannot be
        written to, and as `milvus.connect` and `Store.vectors` do.
        """
        if self._index is None or self._store.revision() != self.state.revision:
            name, catalogue = self._name(), Catalogue(self._server)
            self._index, self.state = self._found(catalogue, name) or self._made(catalogue, name)
        return self._index

    def prepare(self) -> None:
        """The server makes what its index needs when it is filled."""
        self.current()

    def forget(self) -> None:
        """Let go of the collection."""
        self._index = None

    def is_kept(self) -> bool:
        """Whether there is a collection of the present state, or one that can be changed to it."""
        name = name_of(self._store)
        if name is None:
            return False
        held = _read(Catalogue(self._server), name)
        state = State.of(held.state) if held and self._usable(held) else None
        return state is not None and self._knows(state)

    def distrust(self) -> bool:
        """What `current` gave does not hold what it should: next time it gives another.

        False if it is not the collection's fault: it was replaced already for this state, or the
        database was changed by somebody else than facesearch.
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

    def renew(self) -> None:
        """Fill another collection and drop this one, with what the server keeps of deleted rows."""
        name, catalogue = self._name(), Catalogue(self._server)
        with locked(self._folder, LOCK_SECONDS, LOCK):
            self._index, self.state = self._filled(catalogue, name)

    def clean(self) -> None:
        """Leave nothing of what was purged, also if that could not be done at the time."""
        self.current()
        if self._is_unclean():
            self.renew()

    def leave(self) -> None:
        """Drop everything that the server has of this gallery. Raises GalleryError."""
        name = name_of(self._store)
        self._index = None
        if name is not None:
            catalogue = Catalogue(self._server)
            with locked(self._folder, LOCK_SECONDS, LOCK):
                catalogue.remove(name)
                _drop_others(catalogue, name, None)
                forget_name(self._store)

    def wrong(self) -> str | None:
        """What is wrong with a collection that is there and claims to be of the present state."""
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
        """The collection, if it is of the present state and whole."""
        held, state = _read(catalogue, name), self._store.state()
        if held is None or held.state != str(state) or held.towards or not self._usable(held):
            return None
        return self._opened(held), state

    def _made(self, catalogue: Catalogue, name: str) -> Current:
        """The collection of the present state, changed or filled anew."""
        if not self._store.database.writable:
            raise GalleryError(
                f"{self._folder}: cannot be written to, and Milvus does not hold its present "
                "state; let somebody search it who may write"
            )
        with locked(self._folder, LOCK_SECONDS, LOCK):
            # somebody else may have been quicker
            current = self._found(catalogue, name) or self._changed(catalogue, name)
            if current is None or self._is_unclean():
                current = self._filled(catalogue, name)
            return current

    def _usable(self, held: Held) -> bool:
        """Whether it is of the model and the index that are wanted, and whole."""
        model = self._store.model()
        if held.fingerprint != (model.fingerprint if model else ""):
            return False
        if self._server.index not in (None, held.index):
            return False
        try:  # while it is changed nobody knows how many rows it has
            return bool(held.towards) or self._opened(held).count() == held.people
        except Gone:
            return False

    def _changed(self, catalogue: Catalogue, name: str) -> Current | None:
        """The collection with what was changed since; None if it has to be filled anew."""
        held = _read(catalogue, name)
        since = State.of(held.state) if held else None
        if held is None or since is None or not held.collection or not self._usable(held):
            return None
        begun = State.of(held.towards)
        # what was begun is done again; if it led to a state that is none any more (a database that
        # was put back), nobody knows who was changed
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
        if _read(catalogue, name) != note:  # somebody else changed it at the same time
            return None
        done = replace(held, people=len(index), state=str(delta.state), towards="")
        _write(catalogue, name, done)
        return index, delta.state

    def _filled(self, catalogue: Catalogue, name: str) -> Current:
        """Another collection with everybody, in place of those that are there.

        Read in pages, since a machine may not hold them all: of people who change meanwhile some
        are as they were and some as they are, and those are changed again.
        """
        state, model = self._store.state(), self._store.model()
        fingerprint = model.fingerprint if model else ""
        held = Held("", fingerprint, self._server.index or "FLAT", 0, 1, str(state))
        _drop_others(catalogue, name, _read(catalogue, name))  # half filled
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
            index.settle()
            held = Held(collection, fingerprint, index.kind, len(index), dimension, str(state))
        _write(catalogue, name, held)
        _drop_others(catalogue, name, held)
        with self._store.database.append() as connection:
            if change_log.state(connection) == state:  # else something may have been purged since
                delete_settings(connection, MILVUS_UNCLEAN)
        return self._opened(held), state

    def _is_unclean(self) -> bool:
        with self._store.database.read() as connection:
            return get_setting(connection, MILVUS_UNCLEAN) is not None

    def _opened(self, held: Held) -> MilvusIndex:
        """Ready to be searched. Raises Gone."""
        index = MilvusIndex(self._server, held.collection, held.index, held.people, held.dimension)
        if held.collection:
            index.load()
        return index

    # The truth

    def _knows(self, state: State) -> bool:
        """Whether the gallery was in this state, and can tell what changed since."""
        return self._store.changed(state) is not None

    def _truth(self) -> tuple[State, Numbers, Embeddings]:
        """The state; everybody's number (P,) and template (P, D)."""
        state, faces, embeddings = self._store.vectors()
        numbers, owners = np.unique(faces, return_inverse=True)
        return state, numbers, templates(embeddings, owners)

    def _pages(self) -> Iterator[tuple[Numbers, Embeddings]]:
        """Everybody's numbers and templates, some at a time. Raises GalleryError if damaged."""
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
        """What this gallery's collections begin with, drawn once. Raises GalleryError."""
        database = self._store.database
        with database.read() as connection:
            encrypted = get_setting(connection, KEY_RECORD) is not None
            name = get_setting(connection, MILVUS_PREFIX)
        if name is None and not encrypted:
            with database.append() as connection:  # in which `encrypt` looks for a name, too
                encrypted = get_setting(connection, KEY_RECORD) is not None
                name = (
                    get_setting(connection, MILVUS_PREFIX) or f"facesearch_{secrets.token_hex(8)}"
                )
                if not encrypted:
                    set_setting(connection, MILVUS_PREFIX, name)
        if encrypted or name is None:
            raise GalleryError(
                f"{self._folder}: encrypted, and Milvus would hold its face data in plain; unset "
                "MILVUS_URI to search locally"
            )
        return name


def name_of(store: Store) -> str | None:
    """What the gallery's collections begin with, if it ever had any."""
    with store.database.read() as connection:
        return get_setting(connection, MILVUS_PREFIX)


def forget_name(store: Store) -> None:
    """The gallery does not say any more that a server has something of it."""
    with store.database.append() as connection:
        delete_settings(connection, MILVUS_PREFIX, MILVUS_UNCLEAN)


def _drop_others(catalogue: Catalogue, name: str, held: Held | None) -> None:
    """Collections of a gallery that are not in use: half filled, or of former times."""
    for collection in catalogue.collections(f"{name}_"):
        if held is None or collection != held.collection:
            catalogue.drop_collection(collection)


def _read(catalogue: Catalogue, name: str) -> Held | None:
    text = catalogue.get(name)
    try:
        return None if text is None else Held(**json.loads(text))
    except (ValueError, TypeError):  # of another version
        return None


def _write(catalogue: Catalogue, name: str, held: Held) -> None:
    catalogue.set(name, json.dumps(asdict(held)))
