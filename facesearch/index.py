"""Nearest people: exact search over templates; its file is only a cache. The door to FAISS."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from facesearch import cache
from facesearch.model import Embeddings
from facesearch.vault import Vault


class PersonIndex:
    """Templates by the number of their person."""

    def __init__(self, numbers: NDArray[np.int64], templates: Embeddings) -> None:
        """numbers: (P,). templates: unit vectors, (P, D)."""
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatL2(templates.shape[1]))
        if len(numbers):
            self._index.add_with_ids(np.ascontiguousarray(templates), numbers)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Of the people, in the order of `templates`, (P,)."""
        return np.asarray(faiss.vector_to_array(self._index.id_map), np.int64)

    @property
    def templates(self) -> Embeddings:
        """All of them, (P, D)."""
        flat = faiss.downcast_index(self._index.index)
        return np.asarray(flat.reconstruct_n(0, len(self)), np.float32)

    def of(self, numbers: NDArray[np.int64]) -> Embeddings:
        """The templates of these people, (P, D)."""
        return np.asarray(self._index.reconstruct_batch(numbers), np.float32)

    def search(self, query: Embeddings, count: int) -> tuple[NDArray[np.int64], Embeddings]:
        """The nearest people of each query, nearest first: numbers and distances, (Q, count).

        query: unit vectors, (Q, D). Fewer columns if there are fewer people.
        """
        count = min(count, len(self))
        if count == 0:
            empty = np.empty((len(query), 0))
            return empty.astype(np.int64), empty.astype(np.float32)
        squared, numbers = self._index.search(np.ascontiguousarray(query), count)
        return numbers, np.sqrt(np.maximum(squared, 0))

    def save(self, path: Path, revision: str, vault: Vault = cache.PLAIN) -> None:
        """Keep it for a gallery in this state. Raises OSError if it cannot be written."""
        cache.save(path, faiss.serialize_index(self._index).tobytes(), revision, vault)

    @classmethod
    def load(cls, path: Path, revision: str, vault: Vault = cache.PLAIN) -> "PersonIndex | None":
        """The index of a file, or None if it is missing, damaged, or of another revision."""
        content = cache.load(path, revision, vault)
        if content is None:
            return None
        index = cls.__new__(cls)
        index._index = faiss.deserialize_index(np.frombuffer(content, np.uint8))
        return index
