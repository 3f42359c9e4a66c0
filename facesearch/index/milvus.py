"""The door to pymilvus: an index in Milvus, for galleries that outgrow one machine."""

import functools
import logging
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import GalleryError, MissingExtra
from facesearch.core.extras import install
from facesearch.index.base import Numbers

SECONDS = 60  # for one call; ten times as long for calls that work on a whole collection
ROWS_PER_MESSAGE = 1000  # rows in one message; a server takes 64 MB
MOST_NEIGHBOURS = 16_384  # of one query; the limit of a server
EXACT_UP_TO = 1_000_000  # people; a larger gallery gets HNSW instead of FLAT
SPARE = 4  # times as many neighbours are asked for if the index is not exact
NUMBER, TEMPLATE = "id", "template"  # the fields of a row
STATES = "facesearch_states"  # the collection of `Catalogue`

INDEXES = ("FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8")  # docs/operations/scaling.md has their recall


class Gone(GalleryError):
    """A collection is missing, or lacks rows that it should have."""


@dataclass(frozen=True, slots=True)
class Server:
    """A Milvus server and how to reach it."""

    uri: str
    token: str
    index: str | None  # one of INDEXES; None: chosen by the number of people

    def __str__(self) -> str:
        """Its URI without the password that this may hold."""
        return "Milvus at " + re.sub(r"//[^/@]*@", "//", self.uri)


def chosen() -> Server | None:
    """The server that MILVUS_URI names; None if it is not set.

    Raises GalleryError if MILVUS_INDEX names no index.
    """
    uri = os.environ.get("MILVUS_URI")
    if not uri:
        return None
    index = os.environ.get("MILVUS_INDEX") or None
    if index is not None and index not in INDEXES:
        raise GalleryError(f"MILVUS_INDEX: {index!r} is not one of {', '.join(INDEXES)}")
    return Server(uri, os.environ.get("MILVUS_TOKEN", ""), index)


@contextmanager
def _translated_errors(server: Server) -> Iterator[None]:
    """Turn errors of pymilvus into GalleryError, or into Gone if a collection is missing."""
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except RpcError as error:  # pymilvus does not wrap it if a call took too long
        _connected.cache_clear()
        said = getattr(error, "details", lambda: None)() or type(error).__name__
        raise GalleryError(f"{server}: {said}; try again when it is less busy") from error
    except MilvusException as error:
        said = " ".join(str(error.message).split()) or type(error).__name__
        kind = Gone if error.code in (100, 101) else GalleryError  # not found, not loaded
        if kind is GalleryError:
            _connected.cache_clear()  # a client does not always reconnect
        raise kind(
            f"{server}: {said[:300]}; see that it runs, or unset MILVUS_URI to search locally"
        ) from error


def connect(server: Server) -> Any:
    """The client of this process. Raises MissingExtra, and GalleryError if no server answers."""
    return _connected(server.uri, server.token, os.getpid())  # a forked process needs its own


@functools.cache
def _connected(uri: str, token: str, process: int) -> Any:
    # importing pymilvus reads MILVUS_URI, and fails if that is a file
    hidden = os.environ.pop("MILVUS_URI", None)
    try:
        import pymilvus
    except ImportError as error:
        raise MissingExtra(
            f"MILVUS_URI is set, and Milvus needs {error.name}: {install('milvus')}"
        ) from error
    finally:
        if hidden is not None:
            os.environ["MILVUS_URI"] = hidden
    for name in ("pymilvus", "milvus_lite"):  # they log a trace with every error
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with _translated_errors(Server(uri, token, None)):
        # a server that expects no pings would end long calls
        return pymilvus.MilvusClient(
            uri, token=token, timeout=10, grpc_options={"grpc.keepalive_time_ms": 2**31 - 1}
        )


