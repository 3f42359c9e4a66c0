"""Which FAISS index finds the nearest person among so many: recall against exact search, and time.

    nice python -m benchmarks.index --faces 10000000 --factories IVF4096_HNSW32,SQ8

The templates are drawn around the faces of the shipped cohort, as in benchmarks.scale, and lie in a
file that is mapped, as a gallery's do. What an index finds is ranked again by them. Half of the
queries are new faces of enrolled people, half are strangers. 10^7 faces need 5 GB of disk.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import machine
from benchmarks.scale import drawn
from facesearch.core import paths
from facesearch.vision.model import Model

TRAIN = 100_000  # templates that an index is trained with
AGAIN = 256  # that are ranked again
BLOCK = 1_000_000  # templates that are compared exactly at once


def exact(queries: NDArray[np.float32], templates: NDArray[np.float32]) -> NDArray[np.int64]:
    """The row of the nearest template to each query."""
    best = np.full(len(queries), np.inf, np.float32)
    rows = np.zeros(len(queries), np.int64)
    for at in range(0, len(templates), BLOCK):
        squared, found = faiss.knn(queries, templates[at : at + BLOCK], 1)
        nearer = squared[:, 0] < best
        best[nearer], rows[nearer] = squared[nearer, 0], at + found[nearer, 0]
    return rows


def ranked(
    index: faiss.Index, query: NDArray[np.float32], templates: NDArray[np.float32]
) -> NDArray[np.int64]:
    """What an index finds near one query, (1, D), the nearest first by the templates themselves."""
    rows = index.search(query, AGAIN)[1][0]
    rows = rows[rows >= 0]
    return rows[np.argsort(np.square(templates[rows] - query).sum(axis=1), kind="stable")]


def resident() -> dict[str, int]:
    """Bytes in memory: of the program itself, and of the files that it maps."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {key: int(lines[key].split()[0]) << 10 for key in ("RssAnon", "RssFile")}


def measure(
    factory: str,
    templates: NDArray[np.float32],
    queries: NDArray[np.float32],
    right: NDArray[np.int64],
    probes: list[int],
) -> list[dict[str, Any]]:
    """Measure one index, for several numbers of cells that a search looks into."""
    before = resident()["RssAnon"]
    index = faiss.index_factory(templates.shape[1], factory)
    if isinstance(index, faiss.IndexIVF):
        index.cp.niter = 10
    started = time.perf_counter()
    index.train(templates[:: max(1, len(templates) // TRAIN)])
    trained = time.perf_counter()
    for at in range(0, len(templates), BLOCK // 10):
        index.add(templates[at : at + BLOCK // 10])
    added = time.perf_counter()
    rows = []
    known = np.arange(len(queries)) < len(queries) // 2
    for probe in probes:
        name = "efSearch" if "HNSW" in factory.split(",")[0] and "IVF" not in factory else "nprobe"
        faiss.ParameterSpace().set_index_parameter(index, name, probe)
        seconds, hit = [], []
        for query, best in zip(queries, right, strict=True):
            began = time.perf_counter()
            found = ranked(index, query[None], templates)
            seconds.append(time.perf_counter() - began)
            hit.append(bool(len(found)) and found[0] == best)
        hits = np.array(hit)
        rows.append(
            {
                "factory": factory,
                name: probe,
                "train_s": round(trained - started, 1),
                "add_s": round(added - trained, 1),
                "bytes_per_face": round((resident()["RssAnon"] - before) / len(templates)),
                "query_ms": round(1000 * statistics.median(seconds), 2),
                "query_95_ms": round(1000 * float(np.percentile(seconds, 95)), 2),
                "recall_enrolled": round(float(hits[known].mean()), 4),
                "recall_strangers": round(float(hits[~known].mean()), 4),
                "resident": resident(),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--factories", nargs="+", default=["IVF4096_HNSW32,SQ8"])
    parser.add_argument("--probes", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = Model(paths.shipped_models() / "default")
    print(
        f"{machine()}, FAISS {faiss.__version__}, "
        f"{faiss.omp_get_max_threads()} threads, {options.faces:,} templates",
        flush=True,
    )
    rng = np.random.default_rng(2)
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "templates"
        with file.open("wb") as out:
            for block in drawn(model, options.faces):
                out.write(block.tobytes())
        templates = np.memmap(file, np.float32, "r").reshape(-1, model.dimension)
        half = options.queries // 2
        own = templates[rng.integers(len(templates), size=half)]
        own = own + rng.normal(0, 0.3 / np.sqrt(model.dimension), own.shape).astype(np.float32)
        own /= np.linalg.norm(own, axis=1, keepdims=True)
        queries = np.concatenate([own, *drawn(model, half, seed=3)])
        started = time.perf_counter()
        right = exact(queries, templates)
        print(
            f"exact: {time.perf_counter() - started:.1f} s for {len(queries)} queries", flush=True
        )
        rows = [
            row
            for factory in options.factories
            for row in measure(factory, templates, queries, right, options.probes)
        ]
    if options.json:
        result = {"machine": machine(), "faces": options.faces, "rows": rows}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
