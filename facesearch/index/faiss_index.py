"""The door to FAISS: the nearest of all templates, and short codes that make it faster."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from facesearch.core.arrays import Embeddings
from facesearch.index.base import Numbers
from facesearch.storage import cache_file
from facesearch.storage.state import State
from facesearch.storage.vault import Vault

TRAINED_ON, CELLS, ROUNDS = 100_000, 2048, 10  # templates, cells and rounds of k-means
CELLS_SHARE = 8  # a search looks into one cell of so many
CANDIDATES = 256  # people whom the codes find, to be compared by their templates
FEW_QUERIES = 20  # FAISS compares fewer queries than this one by one, each in a single thread
ROWS_PER_THREAD = 100_000  # templates, at least


def nearest(query: Embeddings, templates: Embeddings, count: int) -> tuple[Embeddings, Numbers]:
    """The nearest templates of each query, nearest first: squared distances and rows, (Q, count).

    count: at most the number of templates. The comparison is exact.
    """
    if not count:
        return np.empty((len(query), 0), np.float32), np.empty((len(query), 0), np.int64)
    threads = faiss.omp_get_max_threads() if len(query) < FEW_QUERIES else 1
    share = max(ROWS_PER_THREAD, -(-len(templates) // threads))
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


class IvfPqIndex:
    """Short codes of very many people's templates, grouped into cells; a search looks into a few.

    The people whom it finds are compared again by their templates.
    docs/development/performance.md says what that gains and loses.
    """

    def __init__(self, index: Any) -> None:
        """index: of FAISS, as `build` makes it."""
        self._index = index
        index.nprobe = max(1, index.nlist // CELLS_SHARE)

    @classmethod
    def build(
        cls, sample: Embeddings, numbers: Numbers, blocks: Iterable[Embeddings]
    ) -> "IvfPqIndex":
        """Compute the codes of people; for millions of them this takes minutes.

        sample: templates to learn the cells and codes from, see `sampled`. numbers: of the people,
        (P,). blocks: their templates in the same order, some at a time.
        """
        dimension = sample.shape[1]
        index: Any = faiss.index_factory(dimension, f"IVF{CELLS},PQ{dimension // 2}x4fsr")
        index.cp.niter = ROUNDS
        index.train(sample)
        at = 0
        for block in blocks:
            index.add_with_ids(block, numbers[at : at + len(block)])
            at += len(block)
        return cls(index)

    def drop(self, numbers: Numbers) -> int:
        """Remove people; returns how many of them there were."""
        return int(self._index.remove_ids(numbers))

    def candidates(self, query: Embeddings) -> Numbers:
        """People who may be the nearest, (Q, CANDIDATES); -1 where there are fewer."""
        found: Numbers = self._index.search(query, CANDIDATES)[1]
        return found

    def save(self, path: Path, state: State, vault: Vault = cache_file.PLAIN) -> None:
        """Write the codes for a gallery in this state. Raises OSError."""
        cache_file.save(path, [faiss.serialize_index(self._index).tobytes()], str(state), vault)

    @classmethod
    def load(cls, path: Path, vault: Vault = cache_file.PLAIN) -> "tuple[IvfPqIndex, State] | None":
        """The codes in a file, and the state they were computed from.

        Returns None if the file is missing or damaged.
        """
        found = cache_file.read(path, vault)
        state = State.of(found[0]) if found else None
        if found is None or state is None:
            return None
        return cls(faiss.deserialize_index(found[1])), state


def sampled(numbers: Numbers) -> Numbers:
    """People from whose templates codes are learned, always the same ones, ascending."""
    return numbers[np.sort(np.random.default_rng(0).permutation(len(numbers))[:TRAINED_ON])]
