"""The index of a gallery, which follows its database: a file, what changed since, or made anew."""

from contextlib import suppress
from pathlib import Path

import numpy as np

from facesearch.core.templates import templates
from facesearch.index.faiss_index import IvfPqIndex, PeopleIndex, PersonIndex, SearchIndex
from facesearch.storage import cache_file
from facesearch.storage.records import Delta
from facesearch.storage.state import State
from facesearch.storage.store import Store
from facesearch.storage.vault import Vault

SMALL = 4 << 20  # bytes: such a file is written anew for any change
BEHIND = 4096  # rows that differ from a larger file before it is
MANY = 2_000_000  # people from whom on codes are used
BESIDE = 50_000  # people who may differ from the codes


class LocalIndex:
    """The people of a gallery as they are whenever it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._path = store.database.folder / cache_file.INDEX
        self._index: PersonIndex | None = None
        self.state = State("", 0)  # that `current` gave an index of
        self._codes = self._path.with_name(cache_file.COARSE)
        self._coarse: IvfPqIndex | None = None
        self._since_codes: State | None = None

    def current(self) -> SearchIndex:
        """The index as of now. Raises GalleryError for a damaged gallery."""
        inside = self._store.database.engine.templates()
        if inside is not None:
            for path in (self._path, self._codes):  # what lies here would not follow the gallery
                _remove(path)
            self.state = self._store.state()
            return inside
        if self._index is not None and self._store.revision() == self.state.revision:
            return self._index
        index = self._caught_up()
        if index is None:
            index = self._from_file()
        if index is None or due(index, self._path):
            self._keep(self._anew() if index is None else index)
        assert self._index is not None
        self._hasten(self._index)
        return self._index

    def prepare(self) -> None:
        """Make the codes that a search of very many people needs, if there are none or old ones."""
        index = self.current()
        if not isinstance(index, PersonIndex) or len(index) < MANY or self._since_codes is not None:
            return
        coarse = IvfPqIndex.of(index)
        with suppress(OSError):
            coarse.save(self._codes, self.state, self._store.database.vault)
            self._drop_late(self._store.database.vault, self._codes)
        self._coarse, self._since_codes = coarse, self.state
        self._hasten(index)

    def is_kept(self) -> bool:
        """Whether the file, with what changed since, is enough to begin with."""
        state = State.of(cache_file.stamp_of(self._path) or "")
        changed = None if state is None else self._store.changed(state)
        return changed is not None and not behind(len(changed), self._path)

    def forget(self) -> None:
        """Let go of the files and of memory."""
        self._index = self._coarse = None

    def _hasten(self, index: PersonIndex) -> None:
        """With the codes, if there are any; who changed since they were made is told to it."""
        if len(index) < MANY:
            _remove(self._codes)
            return
        vault = self._store.database.vault
        if self._coarse is None:
            found = IvfPqIndex.load(self._codes, vault)
            if found is None:
                return
            self._coarse, self._since_codes = found
        changed = self._store.changed(self._since_codes) if self._since_codes else None
        if changed is None or self._since_codes is None or len(changed) > BESIDE:
            self._coarse = self._since_codes = None  # of no use any more
            _remove(self._codes)
            return
        gone = np.setdiff1d(changed, index.numbers)
        if len(gone) and self._coarse.drop(gone):  # nothing of them stays in a file
            try:
                self._coarse.save(self._codes, self._since_codes, vault)
            except OSError:
                _remove(self._codes)
        index.use_codes(self._coarse, changed)

    def _caught_up(self) -> PersonIndex | None:
        if self._index is None:
            return None
        delta = self._store.changes_since(self.state)
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
        self._drop_late(vault, self._path)

    def _drop_late(self, vault: Vault, path: Path) -> None:
        """What was made while somebody was removed, or all was encrypted, is not left behind."""
        if self._store.revision() == self.state.revision:
            return
        delta = self._store.changes_since(self.state)
        sealed = self._store.database.vault is not vault
        if delta is None or sealed or np.setdiff1d(delta.people, delta.owners).size:
            _remove(path)


def apply(delta: Delta, index: PeopleIndex) -> bool:
    """Give an index what changed; False if it is of embeddings of another size."""
    people, owners = np.unique(delta.owners, return_inverse=True)
    if len(people) and index.dimension not in (0, delta.embeddings.shape[1]):
        return False
    index.drop(delta.people)
    if len(people):
        index.put(people, templates(delta.embeddings, owners))
    return True


def due(index: PersonIndex, path: Path) -> bool:
    """Whether the file is to be written anew."""
    return len(index.gone) > 0 or not path.exists() or behind(index.changed, path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def behind(people: int, path: Path) -> bool:
    """Whether so many differ from a file that it should be written anew."""
    try:
        return people > (BEHIND if path.stat().st_size >= SMALL else 0)
    except OSError:
        return True
