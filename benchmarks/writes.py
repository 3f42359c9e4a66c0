"""What SQLite's settings and the size of a transaction are worth, in a gallery of many faces.

    python -m benchmarks.writes [--faces 100000]

Writes photos of new people and reads the faces of ten people, with one setting changed at a time;
prints the median of three rounds.
"""

import argparse
import sqlite3
import statistics
import tempfile
import time
from itertools import count
from pathlib import Path

import numpy as np

from benchmarks.measuring import machine
from benchmarks.scale import drawn, fill
from facesearch.core.face import Box, Face
from facesearch.core.paths import find_model
from facesearch.storage.records import ModelStamp, NewPhoto
from facesearch.storage.sqlite import Sqlite
from facesearch.storage.store import Store
from facesearch.vision.model import Model

VARIANTS = {
    "as it is": "",
    "synchronous = NORMAL": "PRAGMA synchronous = NORMAL",
    "a cache of 64 MiB": "PRAGMA cache_size = -65536",
    "1 GiB mapped": "PRAGMA mmap_size = 1073741824",
}
SIZES = (8, 32, 128)  # photos in a transaction
PHOTOS = 128
POINTS = ((30.0, 40.0), (70.0, 40.0), (50.0, 60.0), (35.0, 80.0), (65.0, 80.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=100_000)
    args = parser.parse_args()
    model = Model(find_model())
    stamp = ModelStamp(model.name, model.fingerprint, model.dimension)
    vectors = next(drawn(model, 1000, seed=9))
    numbers, rng, connect = count(), np.random.default_rng(0), Sqlite._connect

    def photo() -> NewPhoto:
        at = next(numbers)
        face = Face(Box(0, 0, 50, 50), POINTS, 0.9)
        vector = vectors[at % len(vectors)][None]
        path = Path(f"/photos/new-{at}.jpg")
        return NewPhoto(f"new {at}", path, f"{at:064x}", 100, 100, [face], vector, [0.95])

    found: dict[str, list[list[float]]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as folder:
        fill(Path(folder), model, args.faces)
        for _ in range(3):
            for name, pragma in VARIANTS.items():

                def changed(self: Sqlite, pragma: str = pragma) -> sqlite3.Connection:
                    connection = connect(self)
                    connection.execute(pragma)
                    return connection

                Sqlite._connect = changed  # type: ignore[method-assign]
                store = Store(Path(folder), create=False)
                times = []
                with store.database.engine.busy():
                    for size in SIZES:
                        started = time.perf_counter()
                        for _ in range(PHOTOS // size):
                            store.add([photo() for _ in range(size)], stamp)
                        times.append(1000 * (time.perf_counter() - started) / PHOTOS)
                    started = time.perf_counter()
                    for _ in range(60):
                        store.person_faces(rng.integers(1, args.faces, 10).tolist())
                    times.append(1000 * (time.perf_counter() - started) / 60)
                found[name].append(times)
                store.close()
    print(f"{machine()}, {args.faces:,} faces\n")
    print("ms a photo with 8, 32, 128 photos a transaction; ms to")
    print("read the faces of ten people\n\n| | 8 | 32 | 128 | read |\n|---|---|---|---|---|")
    for name, rounds in found.items():
        cells = [f"{statistics.median(column):.2f}" for column in zip(*rounds, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
