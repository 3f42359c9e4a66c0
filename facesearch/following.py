"""The index of a gallery, which follows its database: a file, what changed since, or made anew."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from facesearch import cache
from facesearch.cache import State
from facesearch.index import PeopleIndex, PersonIndex
from facesearch.store import Delta, Store
from facesearch.template import templates
from facesearch.vault import Vault

SMALL = 4 << 20  # bytes: such a file is written anew for any change
BEHIND = 4096  # rows that differ from a larger file before it is


class FollowingIndex:
    """The people of a gallery as they are whenever it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.database.path.parent / cache.INDEX
        self._index: PersonIndex | None = None
        self.state = State("", 0)  # that `current` gave an index of

    def current(self) -> PersonIndex:
        """The index as of now. Raises GalleryError for a damaged gallery."""
        if self._index is not None and self._store.revision() == self.state.revision:
            return self._index
        index = self._caught_up()
        if index is None:
            index = self._from_file()
        if index is None or due(index, self._path):
            self._keep(self._anew() if index is None else index)
        assert self._index is not None
        return self._index

    def is_kept(self) -> bool:
        """Whether the file, with what changed since, is enough to begin with."""
        state = State.of(cache.stamp_of(self._path) or "")
        people = None if state is None else self._store.behind(state)
        return people is not None and not behind(people, self._path)

    def forget(self) -> None:
        """Let go of the file and of memory."""
        self._index = None

    def _caught_up(self) -> PersonIndex | None:
        if self._index is None:
            return None
        delta = self._store.since(self.state)
        if delta is None or not apply(delta, self._index):
            self._index = None
            return None
        self.state = delta.state
        return self._index

    def _from_file(self) -> PersonIndex | None:
        found = PersonIndex.load(self._path, self._store.database.vault)
        if found is None:
            return None
        self._index, self.state = found
        return self._caught_up()

    def _anew(self) -> PersonIndex:
        self.state, faces, embeddings = self._store.vectors()
        people, owners = np.unique(faces, return_inverse=True)
        self._index = PersonIndex(people, templates(embeddings, owners))
        return self._index

    def _keep(self, index: PersonIndex) -> None:
        """In the file, as far as that can be written; from then on it is mapped."""
        vault = self._store.database.vault
        try:
            index.save(self._path, self.state, vault)
        except OSError:
            if index.stale:  # it holds people who are gone
                self._remove_file()
            return
        found = PersonIndex.load(self._path) if vault.key is None else None
        if found is not None and found[1] == self.state:
            self._index = found[0]
        elif index.changed:
            self._index = PersonIndex(index.numbers, index.templates)
        self._drop_late(vault)

    def _drop_late(self, vault: Vault) -> None:
        """What was made while somebody was removed, or all was encrypted, is not left behind."""
        if self._store.revision() == self.state.revision:
            return
        delta = self._store.since(self.state)
        sealed = self._store.database.vault is not vault
        if delta is None or sealed or np.setdiff1d(delta.people, delta.owners).size:
            self._remove_file()

    def _remove_file(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def apply(delta: Delta, index: PeopleIndex) -> bool:
    """Give an index what changed; False if it is of embeddings of another size."""
    people, owners = np.unique(delta.owners, return_inverse=True)
    index.drop(delta.people)
    if len(people) and len(index) and delta.embeddings.shape[1] != index.dimension:
        return False
    if len(people):
        index.put(people, templates(delta.embeddings, owners))
    return True


def due(index: PersonIndex, path: Path) -> bool:
    """Whether the file is to be written anew."""
    return index.stale or not path.exists() or behind(index.changed, path)


def behind(people: int, path: Path) -> bool:
    """Whether so many differ from a file that it should be written anew."""
    try:
        return people > (BEHIND if path.stat().st_size >= SMALL else 0)
    except OSError:
        return True
