"""Nearest people: exact search over templates; its file is only a cache. The door to FAISS."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.storage import cache_file
from facesearch.storage.state import State
from facesearch.storage.vault import Vault

Numbers = NDArray[np.int64]

ROWS = 1 << 15  # templates that are written at once
TRAIN, CELLS, ROUNDS = 100_000, 2048, 10  # how the codes of very many people are made
SHARE = 8  # of the cells one is looked into
AGAIN = 256  # people who are compared again
FEW = 20  # queries that FAISS compares one by one, each in one thread
SHARED = 100_000  # templates for a thread of its own, at least
SPARE = 16  # more rows than are asked for, in case that some of them are of people who are gone


class SearchIndex(Protocol):
    """Templates by the number of their person. One person has one template."""

    def __len__(self) -> int: ...

    @property
    def dimension(self) -> int:
        """D of whoever is put in; 0 if anything fits."""
        ...

    def search(
        self, query: Embeddings, count: int, *, exact: bool = False
    ) -> tuple[Numbers, Embeddings]:
        """The nearest people of each query, nearest first: numbers and distances, (Q, count).

        query: unit vectors, (Q, D). Fewer columns if there are fewer people. exact: miss nobody,
        however long it takes.
        """
        ...

    def of(self, numbers: Numbers) -> Embeddings:
        """The templates of these people, (P, D). Raises KeyError if one is not there."""
        ...


class PeopleIndex(SearchIndex, Protocol):
    """One that is told who changed."""

    def put(self, numbers: Numbers, templates: Embeddings) -> None:
        """People who are new, or whose template is another now. numbers: (P,), each once."""
        ...

    def drop(self, numbers: Numbers) -> None:
        """People who are gone, or never were there, (P,)."""
        ...


class IvfPqIndex:
    """Short codes of very many people's templates, in cells of which a search looks into a few.

    What it finds is compared again by the templates themselves.
    docs/development/performance.md says what was
    measured.
    """

    def __init__(self, index: Any) -> None:
        self._index = index
        index.nprobe = max(1, index.nlist // SHARE)

    @classmethod
    def of(cls, index: "PersonIndex") -> "IvfPqIndex":
        """Of all people of an index; takes minutes."""
        numbers, blocks = index.numbers, index._blocks()
        dimension = index.dimension
        made: Any = faiss.index_factory(dimension, f"IVF{CELLS},PQ{dimension // 2}x4fsr")
        made.cp.niter = ROUNDS
        drawn = np.sort(np.random.default_rng(0).permutation(len(numbers))[:TRAIN])
        made.train(index.of(numbers[drawn]))
        at = 0
        for block in blocks:
            made.add_with_ids(block, numbers[at : at + len(block)])
            at += len(block)
        return cls(made)

    def drop(self, numbers: Numbers) -> int:
        """Forget people; returns how many of them there were."""
        return int(self._index.remove_ids(numbers))

    def near(self, query: Embeddings) -> Numbers:
        """People who may be the nearest, (Q, AGAIN); -1 where there are fewer."""
        found: Numbers = self._index.search(query, AGAIN)[1]
        return found

    def save(self, path: Path, state: State, vault: Vault = cache_file.PLAIN) -> None:
        """Keep it for a gallery in this state. Raises OSError if it cannot be written."""
        cache_file.save(path, [faiss.serialize_index(self._index).tobytes()], str(state), vault)

    @classmethod
    def load(cls, path: Path, vault: Vault = cache_file.PLAIN) -> "tuple[IvfPqIndex, State] | None":
        """That of a file with the state that it is of, or None if it is missing or damaged."""
        found = cache_file.read(path, vault)
        state = State.of(found[0]) if found else None
        if found is None or state is None:
            return None
        return cls(faiss.deserialize_index(found[1])), state


class PersonIndex:
    """A PeopleIndex in memory, or mapped from a file, with what changed since in memory."""

    def __init__(self, numbers: Numbers, templates: Embeddings) -> None:
        """numbers: ascending, (P,). templates: unit vectors, (P, D)."""
        self._numbers, self._templates = numbers, templates
        self._gone = np.zeros(len(numbers), np.bool_)  # of the rows: changed or dropped since
        self._new_numbers = np.empty(0, np.int64)
        self._new = np.empty((0, templates.shape[1]), np.float32)
        self._coarse: IvfPqIndex | None = None
        self._beside = np.empty(0, np.int64)

    def use_codes(self, coarse: IvfPqIndex, changed: Numbers) -> None:
        """Search with the help of codes, which know nothing of who changed since they were made."""
        self._coarse = coarse
        self._beside = self._there(changed)

    def __len__(self) -> int:
        return len(self._numbers) - int(self._gone.sum()) + len(self._new)

    @property
    def dimension(self) -> int:
        """See `PeopleIndex`."""
        return self._new.shape[1] if len(self._numbers) or len(self._new) else 0

    @property
    def changed(self) -> int:
        """How many rows differ from what was given first, or is in the file."""
        return int(self._gone.sum()) + len(self._new)

    @property
    def gone(self) -> Numbers:
        """People of whom there are rows, but who have no template any more."""
        return np.setdiff1d(self._numbers[self._gone], self._new_numbers)

    @property
    def numbers(self) -> Numbers:
        """Of the people, ascending, (P,)."""
        return np.sort(np.concatenate([self._numbers[~self._gone], self._new_numbers]))

    @property
    def templates(self) -> Embeddings:
        """All of them, in the order of `numbers`, (P, D)."""
        return np.concatenate([self._new[:0], *self._blocks()])

    def of(self, numbers: Numbers) -> Embeddings:
        """See `PeopleIndex`."""
        found = np.empty((len(numbers), self._new.shape[1]), np.float32)
        rows, there = self._rows(numbers)
        there &= ~self._gone[rows] if len(self._gone) else False
        found[there] = self._templates[rows[there]]
        order = np.argsort(self._new_numbers)
        for at in np.flatnonzero(~there):
            place = int(np.searchsorted(self._new_numbers, numbers[at], sorter=order))
            if place == len(order) or self._new_numbers[order[place]] != numbers[at]:
                raise KeyError(int(numbers[at]))
            found[at] = self._new[order[place]]
        return found

    def put(self, numbers: Numbers, templates: Embeddings) -> None:
        """See `PeopleIndex`."""
        self.drop(numbers)
        self._new_numbers = np.concatenate([self._new_numbers, numbers])
        self._new = np.concatenate([self._new.reshape(-1, templates.shape[1]), templates])
        if self._coarse is not None:
            self._beside = np.union1d(self._beside, numbers)

    def drop(self, numbers: Numbers) -> None:
        """See `PeopleIndex`."""
        rows, there = self._rows(numbers)
        self._gone[rows[there]] = True
        kept = ~np.isin(self._new_numbers, numbers)
        self._new_numbers, self._new = self._new_numbers[kept], self._new[kept]
        self._beside = np.setdiff1d(self._beside, numbers)

    def search(
        self, query: Embeddings, count: int, *, exact: bool = False
    ) -> tuple[Numbers, Embeddings]:
        """See `PeopleIndex`; exact anyway without `hasten`, and for more than a few people."""
        count = min(count, len(self))
        if count == 0:
            empty = np.empty((len(query), 0))
            return empty.astype(np.int64), empty.astype(np.float32)
        query = np.ascontiguousarray(query, np.float32)
        if self._coarse is not None and not exact and count <= AGAIN // 4:
            return self._hastened(self._coarse, query, count)
        squared, rows = self._nearest_rows(query, count)
        numbers = self._numbers[rows]
        if len(self._new):
            more, places = _nearest(query, self._new, min(count, len(self._new)))
            squared = np.concatenate([squared, more], axis=1)
            numbers = np.concatenate([numbers, self._new_numbers[places]], axis=1)
        order = np.argsort(squared, axis=1, kind="stable")[:, :count]
        squared = np.take_along_axis(squared, order, axis=1)
        return np.take_along_axis(numbers, order, axis=1), np.sqrt(np.maximum(squared, 0))

    def _hastened(
        self, coarse: IvfPqIndex, query: Embeddings, count: int
    ) -> tuple[Numbers, Embeddings]:
        numbers = np.empty((len(query), count), np.int64)
        distances = np.empty((len(query), count), np.float32)
        templates = self.of(self._beside)
        for at, near in enumerate(coarse.near(query)):
            near = np.setdiff1d(self._there(near), self._beside)
            if len(near) + len(self._beside) < count:
                numbers[at], distances[at] = (
                    found[0] for found in self.search(query[at : at + 1], count, exact=True)
                )
                continue
            known = np.concatenate([near, self._beside])
            apart = np.linalg.norm(np.concatenate([self.of(near), templates]) - query[at], axis=1)
            order = np.argsort(apart, kind="stable")[:count]
            numbers[at], distances[at] = known[order], apart[order]
        return numbers, distances

    def _there(self, numbers: Numbers) -> Numbers:
        """Those of these people who are in the index, ascending."""
        rows, there = self._rows(numbers)
        if len(self._gone):
            there &= ~self._gone[rows]
        return np.unique(numbers[there | np.isin(numbers, self._new_numbers)])

    def _nearest_rows(self, query: Embeddings, count: int) -> tuple[Embeddings, Numbers]:
        """Squared distances and rows; those of people who are gone are infinitely far."""
        total, gone = len(self._numbers), int(self._gone.sum())
        wanted = min(count + min(gone, SPARE), total)
        while True:
            squared, rows = _nearest(query, self._templates, wanted)
            squared[self._gone[rows]] = np.inf
            enough = np.isfinite(squared).sum(axis=1) >= min(count, total - gone)
            if wanted == total or enough.all():
                return squared, rows
            wanted = min(4 * wanted, total)

    def _rows(self, numbers: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
        """Where people would be among the rows, and whether they are, (P,) each."""
        if not len(self._numbers):
            return np.zeros(len(numbers), np.int64), np.zeros(len(numbers), np.bool_)
        rows = np.searchsorted(self._numbers, numbers).clip(max=len(self._numbers) - 1)
        return rows, self._numbers[rows] == numbers

    def _blocks(self) -> Iterator[Embeddings]:
        """The templates in the order of `numbers`, ROWS at a time."""
        kept, total = np.flatnonzero(~self._gone), len(self._numbers)
        order = np.argsort(np.concatenate([self._numbers[kept], self._new_numbers]))
        source = np.concatenate([kept, total + np.arange(len(self._new))])[order]
        for at in range(0, len(source), ROWS):
            block = source[at : at + ROWS]
            new = block >= total
            found = np.empty((len(block), self._new.shape[1]), np.float32)
            found[~new] = self._templates[block[~new]]
            found[new] = self._new[block[new] - total]
            yield found

    # The file: how many, of what dimension, their numbers, their templates

    def save(self, path: Path, state: State, vault: Vault = cache_file.PLAIN) -> None:
        """Keep it for a gallery in this state. Raises OSError if it cannot be written."""

        def content() -> Iterator[bytes]:
            numbers = self.numbers
            yield np.array([len(numbers), self._new.shape[1]], "<i8").tobytes()
            yield numbers.astype("<i8").tobytes()
            for block in self._blocks():
                yield block.astype("<f4").tobytes()

        cache_file.save(path, content(), str(state), vault)

    @classmethod
    def load(
        cls, path: Path, vault: Vault = cache_file.PLAIN
    ) -> "tuple[PersonIndex, State] | None":
        """The index of a file with the state that it is of, or None if it is missing or damaged."""
        found = cache_file.read(path, vault)
        state = State.of(found[0]) if found else None
        if found is None or state is None or len(found[1]) < 16:
            return None
        content = found[1]
        people, dimension = content[:16].view("<i8").tolist()
        if people < 0 or dimension < 1 or len(content) != 16 + people * (8 + 4 * dimension):
            return None
        numbers = content[16 : 16 + 8 * people].view("<i8")
        templates = content[16 + 8 * people :].view("<f4").reshape(people, dimension)
        return cls(numbers, templates), state


def _nearest(query: Embeddings, templates: Embeddings, count: int) -> tuple[Embeddings, Numbers]:
    """Squared distances and rows of the nearest templates, nearest first, (Q, count) each."""
    if not count:
        return np.empty((len(query), 0), np.float32), np.empty((len(query), 0), np.int64)
    threads = faiss.omp_get_max_threads() if len(query) < FEW else 1
    share = max(SHARED, -(-len(templates) // threads))
    starts = range(0, len(templates), share)

    def part(start: int) -> tuple[Embeddings, Numbers]:
        some = templates[start : start + share]
        squared, rows = faiss.knn(query, some, min(count, len(some)))
        return squared, rows + start

    if len(starts) == 1:
        return part(0)
    with ThreadPoolExecutor(len(starts)) as pool:
        found = list(pool.map(part, starts))
    squared, rows = (np.concatenate(parts, axis=1) for parts in zip(*found, strict=True))
    order = np.argsort(squared, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(squared, order, axis=1), np.take_along_axis(rows, order, axis=1)
