"""Nearest faces: exact search over embeddings; its file is only a cache. The door to FAISS."""

import json
import zlib
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from facesearch.model import Embeddings

FOOTER = 256  # bytes after FAISS's own, which its reader does not look at


class FaceIndex:
    """Embeddings by the number of their face."""

    def __init__(self, numbers: NDArray[np.int64], embeddings: Embeddings) -> None:
        """numbers: (N,). embeddings: unit vectors, (N, D)."""
        self._index: faiss.Index = faiss.IndexIDMap2(faiss.IndexFlatL2(embeddings.shape[1]))
        if len(numbers):
            self._index.add_with_ids(np.ascontiguousarray(embeddings), numbers)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(self, query: Embeddings, count: int) -> tuple[NDArray[np.int64], Embeddings]:
        """The nearest faces of each query, nearest first: numbers and distances, (Q, count).

        query: unit vectors, (Q, D). Fewer columns if there are fewer faces.
        """
        count = min(count, len(self))
        if count == 0:
            empty = np.empty((len(query), 0))
            return empty.astype(np.int64), empty.astype(np.float32)
        squared, numbers = self._index.search(np.ascontiguousarray(query), count)
        return numbers, np.sqrt(np.maximum(squared, 0))

    def save(self, path: Path, revision: str) -> None:
        """Write the file, with the state of the gallery that it was built from, in one step.

        Raises OSError if it cannot be written.
        """
        content = faiss.serialize_index(self._index).tobytes()
        stamp = {"revision": revision, "checksum": zlib.crc32(content)}
        # one name: what a killed process left there does not stay
        partial = path.with_name(f"{path.name}.new")
        try:
            partial.write_bytes(content + json.dumps(stamp).encode().ljust(FOOTER))
            partial.replace(path)
        except OSError:
            partial.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path, revision: str) -> "FaceIndex | None":
        """The index of a file, or None if it is missing, damaged, or of another revision."""
        try:
            content = path.read_bytes()
            stamp = json.loads(content[-FOOTER:])
            if stamp != {"revision": revision, "checksum": zlib.crc32(content[:-FOOTER])}:
                return None
        except (OSError, ValueError):
            return None
        index = cls.__new__(cls)
        index._index = faiss.deserialize_index(np.frombuffer(content[:-FOOTER], np.uint8))
        return index
