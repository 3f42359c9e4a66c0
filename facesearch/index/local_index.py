"""The index of a gallery on this machine, which follows the database.

It is read from a file and brought up to date by what changed since, or made from all faces.
"""

from contextlib import suppress
from pathlib import Path

import numpy as np

from facesearch.core.templates import templates
from facesearch.index.base import PeopleIndex, SearchIndex
from facesearch.index.faiss_index import IvfPqIndex
from facesearch.index.person_index import PersonIndex
from facesearch.storage import cache_file
from facesearch.storage.records import Delta
from facesearch.storage.state import State
from facesearch.storage.store import Store
from facesearch.storage.vault import Vault

SMALL_FILE = 4 << 20  # bytes; a smaller file is written again after every change
CHANGES_IN_MEMORY = 4096  # rows that may differ from a larger file
CODES_FROM = 2_000_000  # people; a larger index is searched with codes
MOST_UNCODED = 50_000  # people who may have changed since the codes were computed


class LocalIndex:
    """Gives an index of the people as they are whenever it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.database.folder / cache_file.INDEX
        self._index: PersonIndex | None = None
        self.state = State("", 0)  # of the index that `current` gave last
        self._codes_path = self._path.with_name(cache_file.CODES)
        self._codes: IvfPqIndex | None = None
        self._codes_state: State | None = None

    def current(self) -> SearchIndex:
        """The index as of now. Raises GalleryError for a damaged gallery."""
        inside = self._store.database.engine.templates()
        if inside is not None:
            for path in (self._path, self._codes_path):  # nothing would keep them up to date
                _remove(path)
            self.state = self._store.state()
            return inside
        if self._index is not None and self._store.revision() == self.state.revision:
            return self._index
        index = self._updated()
        if index is None:
            index = self._from_file()
        if index is None or due(index, self._path):
            self._save(self._from_faces() if index is None else index)
        assert self._index is not None
        self._use_codes(self._index)
        return self._index

    def prepare(self) -> None:
        """Compute the codes that a search of very many people needs, unless they are there."""
        index = self.current()
        if not isinstance(index, PersonIndex) or len(index) < CODES_FROM:
            return
        if self._codes_state is not None:
            return
        codes = index.codes()
        with suppress(OSError):
            codes.save(self._codes_path, self.state, self._store.database.vault)
            self._remove_if_late(self._store.database.vault, self._codes_path)
        self._codes, self._codes_state = codes, self.state
        self._use_codes(index)

    def is_kept(self) -> bool:
        """Whether the file is there and only lacks a few changes."""
        state = State.of(cache_file.stamp_of(self._path) or "")
        changed = None if state is None else self._store.changed(state)
        return changed is not None and not behind(len(changed), self._path)

    def forget(self) -> None:
        """Release the mapped files and the memory."""
        self._index = self._codes = None

    def _use_codes(self, index: PersonIndex) -> None:
        """Have a large index search with the codes, if there are any that are good enough."""
        if len(index) < CODES_FROM:
            _remove(self._codes_path)
            return
        vault = self._store.database.vault
        if self._codes is None:
            found = IvfPqIndex.load(self._codes_path, vault)
            if found is None:
                return
            self._codes, self._codes_state = found
        changed = self._store.changed(self._codes_state) if self._codes_state else None
        if changed is None or self._codes_state is None or len(changed) > MOST_UNCODED:
            self._codes = self._codes_state = None
            _remove(self._codes_path)
            return
        gone = np.setdiff1d(changed, index.numbers)
        if len(gone) and self._codes.drop(gone):  # nothing of removed people stays in a file
            try:
                self._codes.save(self._codes_path, self._codes_state, vault)
            except OSError:
                _remove(self._codes_path)
        index.use_codes(self._codes, changed)

    def _updated(self) -> PersonIndex | None:
        """The index in memory with all changes since; None if it has to be made again."""
        if self._index is None:
            return None
        delta = self._store.changes_since(self.state)
        if delta is None or not apply(delta, self._index):
            self._index = None
            return None
        self.state = delta.state
        return self._index

    def _from_file(self) -> PersonIndex | None:
        """The index of the file with all changes since; None if there is no file of any use."""
        found = PersonIndex.load(self._path, self._store.database.vault)
        if found is None:
            return None
        self._index, self.state = found
        return self._updated()

    def _from_faces(self) -> PersonIndex:
        """An index made from all faces."""
        self.state, owners, embeddings = self._store.vectors()
        people, rows = np.unique(owners, return_inverse=True)
        self._index = PersonIndex(people, templates(embeddings, rows))
        return self._index

    def _save(self, index: PersonIndex) -> None:
        """Write the index to the file, if that can be written, and map it from there."""
        vault, gone = self._store.database.vault, index.gone
        try:
            index.save(self._path, self.state, vault)
        except OSError:
            if len(gone):
                _remove(self._path)
            return
        found = PersonIndex.load(self._path) if vault.key is None else None
        if found is not None and found[1] == self.state:
            self._index = found[0]
        elif index.changed:
            self._index = PersonIndex(index.numbers, index.templates)
        self._remove_if_late(vault, self._path)

    def _remove_if_late(self, vault: Vault, path: Path) -> None:
        """Remove a file if people were removed, or all was encrypted, while it was written."""
        if self._store.revision() == self.state.revision:
            return
        delta = self._store.changes_since(self.state)
        sealed = self._store.database.vault is not vault
        if delta is None or sealed or np.setdiff1d(delta.people, delta.owners).size:
            _remove(path)


def apply(delta: Delta, index: PeopleIndex) -> bool:
    """Bring an index up to date; returns False if its templates are of another dimension."""
    people, owners = np.unique(delta.owners, return_inverse=True)
    if len(people) and index.dimension not in (0, delta.embeddings.shape[1]):
        return False
    index.drop(delta.people)
    if len(people):
        index.put(people, templates(delta.embeddings, owners))
    return True


def due(index: PersonIndex, path: Path) -> bool:
    """Whether the file of an index has to be written again."""
    return len(index.gone) > 0 or not path.exists() or behind(index.changed, path)


def behind(people: int, path: Path) -> bool:
    """Whether so many people differ from a file that it should be written again."""
    try:
        return people > (CHANGES_IN_MEMORY if path.stat().st_size >= SMALL_FILE else 0)
    except OSError:
        return True


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
