"""How a gallery behaves as it grows: opening, searching, enrolling, rebuilding, from 10^3 faces on.

    python -m benchmarks.scale --sizes 1000 10000 100000 1000000 [--photos FOLDER] [--json FILE]

Makes galleries of people with one face each, drawn around the faces of the shipped cohort, through
the store's own functions, and measures each. --photos: folder of pictures to enrol and to ask about
(else the drawn ones of the tests are used). Takes half a minute for 10^5, ten minutes for 10^6.
"""

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import machine, median_seconds
from facesearch.core import paths
from facesearch.index.local_index import LocalIndex
from facesearch.matching.calibration import cohort_of
from facesearch.storage.schema import (
    face_checksum,
    faces,
    people,
    person_checksum,
    photo_checksum,
    photos,
)
from facesearch.storage.settings import set_setting
from facesearch.storage.store import Store
from facesearch.vision.model import Model
from tests.support.inside_gallery import InsideGallery as Gallery

VECTORS_AT_ONCE = 10_000
BOX = [0.0, 0.0, 100.0, 100.0]
POINTS = [[30.0, 40.0], [70.0, 40.0], [50.0, 60.0], [35.0, 80.0], [65.0, 80.0]]
NOW = "2026-01-01T00:00:00+00:00"


def drawn(model: Model, count: int, seed: int = 0) -> Iterator[NDArray[np.float32]]:
    """Unit vectors around those of the model's cohort, VECTORS_AT_ONCE at a time.

    The noise is as long as a face of the same person is far away, so that the vectors fill the part
    of the sphere that real faces fill, with neighbours as near as real ones.
    """
    cohort = cohort_of(model)
    rng = np.random.default_rng(seed)
    for at in range(0, count, VECTORS_AT_ONCE):
        some = min(VECTORS_AT_ONCE, count - at)
        a, b = (cohort.embeddings[rng.integers(len(cohort.embeddings), size=some)] for _ in "ab")
        weights = rng.uniform(0, 1, (some, 1)).astype(np.float32)
        noise = rng.normal(0, 0.25 / np.sqrt(a.shape[1]), a.shape).astype(np.float32)
        vectors = weights * a + (1 - weights) * b + noise
        yield vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fill(folder: Path, model: Model, count: int) -> float:
    """A gallery of so many people with a face each; returns the seconds that it took."""
    started = time.perf_counter()
    store = Store(folder, create=True)
    number = 0
    for vectors in drawn(model, count):
        with store.database.write("enroll", {"photos": len(vectors)}) as connection:
            if not number:
                for key in ("name", "fingerprint", "dimension"):
                    value = str(getattr(model, key))
                    set_setting(connection, "model" if key == "name" else key, value)
            rows = [_rows(number + at, vector) for at, vector in enumerate(vectors, 1)]
            for table, some in zip((people, photos, faces), zip(*rows, strict=True), strict=True):
                connection.execute(table.insert(), list(some))
        number += len(vectors)
    store.close()
    return time.perf_counter() - started


def _rows(number: int, vector: NDArray[np.float32]) -> tuple[dict[str, Any], ...]:
    """The rows of a person, a photo and a face, each with this number."""
    name, path = f"person {number:08}", Path(f"/photos/{number:08}.jpg")
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    content = vector.astype("<f4").tobytes()
    checksum = face_checksum(number, number, json.dumps(BOX), json.dumps(POINTS), 0.95, content)
    person = {"id": number, "name": name, "created": NOW, "checksum": person_checksum(number, name)}
    photo = {"id": number, "path": path, "sha256": sha256, "width": 640, "height": 480}
    photo |= {"added": NOW, "checksum": photo_checksum(number, path, sha256)}
    face = {"photo": number, "person": number, "box": BOX, "points": POINTS, "score": 0.9}
    return person, photo, face | {"agreement": 0.95, "embedding": content, "checksum": checksum}


