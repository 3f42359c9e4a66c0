"""Milvus as the index when the vectors outgrow a machine. The door to pymilvus."""

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
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import GalleryError, MissingExtra
from facesearch.core.extras import install

SECONDS = 60  # for one call; ten times as long for what the server works through in the whole
ROWS_PER_MESSAGE = 1000  # rows in one message; a server takes 64 MB
MOST = 16_384  # neighbours of one query; a server gives no more
EXACT_UP_TO = 1_000_000  # people: as far as FLAT is the choice
SPARE = 4  # times as many neighbours are asked of an index that is not exact
NUMBER, TEMPLATE = "id", "template"
Numbers = NDArray[np.int64]
STATES = "facesearch_states"  # the collection that says what the others hold

INDEXES = ("FLAT", "HNSW", "IVF_FLAT", "IVF_SQ8")  # docs/operations/scaling.md has their recall


class Gone(GalleryError):
    """A collection is missing, or lacks rows that it had."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where Milvus is."""

    uri: str
    token: str
    index: str | None  # one of INDEXES; None: by the number of people

    def __str__(self) -> str:
        """Without the password that a URI may hold."""
        return "Milvus at " + re.sub(r"//[^/@]*@", "//", self.uri)


def chosen() -> Server | None:
    """The server of MILVUS_URI, if it is set. Raises GalleryError if MILVUS_INDEX is none."""
    uri = os.environ.get("MILVUS_URI")
    if not uri:
        return None
    index = os.environ.get("MILVUS_INDEX") or None
    if index is not None and index not in INDEXES:
        raise GalleryError(f"MILVUS_INDEX: {index!r} is not one of {', '.join(INDEXES)}")
    return Server(uri, os.environ.get("MILVUS_TOKEN", ""), index)


@contextmanager
def _explained(server: Server) -> Iterator[None]:
    """Errors of pymilvus become a GalleryError of one line; Gone if a collection is missing."""
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except RpcError as error:  # which pymilvus leaves as it is if a call took too long
        _connected.cache_clear()
        said = getattr(error, "details", lambda: None)() or type(error).__name__
        raise GalleryError(f"{server}: {said}; try again when it is less busy") from error
    except MilvusException as error:
        said = " ".join(str(error.message).split()) or type(error).__name__
        kind = Gone if error.code in (100, 101) else GalleryError  # not found, not loaded
        if kind is GalleryError:
            _connected.cache_clear()  # a client does not always find back to a server
        raise kind(
            f"{server}: {said[:300]}; see that it runs, or unset MILVUS_URI to search locally"
        ) from error


def connect(server: Server) -> Any:
    """A client, shared by this process. Raises MissingExtra, and GalleryError if nobody answers."""
    return _connected(server.uri, server.token, os.getpid())  # a fork cannot use its parent's


@functools.cache
def _connected(uri: str, token: str, process: int) -> Any:
    # pymilvus reads MILVUS_URI while it is imported, and fails if it is a file
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
    for name in ("pymilvus", "milvus_lite"):  # which log a trace beside each error that we explain
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    with _explained(Server(uri, token, None)):
        # a server that expects no pings ends calls that last: filling, building an index
        return pymilvus.MilvusClient(
            uri, token=token, timeout=10, grpc_options={"grpc.keepalive_time_ms": 2**31 - 1}
        )