class MilvusIndex:
    """A PeopleIndex in a collection of Milvus, with one row for each person.

    Reads are strongly consistent: they see every write that ended before. Every method raises
    GalleryError if the server cannot be reached, and Gone if the collection is missing.
    """

    def __init__(self, server: Server, name: str, kind: str, people: int, dimension: int) -> None:
        """people: how many the collection holds. Raises as `connect` does."""
        self.name, self.kind, self.dimension = name, kind, dimension
        self._server, self._client, self._people = server, connect(server), people

    @classmethod
    def make(cls, server: Server, name: str, dimension: int, people: int) -> "MilvusIndex":
        """Make an empty collection for about this many people."""
        client = connect(server)
        from pymilvus import DataType

        kind = server.index or ("FLAT" if people <= EXACT_UP_TO else "HNSW")
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(NUMBER, DataType.INT64, is_primary=True)
        schema.add_field(TEMPLATE, DataType.FLOAT_VECTOR, dim=dimension)
        indexes = client.prepare_index_params()
        # L2 stays exact for near vectors, where 2 - 2ab of IP and COSINE loses digits
        params = _build_params(kind, people)
        indexes.add_index(TEMPLATE, index_type=kind, metric_type="L2", params=params)
        with _translated_errors(server):
            client.create_collection(
                name, schema=schema, index_params=indexes, consistency_level="Strong"
            )
        return cls(server, name, kind, 0, dimension)

    def load(self) -> None:
        """Have the server load the collection."""
        with _translated_errors(self._server):
            self._client.load_collection(self.name, timeout=10 * SECONDS)

    def __len__(self) -> int:
        """How many people it holds, as far as this program knows."""
        return self._people

    def count(self) -> int:
        """Count the rows in the server; 0 if there is no collection yet."""
        if not self.name:
            return 0
        with _translated_errors(self._server):
            rows = self._client.query(
                self.name, filter="", output_fields=["count(*)"], timeout=SECONDS
            )
        return int(rows[0]["count(*)"])

    def of(self, numbers: Numbers) -> Embeddings:
        """See `PeopleIndex`."""
        found: dict[int, Any] = {}
        for at in range(0, len(numbers), ROWS_PER_MESSAGE):
            ids = numbers[at : at + ROWS_PER_MESSAGE].tolist()
            with _translated_errors(self._server):
                rows = self._client.get(
                    self.name, ids=ids, output_fields=[TEMPLATE], timeout=SECONDS
                )
            found |= {row[NUMBER]: row[TEMPLATE] for row in rows}
        return np.array([found[number] for number in numbers.tolist()], np.float32)

    def search(
        self, query: Embeddings, count: int, *, exact: bool = False
    ) -> tuple[Numbers, Embeddings]:
        """See `PeopleIndex`; at most MOST_NEIGHBOURS. Raises Gone if the collection lacks people.

        exact: as exact as the parameters of the index allow.
        """
        count = min(count, len(self), MOST_NEIGHBOURS)
        numbers = np.empty((len(query), count), np.int64)
        distances = np.empty((len(query), count), np.float32)
        if count == 0:
            return numbers, distances
        more = count if self.kind == "FLAT" else min(SPARE * count, len(self), MOST_NEIGHBOURS)
        for at in range(0, len(query), ROWS_PER_MESSAGE):
            part = np.ascontiguousarray(query[at : at + ROWS_PER_MESSAGE], np.float32)
            answers = self._answers(part, more, exact)
            if min(map(len, answers)) < count and not exact:  # the search looked into too few cells
                answers = self._answers(part, more, True)
            for row, (vector, hits) in enumerate(zip(part, answers, strict=True), at):
                if len(hits) < count:
                    raise Gone(f"{self._server}: {self.name} lacks people")
                ids = np.array([hit[NUMBER] for hit in hits], np.int64)
                # computed from the templates, since those of a quantised index are approximate
                kept = np.array([hit["entity"][TEMPLATE] for hit in hits], np.float32)
                far = np.linalg.norm(kept - vector, axis=1)
                nearest = np.lexsort((ids, far))[:count]
                numbers[row], distances[row] = ids[nearest], far[nearest]
        return numbers, distances

    def _answers(self, query: Embeddings, count: int, exact: bool) -> Any:
        """The hits of each query, as pymilvus gives them."""
        params = _search_params(self.kind, len(self), count, exact)
        with _translated_errors(self._server):
            return self._client.search(
                self.name,
                data=query,
                limit=count,
                output_fields=[TEMPLATE],
                search_params={"metric_type": "L2", "params": params},
                timeout=SECONDS,
            )

    def add(self, numbers: Numbers, templates: Embeddings) -> None:
        """Add people who are not in the collection, without counting; `flush` has to follow."""
        for rows in _rows(numbers, templates):
            with _translated_errors(self._server):
                self._client.insert(self.name, rows, timeout=SECONDS)

    def put(self, numbers: Numbers, templates: Embeddings) -> None:
        """See `PeopleIndex`."""
        if not len(numbers):
            return
        for rows in _rows(numbers, templates):
            with _translated_errors(self._server):
                self._client.upsert(self.name, rows, timeout=SECONDS)
        self._people = self.count()

    def drop(self, numbers: Numbers) -> None:
        """See `PeopleIndex`."""
        if not len(numbers):
            return
        for at in range(0, len(numbers), ROWS_PER_MESSAGE):
            with _translated_errors(self._server):
                ids = numbers[at : at + ROWS_PER_MESSAGE].tolist()
                self._client.delete(self.name, ids=ids, timeout=SECONDS)
        self._people = self.count()

    def flush(self) -> None:
        """Have the server write and index what was added, and count it."""
        with _translated_errors(self._server):
            self._client.flush(self.name, timeout=10 * SECONDS)
        self._people = self.count()


