"""A gallery's people as they are in Milvus, brought to the state of the truth when need be.

A gallery draws an identifier once. Its people are in a collection that bears it, the model's
fingerprint, and a token of its own; beside it is written which collection that is and at which
revision it stands. A new one is filled whole before it is named there, so that none is seen that is
half filled. What was changed since is applied between two notes, so that a break is seen.
"""

import json
import secrets
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facesearch.database import MIRROR, RECORD, get_setting, set_setting
from facesearch.errors import GalleryError
from facesearch.milvus import Catalogue, Gone, MilvusIndex, Server
from facesearch.model import Embeddings
from facesearch.schema import settings
from facesearch.store import Store
from facesearch.template import templates

LOCK = "milvus.lock"  # held by whoever fills or changes the collection


@dataclass(frozen=True, slots=True)
class State:
    """What a collection holds."""

    collection: str
    fingerprint: str  # of the model
    index: str
    people: int
    revision: str  # of the gallery; empty while the collection is changed


class Mirror:
    """The collection of one gallery."""

    def __init__(self, store: Store, server: Server) -> None:
        self._store, self._server = store, server
        self._folder = store.database.path.parent

    def current(self) -> tuple[MilvusIndex, str]:
        """The index, and the revision at which it stands, filled or changed if need be.

        Raises GalleryError for an encrypted gallery, if it has to be filled and may not be written
        to, and as `milvus.connect` and `Store.vectors` do.
        """
        name = self._name()
        catalogue = Catalogue(self._server)
        found = self._found(catalogue, name, self._store.revision())
        if found is not None:
            return found
        with self._store.database.lock(name=LOCK):
            revision = self._store.revision()
            return self._found(catalogue, name, revision) or self._filled(catalogue, name)

    def state(self) -> Literal["current", "to be rebuilt"]:
        """What `current` would find. Raises GalleryError if the server does not answer."""
        with self._store.database.read() as connection:
            name = get_setting(connection, MIRROR)
            revision = get_setting(connection, "revision") or ""
        found = name and self._found(Catalogue(self._server), name, revision)
        return "current" if found else "to be rebuilt"

    def distrust(self, collection: str) -> None:
        """This one does not hold what it should: the next search fills another."""
        name = self._name()
        catalogue = Catalogue(self._server)
        with self._store.database.lock(name=LOCK):
            state = _read(catalogue, name)
            if state is not None and state.collection == collection:
                _write(catalogue, name, replace(state, revision=""))

    def leave(self) -> None:
        """Drop everything that Milvus has of this gallery. Raises GalleryError."""
        with self._store.database.read() as connection:
            name = get_setting(connection, MIRROR)
        if name is None:
            return
        catalogue = Catalogue(self._server)
        with self._store.database.lock(name=LOCK):
            catalogue.remove(name)
            self._drop_others(catalogue, name, None)
            forget(self._store)

    def wrong(self) -> str | None:
        """What the collection holds that the truth does not, or None. Raises GalleryError."""
        name = self._name()
        revision, numbers, wanted = self._truth()
        found = self._found(Catalogue(self._server), name, revision)
        if found is None:
            return None  # it does not claim to
        try:
            same = np.allclose(found[0].of(numbers), wanted, atol=1e-5)
        except Gone as error:
            return str(error)
        return None if same else f"{found[0].name}: does not hold what the database holds"

    # What is in the server

    def _found(
        self, catalogue: Catalogue, name: str, revision: str
    ) -> tuple[MilvusIndex, str] | None:
        """The collection, if it stands at this revision and is whole."""
        state = _read(catalogue, name)
        if state is None or not revision or state.revision != revision:
            return None
        if self._server.index not in (None, state.index):
            return None
        index = MilvusIndex(self._server, state.collection, state.index, state.people)
        if not state.people:
            return index, revision
        try:
            index.load()
            return (index, revision) if index.count() == state.people else None
        except Gone:
            return None

    def _filled(self, catalogue: Catalogue, name: str) -> tuple[MilvusIndex, str]:
        revision, numbers, vectors = self._truth()
        model = self._store.model()
        fingerprint = model.fingerprint if model else ""
        collection = f"{name}_{fingerprint[:12]}_{secrets.token_hex(4)}"
        self._drop_others(catalogue, name, _read(catalogue, name))
        if not len(numbers):
            catalogue.remove(name)
            self._drop_others(catalogue, name, None)
            _write(catalogue, name, State(collection, fingerprint, "FLAT", 0, revision))
            return MilvusIndex(self._server, collection, "FLAT", 0), revision
        index = MilvusIndex.make(self._server, collection, vectors.shape[1], len(numbers))
        index.put(numbers, vectors)
        index.settle()
        state = State(collection, fingerprint, index.kind, len(numbers), revision)
        _write(catalogue, name, state)
        self._drop_others(catalogue, name, state)
        return index, revision

    def _drop_others(self, catalogue: Catalogue, name: str, state: State | None) -> None:
        """Collections of this gallery that are not, or no longer, in use."""
        for collection in catalogue.collections(f"{name}_"):
            if state is None or collection != state.collection:
                catalogue.drop_collection(collection)

    # The truth

    def _truth(self) -> tuple[str, NDArray[np.int64], Embeddings]:
        """The revision; everybody's number (P,) and template (P, D)."""
        revision, faces, embeddings = self._store.vectors()
        people, owners = np.unique(faces, return_inverse=True)
        return revision, people, templates(embeddings, owners)

    def _name(self) -> str:
        """What this gallery's collections begin with, drawn once. Raises GalleryError."""
        database = self._store.database
        with database.read() as connection:
            name = get_setting(connection, MIRROR)
            encrypted = get_setting(connection, RECORD) is not None
        if name is None and not encrypted:
            with database.append() as connection:
                # looked at again: `encrypt` asks for one in a transaction, too
                encrypted = get_setting(connection, RECORD) is not None
                name = get_setting(connection, MIRROR) or f"facesearch_{secrets.token_hex(8)}"
                if not encrypted:
                    set_setting(connection, MIRROR, name)
        if encrypted or name is None:
            raise GalleryError(
                f"{self._folder}: encrypted, and Milvus would hold its face data in plain; unset "
                "MILVUS_URI to search locally"
            )
        return name


def forget(store: Store) -> None:
    """The gallery no longer says that it has something in Milvus."""
    with store.database.append() as connection:
        connection.execute(settings.delete().where(settings.c.key == MIRROR))


def _read(catalogue: Catalogue, name: str) -> State | None:
    text = catalogue.get(name)
    try:
        return None if text is None else State(**json.loads(text))
    except (ValueError, TypeError):  # of another version
        return None


def _write(catalogue: Catalogue, name: str, state: State) -> None:
    catalogue.set(name, json.dumps(asdict(state)))