class MilvusIndex:
    """A PeopleIndex in a collection of Milvus. Every method raises GalleryError without the server.

    A person is one row, and so at most once among the nearest. Reads are strongly consistent: they
    see every write that ended before.
    """

    def __init__(self, server: Server, name: str, kind: str, people: int, dimension: int) -> None:
        """people: how many the collection holds. Raises as `connect`."""
        self.name, self.kind, self.dimension = name, kind, dimension
        self._server, self._client, self._people = server, connect(server), people

    @classmethod
    def make(cls, server: Server, name: str, dimension: int, people: int) -> "MilvusIndex":
        """An empty collection for about this many people. Raises GalleryError."""
        client = connect(server)
        from pymilvus import DataType

        kind = server.index or ("FLAT" if people <= EXACT_UP_TO else "HNSW")
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(NUMBER, DataType.INT64, is_primary=True)
        schema.add_field(TEMPLATE, DataType.FLOAT_VECTOR, dim=dimension)
        indexes = client.prepare_index_params()
        # L2 is exact for near vectors too, where 2 - 2ab of IP and COSINE cancels out
        params = _building(kind, people)
        indexes.add_index(TEMPLATE, index_type=kind, metric_type="L2", params=params)
        with _explained(server):
            client.create_collection(
                name, schema=schema, index_params=indexes, consistency_level="Strong"
            )
        return cls(server, name, kind, 0, dimension)

    def load(self) -> None:
        """Have the server hold it ready. Raises Gone if it is not there."""
        with _explained(self._server):
            self._client.load_collection(self.name, timeout=10 * SECONDS)

    def __len__(self) -> int:
        return self._people

    def count(self) -> int:
        """The rows that are really there; none without a collection. Raises Gone."""
        if not self.name:
            return 0
        with _explained(self._server):
            rows = self._client.query(
                self.name, filter="", output_fields=["count(*)"], timeout=SECONDS
            )
        return int(rows[0]["count(*)"])

    def of(self, numbers: Numbers) -> Embeddings:
        """See `PeopleIndex`. Raises Gone as well."""
        found: dict[int, Any] = {}
        for at in range(0, len(numbers), ROWS_PER_MESSAGE):
            ids = numbers[at : at + ROWS_PER_MESSAGE].tolist()
            with _explained(self._server):
                rows = self._client.get(
                    self.name, ids=ids, output_fields=[TEMPLATE], timeout=SECONDS
                )
            found |= {row[NUMBER]: row[TEMPLATE] for row in rows}
        return np.array([found[number] for number in numbers.tolist()], np.float32)

    def search(
        self, query: Embeddings, count: int, *, exact: bool = False
    ) -> tuple[Numbers, Embeddings]:
        """See `PeopleIndex`; at most MOST of them. Raises Gone if the collection lacks people.

        exact: as far as the parameters of the index reach.
        """
        count = min(count, len(self), MOST)
        numbers = np.empty((len(query), count), np.int64)
        distances = np.empty((len(query), count), np.float32)
        if count == 0:
            return numbers, distances
        more = count if self.kind == "FLAT" else min(SPARE * count, len(self), MOST)
        for at in range(0, len(query), ROWS_PER_MESSAGE):
            part = np.ascontiguousarray(query[at : at + ROWS_PER_MESSAGE], np.float32)
            answers = self._answers(part, more, exact)
            if min(map(len, answers)) < count and not exact:  # too few cells were looked into
                answers = self._answers(part, more, True)
            for row, (vector, hits) in enumerate(zip(part, answers, strict=True), at):
                if len(hits) < count:
                    raise Gone(f"{self._server}: {self.name} lacks people")
                ids = np.array([hit[NUMBER] for hit in hits], np.int64)
                # by the templates themselves: what a quantised index computes is only near
                kept = np.array([hit["entity"][TEMPLATE] for hit in hits], np.float32)
                far = np.linalg.norm(kept - vector, axis=1)
                nearest = np.lexsort((ids, far))[:count]
                numbers[row], distances[row] = ids[nearest], far[nearest]
        return numbers, distances

    def _answers(self, query: Embeddings, count: int, exact: bool) -> Any:
        """For each query what Milvus says."""
        params = _searching(self.kind, len(self), count, exact)
        with _explained(self._server):
            return self._client.search(
                self.name,
                data=query,
                limit=count,
                output_fields=[TEMPLATE],
                search_params={"metric_type": "L2", "params": params},
                timeout=SECONDS,
            )

    def add(self, numbers: Numbers, templates: Embeddings) -> None:
        """As `put`, people who are not there, without counting: `settle` follows."""
        for rows in _rows(numbers, templates):
            with _explained(self._server):
                self._client.insert(self.name, rows, timeout=SECONDS)

    def put(self, numbers: Numbers, templates: Embeddings) -> None:
        """See `PeopleIndex`. Raises Gone as well."""
        if not len(numbers):
            return
        for rows in _rows(numbers, templates):
            with _explained(self._server):
                self._client.upsert(self.name, rows, timeout=SECONDS)
        self._people = self.count()

    def drop(self, numbers: Numbers) -> None:
        """See `PeopleIndex`. Raises Gone as well."""
        if not len(numbers):
            return
        for at in range(0, len(numbers), ROWS_PER_MESSAGE):
            with _explained(self._server):
                ids = numbers[at : at + ROWS_PER_MESSAGE].tolist()
                self._client.delete(self.name, ids=ids, timeout=SECONDS)
        self._people = self.count()

    def settle(self) -> None:
        """Have what was added written and built into the index, and count it."""
        with _explained(self._server):
            self._client.flush(self.name, timeout=10 * SECONDS)
        self._people = self.count()


