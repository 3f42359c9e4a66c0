"""Chips of the photographs that gather.py lays out, in the form of the development data's.

    python -m models.recipes.student.photo_chips PHOTOS WORK/photos
    python -m models.recipes.student.photo_chips ../shared/data/lfw WORK/lfw --people

PHOTOS holds index.csv (file, set, ...) and the pictures; with --people, a folder per person. Faces
are found and aligned as the package does it. OUT gets pixels.npy, (N, 128, 128, 3) uint8: the
112 x 112 template with 8 pixels more on every side, borders replicated; and faces.csv, a line for
each row: the picture's columns, then
`eyes` (pixels between them in the photo), `reason` (why the face cannot be recognised, or nothing)
and `frame` (the photo's corners in pixels of the chip, where some of the chip lies outside it).
Of a picture of one person the principal face, of `web` every face. 17 ms of one core for a picture;
what was interrupted goes on where it stopped.
"""

import argparse
import csv
import multiprocessing
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.errors import PhotoError
from facesearch.core.face import Face, principal
from facesearch.vision.alignment import TEMPLATE, TEMPLATE_SIZE, similarity
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.model import Model, Preprocessing

SIDE, MARGIN = 128, 8
POINTS = np.array(TEMPLATE) + MARGIN  # in pixels of the chip
GROUPS = {"web"}  # sets whose pictures show several people
FINDER = Path(__file__).parents[3] / "models" / "default"
FIELDS = ["file", "set", "original", "age", "gender", "origin", "eyes", "reason", "frame"]

Row = dict[str, str]
Pixels = NDArray[np.uint8]


def frame(face: Face, width: int, height: int) -> str:
    """The photo's corners in pixels of the chip, clockwise; empty if the chip lies inside it."""
    matrix = similarity(face.points, POINTS)
    back = np.linalg.inv(np.vstack([matrix, (0, 0, 1)]))[:2]
    far = SIDE - 0.5
    corners = back[:, :2] @ np.array([[-0.5, far, far, -0.5], [-0.5, -0.5, far, far]])
    corners += back[:, 2:]
    inside = (corners >= -0.5) & (corners <= [[width - 0.5], [height - 0.5]])
    if inside.all():
        return ""
    right, bottom = width - 0.5, height - 0.5
    photo = np.array([[-0.5, right, right, -0.5], [-0.5, -0.5, bottom, bottom]])
    return " ".join(f"{value:.1f}" for value in (matrix[:, :2] @ photo + matrix[:, 2:]).T.ravel())


def finished(raw: Path, table: Path) -> list[Row]:
    """The faces that an interrupted run has kept, those of its last picture left out."""
    if not (raw.exists() and table.exists()):
        return []
    size = SIDE * SIDE * 3
    with table.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["frame"] is not None]
    rows = rows[: raw.stat().st_size // size]
    if rows:
        last = rows[-1]["file"]
        rows = [row for row in rows if row["file"] != last]
    with raw.open("r+b") as pixels:
        pixels.truncate(len(rows) * size)
    return rows


class Reading:
    """One process's detector."""

    reader: FaceReader

    @classmethod
    def begin(cls) -> None:
        template = tuple((float(x), float(y)) for x, y in POINTS * (TEMPLATE_SIZE / SIDE))
        how = Preprocessing(SIDE, template, detector="network")
        cls.reader = FaceReader(how, Model(FINDER).detector_files)

    @classmethod
    def look(cls, job: tuple[Path, Row]) -> list[tuple[Row, Pixels]]:
        path, row = job
        try:
            portrait = cls.reader.read(path)
        except PhotoError:
            return []
        faces = portrait.faces
        if not faces:
            return []
        if row["set"] in GROUPS:
            chosen = range(len(faces))
        else:
            one = principal(faces, portrait.width, portrait.height)
            chosen = range(faces.index(one), faces.index(one) + 1)
        return [
            (
                {
                    **row,
                    "eyes": f"{faces[at].eye_distance:.1f}",
                    "reason": portrait.reasons[at],
                    "frame": frame(faces[at], portrait.width, portrait.height),
                },
                portrait.chips[at],
            )
            for at in chosen
        ]


def listed(photos: Path, people: bool) -> list[Row]:
    if not people:
        with (photos / "index.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))
    names = [str(path.relative_to(photos)) for path in sorted(photos.glob("*/*.jpg"))]
    unknown = dict.fromkeys(("age", "gender", "origin"), "")
    return [{"file": name, "set": photos.name, "original": name, **unknown} for name in names]


def found(photos: Path, rows: list[Row]) -> Iterator[tuple[Row, Pixels]]:
    jobs = [(photos / row["file"], row) for row in rows]
    with multiprocessing.Pool(initializer=Reading.begin) as pool:
        for number, faces in enumerate(pool.imap(Reading.look, jobs, chunksize=16)):
            if number % 5000 == 0:
                print(f"{number} of {len(jobs)}", flush=True)
            yield from faces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--people", action="store_true", help="PHOTOS is a folder per person")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    raw, table = args.out / "pixels.raw", args.out / "faces.csv"
    wanted = listed(args.photos, args.people)
    done = finished(raw, table)
    if done:
        files = [row["file"] for row in wanted]
        wanted = wanted[files.index(done[-1]["file"]) + 1 :]
    count = len(done)
    with table.open("w", newline="", encoding="utf-8") as file, raw.open("ab") as pixels:
        index = csv.DictWriter(file, FIELDS)
        index.writeheader()
        index.writerows(done)
        for row, chip in found(args.photos, wanted):
            pixels.write(np.ascontiguousarray(chip).tobytes())
            index.writerow(row)
            count += 1
    shape = (count, SIDE, SIDE, 3)
    np.save(args.out / "pixels.npy", np.memmap(raw, np.uint8, "r", shape=shape))
    raw.unlink()
    print(f"{count} faces")


if __name__ == "__main__":
    main()