def command(gallery: Path, *arguments: str) -> None:
    done = subprocess.run(
        ["facesearch", "--quiet", "--gallery", str(gallery), *arguments],
        capture_output=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        sys.exit(done.stderr.decode())


OPEN = """
import sys
from pathlib import Path
from tests.support.inside_gallery import InsideGallery as Gallery
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS"))
import time, faiss, numpy
before = resident()
started = time.perf_counter()
gallery = Gallery(Path(sys.argv[1]))
index = gallery.index.current()
seconds = time.perf_counter() - started
index.search(index.of(index.numbers[:1]), 10)
print(seconds, resident() - before)
"""


def measure(folder: Path, model: Model, count: int, pictures: list[Path]) -> dict[str, Any]:
    """Measure one gallery."""
    row: dict[str, Any] = {"faces": count, "fill_s": fill(folder, model, count)}
    row["database_bytes"] = (folder / "gallery.db").stat().st_size
    store = Store(folder, create=False)
    row["rebuild_s"] = median_seconds(lambda: LocalIndex(store).current())
    opened = [
        subprocess.run(
            [sys.executable, "-c", OPEN, folder], capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(3)
    ]
    row["open_s"] = statistics.median(float(seconds) for seconds, _ in opened)
    row["resident_bytes_per_face"] = round(int(opened[0][1]) / count)
    index = LocalIndex(store).current()
    queries = np.concatenate(list(drawn(model, 64, seed=1)))
    flat = faiss.IndexFlatL2(queries.shape[1])
    flat.add(index.templates)
    for name, some, runs in (("one", queries[:1], 9), ("64", queries, 3)):
        index.search(some, 10)
        flat.search(some, 10)
        ours, faiss_s = [], []
        for _ in range(runs):  # by turns, so that both see the same machine
            ours.append(median_seconds(partial(index.search, some, 10)))
            faiss_s.append(median_seconds(partial(flat.search, some, 10)))
        row[f"search_{name}_s"] = statistics.median(ours)
        row[f"search_{name}_faiss_s"] = statistics.median(faiss_s)
    del flat
    with Gallery(folder) as gallery:
        row["strangers_anew_s"] = median_seconds(lambda: gallery.impostor_scores(model))
    if pictures:
        command(folder, "identify", str(pictures[0]))
        row["cold_identify_s"] = median_seconds(
            lambda: command(folder, "identify", str(pictures[0])), 5
        )
        row |= enrolment(folder, pictures)
        command(folder, "identify", str(pictures[0]))
        row["cold_identify_after_s"] = median_seconds(
            lambda: command(folder, "identify", str(pictures[0])), 5
        )
    return row


ENROL = """
import sys, time
from pathlib import Path
from facesearch.core import paths
from facesearch.vision.photo_files import people_in
from facesearch.vision.embedder import Embedder
from tests.support.inside_gallery import InsideGallery as Gallery
from facesearch.vision.model import Model
embedder = Embedder(Model(paths.shipped_models() / "default"))
asked = [(name, path) for name, paths in people_in(Path(sys.argv[2])).items() for path in paths]
embedder.faces(embedder.read(asked[0][1]))
started = time.perf_counter()
with Gallery(Path(sys.argv[1])) as gallery:
    done = list(gallery.enroll_each(asked, faces="largest"))
print(time.perf_counter() - started, len(done))
"""


def enrolment(folder: Path, pictures: list[Path]) -> dict[str, Any]:
    """Photos of new people, one each, into this gallery and into an empty one, by turns."""
    seconds: dict[str, list[float]] = {"enrol": [], "enrol_empty": []}
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name) / "tree"
        for number, picture in enumerate(pictures):
            (tree / f"new {number}").mkdir(parents=True)
            shutil.copy(picture, tree / f"new {number}")
        for turn in range(3):
            copy = Path(name) / f"copy-{turn}"
            shutil.copytree(folder, copy, copy_function=os.link)
            for file in copy.glob("gallery.db*"):
                file.unlink()
                shutil.copy(folder / file.name, file)
            for key, into in (("enrol", copy), ("enrol_empty", Path(name) / f"empty-{turn}")):
                done = subprocess.run(
                    [sys.executable, "-c", ENROL, into, tree],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                seconds[key].append(float(done.stdout.split()[0]) / len(pictures))
            shutil.rmtree(copy)
    return {f"{key}_s_per_photo": statistics.median(found) for key, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--photos", type=Path, help="a folder; some of its pictures are used")
    parser.add_argument("--count", type=int, default=100, help="photos to enrol")
    parser.add_argument("--work", type=Path, help="where the galleries are made")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    model = Model(paths.shipped_models() / "default")
    pictures = sorted(options.photos.rglob("*.jpg"))[: options.count] if options.photos else []
    print(
        f"{machine()}, FAISS {faiss.__version__}, {faiss.omp_get_max_threads()} threads",
        flush=True,
    )
    rows = []
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        for count in options.sizes:
            folder = Path(name) / str(count)
            row = measure(folder, model, count, pictures)
            rows.append(row)
            print(json.dumps(row), flush=True)
            shutil.rmtree(folder)
    print()
    for key in rows[-1]:
        print(f"{key:28}", *(f"{row.get(key, 0):>14,.4g}" for row in rows))
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