def _rows(numbers: Numbers, templates: Embeddings) -> Iterator[list[dict[str, Any]]]:
    """As pymilvus takes them, ROWS_PER_MESSAGE at a time."""
    for at in range(0, len(numbers), ROWS_PER_MESSAGE):
        part = slice(at, at + ROWS_PER_MESSAGE)
        yield [
            {NUMBER: number, TEMPLATE: template}
            for number, template in zip(numbers[part].tolist(), templates[part], strict=True)
        ]


def _building(kind: str, people: int) -> dict[str, int]:
    if kind == "HNSW":
        return {"M": 32, "efConstruction": 200}
    return {} if kind == "FLAT" else {"nlist": _cells(people)}


def _searching(kind: str, people: int, count: int, exact: bool) -> dict[str, int]:
    if kind == "HNSW":
        return {"ef": max(2048 if exact else 128, count)}
    cells = _cells(people)
    return {} if kind == "FLAT" else {"nprobe": cells if exact else max(8, cells // 16)}


def _cells(people: int) -> int:
    """Of an inverted file: FAISS's advice for up to a million vectors, and Milvus's most."""
    return max(1, min(65_536, round(4 * math.sqrt(people))))


class Catalogue:
    """The collections of a server, and what each gallery's holds: a text, in one beside them."""

    def __init__(self, server: Server) -> None:
        """Raises as `connect`."""
        self._server, self._client = server, connect(server)

    def get(self, gallery: str) -> str | None:
        """Raises GalleryError."""
        with _explained(self._server):
            if not self._client.has_collection(STATES):
                return None
            self._client.load_collection(STATES, timeout=SECONDS)
            rows = self._client.get(STATES, ids=[gallery], output_fields=["state"], timeout=SECONDS)
        return str(rows[0]["state"]) if rows else None

    def set(self, gallery: str, state: str) -> None:
        """Raises GalleryError."""
        self._make()
        row = {"gallery": gallery, "state": state, "nothing": [0.0, 0.0]}
        with _explained(self._server):
            self._client.upsert(STATES, [row], timeout=SECONDS)

    def remove(self, gallery: str) -> None:
        """Raises GalleryError."""
        with _explained(self._server):
            if self._client.has_collection(STATES):
                self._client.load_collection(STATES, timeout=SECONDS)
                self._client.delete(STATES, ids=[gallery], timeout=SECONDS)

    def _make(self) -> None:
        from pymilvus import DataType
        from pymilvus.exceptions import MilvusException

        with _explained(self._server):
            if self._client.has_collection(STATES):
                return
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("gallery", DataType.VARCHAR, is_primary=True, max_length=64)
            schema.add_field("state", DataType.VARCHAR, max_length=2048)
            schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=2)  # each collection needs one
            indexes = self._client.prepare_index_params()
            indexes.add_index("nothing", index_type="FLAT", metric_type="L2")
            try:
                self._client.create_collection(
                    STATES, schema=schema, index_params=indexes, consistency_level="Strong"
                )
            except MilvusException:
                if not self._client.has_collection(STATES):  # else another gallery was quicker
                    raise

    # Collections

    def collections(self, prefix: str) -> list[str]:
        """Raises GalleryError."""
        with _explained(self._server):
            return sorted(
                name for name in self._client.list_collections() if name.startswith(prefix)
            )

    def drop_collection(self, name: str) -> None:
        """Raises GalleryError."""
        with _explained(self._server):
            self._client.drop_collection(name, timeout=10 * SECONDS)