def _rows(numbers: Numbers, templates: Embeddings) -> Iterator[list[dict[str, Any]]]:
    """Rows for pymilvus, ROWS_PER_MESSAGE at a time."""
    for at in range(0, len(numbers), ROWS_PER_MESSAGE):
        part = slice(at, at + ROWS_PER_MESSAGE)
        yield [
            {NUMBER: number, TEMPLATE: template}
            for number, template in zip(numbers[part].tolist(), templates[part], strict=True)
        ]


def _build_params(kind: str, people: int) -> dict[str, int]:
    """The parameters to build an index with."""
    if kind == "HNSW":
        return {"M": 32, "efConstruction": 200}
    return {} if kind == "FLAT" else {"nlist": _cells(people)}


def _search_params(kind: str, people: int, count: int, exact: bool) -> dict[str, int]:
    """The parameters of a search."""
    if kind == "HNSW":
        return {"ef": max(2048 if exact else 128, count)}
    cells = _cells(people)
    return {} if kind == "FLAT" else {"nprobe": cells if exact else max(8, cells // 16)}


def _cells(people: int) -> int:
    """The cells of an inverted file: as FAISS advises, and at most as many as Milvus allows."""
    return max(1, min(65_536, round(4 * math.sqrt(people))))


class Catalogue:
    """What the server holds of each gallery: a text for each, in a collection of its own."""

    def __init__(self, server: Server) -> None:
        """Raises as `connect` does."""
        self._server, self._client = server, connect(server)

    def get(self, gallery: str) -> str | None:
        """The text of a gallery; None if there is none. Raises GalleryError."""
        with _translated_errors(self._server):
            if not self._client.has_collection(STATES):
                return None
            self._client.load_collection(STATES, timeout=SECONDS)
            rows = self._client.get(STATES, ids=[gallery], output_fields=["state"], timeout=SECONDS)
        return str(rows[0]["state"]) if rows else None

    def set(self, gallery: str, state: str) -> None:
        """Write the text of a gallery. Raises GalleryError."""
        self._make()
        row = {"gallery": gallery, "state": state, "nothing": [0.0, 0.0]}
        with _translated_errors(self._server):
            self._client.upsert(STATES, [row], timeout=SECONDS)

    def remove(self, gallery: str) -> None:
        """Remove the text of a gallery. Raises GalleryError."""
        with _translated_errors(self._server):
            if self._client.has_collection(STATES):
                self._client.load_collection(STATES, timeout=SECONDS)
                self._client.delete(STATES, ids=[gallery], timeout=SECONDS)

    def _make(self) -> None:
        from pymilvus import DataType
        from pymilvus.exceptions import MilvusException

        with _translated_errors(self._server):
            if self._client.has_collection(STATES):
                return
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("gallery", DataType.VARCHAR, is_primary=True, max_length=64)
            schema.add_field("state", DataType.VARCHAR, max_length=2048)
            schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)  # Milvus demands one
            indexes = self._client.prepare_index_params()
            indexes.add_index("nothing", index_type="FLAT", metric_type="L2")
            try:
                self._client.create_collection(
                    STATES, schema=schema, index_params=indexes, consistency_level="Strong"
                )
            except MilvusException:
                if not self._client.has_collection(STATES):  # unless another program was quicker
                    raise

    # Collections

    def collections(self, prefix: str) -> list[str]:
        """The collections whose names begin so, sorted. Raises GalleryError."""
        with _translated_errors(self._server):
            return sorted(
                name for name in self._client.list_collections() if name.startswith(prefix)
            )

    def drop_collection(self, name: str) -> None:
        """Drop a collection. Raises GalleryError."""
        with _translated_errors(self._server):
            self._client.drop_collection(name, timeout=10 * SECONDS)
