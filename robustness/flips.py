"""Flips bits of a gallery's files at random: every answer is then right, or an error says why not.

    python -m robustness.flips --flips 5000 [--seed 1] [--late] [--json flips.json]

For each flip the gallery is opened, everybody is listed, with rejections, dates, what can be undone
and what was searched for, and stored faces are named, once with the file of the index (--late: one
that is older than some faces) and once without it; then the doctor repairs it, and all is asked
again.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from facesearch.core import paths
from facesearch.core.errors import FacesearchError
from facesearch.core.face import Box, Face
from facesearch.gallery import curation, doctor, rejections
from facesearch.index import local_index
from facesearch.matching.calibration import Calibration, calibration_of
from facesearch.storage import audit_log, preferences
from facesearch.storage.cache_file import INDEX
from facesearch.storage.database import Database
from facesearch.storage.records import ModelStamp, NewPhoto
from facesearch.storage.store import Store
from facesearch.vision.embedder import EmbeddedFace
from facesearch.vision.model import Model
from tests.support.inside_gallery import InsideGallery as Gallery

MODEL = ModelStamp("default", "f" * 64, 16)
PEOPLE, PHOTOS = 12, 3
TARGETS = ("gallery.db", INDEX)


def photo(person: int, number: int, dimension: int = MODEL.dimension) -> NewPhoto:
    """An invented photo of an invented person."""
    place = np.random.default_rng(person).normal(size=dimension)
    rng = np.random.default_rng([person, number])
    vector = place + rng.normal(0, 0.2, dimension)
    vector = (vector / np.linalg.norm(vector)).astype(np.float32)
    points = tuple((float(x), float(y)) for x, y in rng.uniform(0, 100, (5, 2)).round(1))
    return NewPhoto(
        name=f"Person {person}",
        path=Path(f"/photos/{person}/{number}.jpg"),
        sha256=rng.bytes(32).hex(),
        width=640,
        height=480,
        faces=[Face(Box(1.5, 2, 30, 40), points, 0.5)],
        embeddings=vector[None],
        flip_consistencies=[0.95],
    )


def make(folder: Path, *, late: bool = False) -> None:
    """A gallery of invented people, with the file of its index.

    late: the file is older than some people, faces and removals.
    """
    with closing(Store(folder, create=True)) as store:
        new = [photo(person, number) for person in range(PEOPLE) for number in range(PHOTOS)]
        store.add(new, MODEL)
        _say(store.database)
        store.add([photo(PEOPLE, 0)], MODEL)
        store.remove(photo(PEOPLE, 0).name)
    with Gallery(folder) as gallery:
        gallery.prepare()
        if late:
            new = [photo(person, PHOTOS) for person in range(0, PEOPLE, 3)]
            gallery.store.add(new + [photo(PEOPLE + 1, 0)], MODEL)


def _say(database: Database) -> None:
    """Put rejections, dates and searches into the gallery, too."""
    for person in range(3):
        other = photo(person + 1, 0)
        face, vector = other.faces[0], other.embeddings[0]
        rejections.reject(database, f"Person {person}", other.sha256, face.box, vector)
    curation.set_terms(database, "Person 4", expires="2030-06-01", consent="by letter")
    preferences.prefer(database, "audit", "on")
    audit_log.record(database, "identify", 1, ["Person 5"])


Answers = list[tuple[str, float, str, float]]


def ask(folder: Path, calibration: Calibration) -> tuple[list[tuple[str, int]], Answers]:
    """The people, and the nearest people of one face of each."""
    with Gallery(folder) as gallery:
        everybody = [(person.name, person.faces) for person in gallery.people()]
        answers = []
        for person in range(PEOPLE):
            new = photo(person, 0)
            seen = EmbeddedFace(new.faces[0], new.embeddings[0], 0.95, "")
            for near in gallery.near(seen, 3, calibration):
                row = near.name, round(near.distance, 5), str(near.photo)
                answers.append((*row, round(near.log_ratio, 3)))
        return everybody, answers


def ask_beside(folder: Path) -> list[object]:
    """The rejections, dates, changes and searches of the gallery."""
    with Gallery(folder) as gallery:
        return [
            [(person.expires, person.consent) for person in gallery.people()],
            [(said.name, said.sha256, said.box, said.near) for said in gallery.rejections()],
            [said.embedding.tolist() for said in gallery.rejections()],
            [change.line for change in gallery.changes()],
            [kept.name for kept in gallery.expired(date(2035, 1, 1))],
            [(search.command, search.names) for search in gallery.searches()],
            gallery.info().audit,
        ]


@dataclass(frozen=True, slots=True)
class Flip:
    """What one flipped bit did."""

    file: str
    byte: int
    bit: int
    with_index: bool
    outcome: str  # right, refused, wrong
    repaired: str  # right, fewer (says which faces are gone), refused, wrong
    said: str


def flips(count: int, seed: int, calibration: Calibration, *, late: bool = False) -> Iterator[Flip]:
    """Every flip in a fresh copy of one gallery. late: see `make`."""
    rng = np.random.default_rng(seed)

    def ask_all(folder: Path) -> object:
        return ask(folder, calibration), ask_beside(folder)

    with tempfile.TemporaryDirectory() as root:
        whole, folder = Path(root) / "whole", Path(root) / "gallery"
        make(whole, late=late)
        right = ask_all(whole)
        for number in range(count):
            file = TARGETS[number % 5 == 4]  # most of them in the database
            with_index = file == INDEX or number % 2 == 0
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(whole, folder)
            if not with_index:
                (folder / INDEX).unlink()
            content = bytearray((folder / file).read_bytes())
            byte, bit = int(rng.integers(len(content))), int(rng.integers(8))
            content[byte] ^= 1 << bit
            (folder / file).write_bytes(content)
            outcome, said = _outcome(lambda: ask_all(folder), right)
            found = doctor.examine(folder, repair=True)
            repaired, _ = _outcome(lambda: ask_all(folder), right)
            serious = [finding for finding in found if finding.severity != "note"]
            if repaired == "wrong" and serious:
                repaired = "fewer"  # a face or a name was given up, and it was said
            if outcome == "refused" and not serious:
                outcome = "refused, and the doctor finds nothing"
            said = said or "; ".join(finding.what for finding in serious)
            yield Flip(file, byte, bit, with_index, outcome, repaired, said)


def _outcome(job: Callable[[], object], right: object) -> tuple[str, str]:
    try:
        return ("right" if job() == right else "wrong"), ""
    except FacesearchError as error:
        return "refused", str(error)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--flips", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--late", action="store_true", help="with an index of an earlier state")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    calibration = calibration_of(Model(paths.shipped_models() / "default"))
    if options.late:
        local_index.SMALL_FILE = 0  # else such a small file would be written anew
    done = []
    for flip in flips(options.flips, options.seed, calibration, late=options.late):
        done.append(flip)
        if "wrong" in (flip.outcome, flip.repaired) or "nothing" in flip.outcome:
            print(flip, file=sys.stderr)
    counts = Counter((flip.file, flip.with_index, flip.outcome, flip.repaired) for flip in done)
    rows = [
        {
            "file": file,
            "index": "kept" if kept else "made anew",
            "answers": outcome,
            "after repair": repaired,
            "flips": number,
        }
        for (file, kept, outcome, repaired), number in sorted(counts.items())
    ]
    for row in rows:
        print("  ".join(f"{value!s:>12}" for value in row.values()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return int(any("wrong" in (flip.outcome, flip.repaired) for flip in done))


if __name__ == "__main__":
    sys.exit(main())
