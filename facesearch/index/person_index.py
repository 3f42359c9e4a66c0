"""The index on this machine: one template a person, searched exactly, or with codes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.index import faiss_index
from facesearch.index.base import Numbers
from facesearch.index.faiss_index import IvfPqIndex, nearest, sampled
from facesearch.storage import cache_file
from facesearch.storage.state import State
from facesearch.storage.vault import Vault

BLOCK_ROWS = 1 << 15  # templates that are copied at once
SPARE_ROWS = 16  # asked for beyond what is wanted, in case some are of dropped people


class PersonIndex:
    """A PeopleIndex in memory, or mapped from a file with later changes in memory."""

    def __init__(self, numbers: Numbers, templates: Embeddings) -> None:
        """numbers: of the people, ascending, (P,). templates: unit vectors, (P, D)."""
        self._numbers, self._templates = numbers, templates
        self._gone = np.zeros(len(numbers), np.bool_)  # rows that were replaced or dropped
        self._new_numbers = np.empty(0, np.int64)
        self._new = np.empty((0, templates.shape[1]), np.float32)
        self._codes: IvfPqIndex | None = None
        self._uncoded = np.empty(0, np.int64)  # people whom the codes do not know as they are

    def codes(self) -> IvfPqIndex:
        """Compute codes of all templates."""
        numbers = self.numbers
        return IvfPqIndex.build(self.of(sampled(numbers)), numbers, self._blocks())

    def use_codes(self, codes: IvfPqIndex, changed: Numbers) -> None:
        """Search with codes from now on. changed: the people who changed since they were made."""
        self._codes = codes
        self._uncoded = self._present(changed)

    def __len__(self) -> int:
        return len(self._numbers) - int(self._gone.sum()) + len(self._new)

    @property
    def dimension(self) -> int:
        """See `PeopleIndex`."""
        return self._new.shape[1] if len(self._numbers) or len(self._new) else 0

    @property
    def changed(self) -> int:
        """How many rows differ from those given at first, or from the file."""
        return int(self._gone.sum()) + len(self._new)

    @property
    def gone(self) -> Numbers:
        """People who were dropped, but whose rows are still there."""
        return np.setdiff1d(self._numbers[self._gone], self._new_numbers)

    @property
    def numbers(self) -> Numbers:
        """The numbers of all people, ascending, (P,)."""
        return np.sort(np.concatenate([self._numbers[~self._gone], self._new_numbers]))

    @property
    def templates(self) -> Embeddings:
        """All templates, in the order of `numbers`, (P, D)."""
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
        if self._codes is not None:
            self._uncoded = np.union1d(self._uncoded, numbers)

    def drop(self, numbers: Numbers) -> None:
        """See `PeopleIndex`."""
        rows, there = self._rows(numbers)
        self._gone[rows[there]] = True
        kept = ~np.isin(self._new_numbers, numbers)
        self._new_numbers, self._new = self._new_numbers[kept], self._new[kept]
        self._uncoded = np.setdiff1d(self._uncoded, numbers)

    def search(
        self, query: Embeddings, count: int, *, exact: bool = False
    ) -> tuple[Numbers, Embeddings]:
        """See `PeopleIndex`. Exact in any case without codes, or if many people are asked for."""
        count = min(count, len(self))
        if count == 0:
            empty = np.empty((len(query), 0))
            return empty.astype(np.int64), empty.astype(np.float32)
        query = np.ascontiguousarray(query, np.float32)
        if self._codes is not None and not exact and count <= faiss_index.CANDIDATES // 4:
            return self._search_codes(self._codes, query, count)
        squared, rows = self._nearest_rows(query, count)
        numbers = self._numbers[rows]
        if len(self._new):
            more, places = nearest(query, self._new, min(count, len(self._new)))
            squared = np.concatenate([squared, more], axis=1)
            numbers = np.concatenate([numbers, self._new_numbers[places]], axis=1)
        order = np.argsort(squared, axis=1, kind="stable")[:, :count]
        squared = np.take_along_axis(squared, order, axis=1)
        return np.take_along_axis(numbers, order, axis=1), np.sqrt(np.maximum(squared, 0))

    def _search_codes(
        self, codes: IvfPqIndex, query: Embeddings, count: int
    ) -> tuple[Numbers, Embeddings]:
        numbers = np.empty((len(query), count), np.int64)
        distances = np.empty((len(query), count), np.float32)
        templates = self.of(self._uncoded)
        for at, near in enumerate(codes.candidates(query)):
            near = np.setdiff1d(self._present(near), self._uncoded)
            if len(near) + len(self._uncoded) < count:
                numbers[at], distances[at] = (
                    found[0] for found in self.search(query[at : at + 1], count, exact=True)
                )
                continue
            known = np.concatenate([near, self._uncoded])
            apart = np.linalg.norm(np.concatenate([self.of(near), templates]) - query[at], axis=1)
            order = np.argsort(apart, kind="stable")[:count]
            numbers[at], distances[at] = known[order], apart[order]
        return numbers, distances

    def _present(self, numbers: Numbers) -> Numbers:
        """Those of these people who are in the index, ascending."""
        rows, there = self._rows(numbers)
        if len(self._gone):
            there &= ~self._gone[rows]
        return np.unique(numbers[there | np.isin(numbers, self._new_numbers)])

    def _nearest_rows(self, query: Embeddings, count: int) -> tuple[Embeddings, Numbers]:
        """Squared distances and rows; rows of dropped people are infinitely far."""
        total, gone = len(self._numbers), int(self._gone.sum())
        wanted = min(count + min(gone, SPARE_ROWS), total)
        while True:
            squared, rows = nearest(query, self._templates, wanted)
            squared[self._gone[rows]] = np.inf
            enough = np.isfinite(squared).sum(axis=1) >= min(count, total - gone)
            if wanted == total or enough.all():
                return squared, rows
            wanted = min(4 * wanted, total)

    def _rows(self, numbers: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
        """The rows where these people belong, and whether they are there, (P,) each."""
        if not len(self._numbers):
            return np.zeros(len(numbers), np.int64), np.zeros(len(numbers), np.bool_)
        rows = np.searchsorted(self._numbers, numbers).clip(max=len(self._numbers) - 1)
        return rows, self._numbers[rows] == numbers

    def _blocks(self) -> Iterator[Embeddings]:
        """The templates in the order of `numbers`, BLOCK_ROWS at a time."""
        kept, total = np.flatnonzero(~self._gone), len(self._numbers)
        order = np.argsort(np.concatenate([self._numbers[kept], self._new_numbers]))
        source = np.concatenate([kept, total + np.arange(len(self._new))])[order]
        for at in range(0, len(source), BLOCK_ROWS):
            block = source[at : at + BLOCK_ROWS]
            new = block >= total
            found = np.empty((len(block), self._new.shape[1]), np.float32)
            found[~new] = self._templates[block[~new]]
            found[new] = self._new[block[new] - total]
            yield found

    # The file: the number of people, the dimension, the people's numbers, the templates

    def save(self, path: Path, state: State, vault: Vault = cache_file.PLAIN) -> None:
        """Write the index for a gallery in this state. Raises OSError."""

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
        """The index in a file, mapped, and the state that it was made from.

        Returns None if the file is missing or damaged.
        """
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
