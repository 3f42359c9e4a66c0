"""Fill, search and change a collection in Milvus, beside the local index, at growing sizes.

    python -m benchmarks.milvus --people 10000 100000 [--out results.json]

Templates are drawn. Without MILVUS_URI the server is a Milvus Lite of its own: one process in
Python around FAISS, which says little of what a cluster does.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import machine, seconds
from facesearch.index import milvus
from facesearch.index.milvus import Catalogue, MilvusIndex, Server
from facesearch.index.person_index import PersonIndex
from facesearch.storage.state import State

DIMENSION = 128
ALONE, QUERIES_AT_ONCE, NEIGHBOURS = 50, 64, 10  # queries one by one; at once; people asked for
CHANGED = 1000  # people
COLLECTION = "bench_facesearch"


@dataclass(frozen=True, slots=True)
class Row:
    """One index at one size; milliseconds are medians."""

    index: str
    people: int
    fill_s: float
    open_s: float
    one_ms: float
    batch_ms: float  # of QUERIES_AT_ONCE queries
    recall_1: float
    recall_10: float
    off: float  # the largest error of a distance
    change_s: float  # CHANGED people get another template
    drop_s: float  # and go


def drawn(people: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Templates, a hundred around each of some centres, and queries near some of them."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(max(1, people // 100), DIMENSION))
    found = places[rng.integers(0, len(places), people)] + rng.normal(size=(people, DIMENSION))
    query = found[rng.integers(0, people, ALONE + QUERIES_AT_ONCE)]
    query = query + 0.5 * rng.normal(size=query.shape)
    return unit(found), unit(query)


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def exact(
    query: NDArray[np.float32], vectors: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest rows and their distances, slowly."""
    rows = np.empty((len(query), NEIGHBOURS), np.int64)
    far = np.empty((len(query), NEIGHBOURS))
    for number, one in enumerate(query):
        distances = np.linalg.norm(vectors - one, axis=1)
        rows[number] = np.argsort(distances)[:NEIGHBOURS]
        far[number] = np.linalg.norm(vectors[rows[number]].astype(np.float64) - one, axis=1)
    return rows, far


def measured(
    name: str,
    make: Callable[[], PersonIndex | MilvusIndex],
    opened: Callable[[], PersonIndex | MilvusIndex],
    vectors: NDArray[np.float32],
    query: NDArray[np.float32],
) -> Row:
    fill_s = seconds(make)
    open_s = seconds(opened)
    index = opened()
    index.search(query[:1], NEIGHBOURS)  # warm
    alone = [query[at : at + 1] for at in range(ALONE)]
    one = [seconds(lambda part=part: index.search(part, NEIGHBOURS)) for part in alone]
    batch = [seconds(lambda: index.search(query[ALONE:], NEIGHBOURS)) for _ in range(5)]
    found, distances = index.search(query, NEIGHBOURS)
    wanted, far = exact(query, vectors)
    same = found == wanted
    shared = [len(set(a) & set(b)) for a, b in zip(found.tolist(), wanted.tolist(), strict=True)]
    changed = np.arange(min(CHANGED, len(vectors)))
    return Row(
        index=name,
        people=len(vectors),
        fill_s=fill_s,
        open_s=open_s,
        one_ms=1000 * float(np.median(one)),
        batch_ms=1000 * float(np.median(batch)),
        recall_1=float(same[:, 0].mean()),
        recall_10=float(np.mean(shared)) / NEIGHBOURS,
        off=float(np.abs(distances - far)[same].max()),
        change_s=seconds(lambda: index.put(changed, vectors[-len(changed) :])),
        drop_s=seconds(lambda: index.drop(changed)),
    )


def in_milvus(
    server: Server, kind: str, vectors: NDArray[np.float32], query: NDArray[np.float32]
) -> Row:
    numbers = np.arange(len(vectors))

    def make() -> MilvusIndex:
        index = MilvusIndex.make(replace(server, index=kind), COLLECTION, DIMENSION, len(vectors))
        index.add(numbers, vectors)
        index.flush()
        return index

    def opened() -> MilvusIndex:
        index = MilvusIndex(server, COLLECTION, kind, len(vectors), DIMENSION)
        index.load()
        return index

    try:
        return measured(f"Milvus {kind}", make, opened, vectors, query)
    finally:
        Catalogue(server).drop_collection(COLLECTION)


def local(folder: Path, vectors: NDArray[np.float32], query: NDArray[np.float32]) -> Row:
    numbers, file = np.arange(len(vectors)), folder / "vectors.faiss"

    def make() -> PersonIndex:
        index = PersonIndex(numbers, vectors)
        index.save(file, State("bench", 0))
        return index

    def opened() -> PersonIndex:
        found = PersonIndex.load(file)
        assert found is not None
        return found[0]

    return measured("local", make, opened, vectors, query)


@contextmanager
def served(folder: Path) -> Iterator[Server]:
    """The server of MILVUS_URI, or a Milvus Lite."""
    chosen = milvus.chosen()
    if chosen is not None:
        yield chosen
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1"]
    command += ["--data-dir", str(folder / "milvus"), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield Server(f"http://127.0.0.1:{port}", "", None)
        finally:
            process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--index", nargs="+", default=list(milvus.INDEXES))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as server:
        version = milvus.connect(server).get_server_version()
        print(f"{machine()}; {version}; {DIMENSION} dimensions")
        columns = ["index", *(field for field in Row.__dataclass_fields__ if field != "index")]
        print("".join(f"{column:>11}" for column in columns))
        for people in given.people:
            vectors, query = drawn(people)
            for kind in ["local", *given.index]:
                row = (
                    local(Path(name), vectors, query)
                    if kind == "local"
                    else in_milvus(server, kind, vectors, query)
                )
                rows.append(row)
                print("".join(f"{_shown(value):>11}" for value in asdict(row).values()), flush=True)
    if given.out:
        found = {"machine": machine(), "server": version, "rows": [asdict(row) for row in rows]}
        given.out.write_text(json.dumps(found, indent=1) + "\n")


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value).removeprefix("Milvus ")


if __name__ == "__main__":
    main()
