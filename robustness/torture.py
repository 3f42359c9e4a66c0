"""Kills the program at random moments of what it does to a gallery, and looks at what is left.

    python -m robustness.torture --kills 400 [--seed 1] [--json torture.json]
    python -m robustness.torture --kills 400 --postgres [--search pgvector]

A child does an operation step by step and tells on a pipe of each step that is done; it is killed
(SIGKILL) at a moment drawn uniformly from the time that all of them take. After each kill the
gallery must open; the doctor must find it clean or repair it; every face that was acknowledged must
be there, none twice, nothing that was removed, and of the step in flight all or nothing. An
operation is a row of OPERATIONS.
"""

import argparse
import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # OpenMP's threads, FAISS's among them, do not survive a fork

import numpy as np
import sqlalchemy as sa

from facesearch.core import paths
from facesearch.core.progress import Silent
from facesearch.demo.drawn_people import portrait
from facesearch.gallery import doctor
from facesearch.storage.cache_file import INDEX
from facesearch.storage.records import ModelStamp, NewPhoto
from facesearch.vision import images
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from robustness.flips import photo
from tests.support.inside_gallery import InsideGallery as Gallery
from tests.support.postgres_server import running

PEOPLE, PHOTOS = 20, 4  # at the start
SELDOM = 5  # of so many turns one
ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT
GONE = "photo gone"  # the photos are invented


@dataclass
class Known:
    """The faces that must be there: the name by the hash of the photo."""

    names: dict[str, str] = field(default_factory=dict)

    def apply(self, changes: dict[str, str | None]) -> None:
        for sha256, name in changes.items():
            self.names.pop(sha256, None)
            if name is not None:
                self.names[sha256] = name

    def of(self, name: str) -> list[str]:
        return [sha256 for sha256, owner in self.names.items() if owner == name]


@dataclass(frozen=True)
class Operation:
    """One thing that can be done to a gallery, in steps.

    steps: what it will do, from what is known, a number that no other run gets, and a folder for
    pictures; each step is one write. act: does a step in the child. changes: what a step that is
    done has changed, by the hash of the photo: whose face it is then, or None. seldom: it takes
    long.
    """

    steps: Callable[[Known, int, Path], list[str]]
    act: Callable[[Gallery, str], None]
    changes: Callable[[Known, str], dict[str, str | None]]
    seldom: bool = False


def face(number: int) -> NewPhoto:
    """An invented photo; PHOTOS of them in a row are of one person."""
    return photo(number // PHOTOS, number % PHOTOS, stamp().dimension)


@lru_cache
def default_model() -> Model:
    return Model(paths.shipped_models() / "default")


@lru_cache
def stamp() -> ModelStamp:
    """Of the default model, so that photos can be enrolled beside the invented ones."""
    model = default_model()
    return ModelStamp(model.name, model.fingerprint, model.dimension)


# enrol: three photos a step, of new people


def batches(known: Known, start: int, pictures: Path) -> list[str]:
    return [str(at) for at in range(start, start + 30, 3)]


def enrol(gallery: Gallery, step: str) -> None:
    gallery.store.add([face(number) for number in range(int(step), int(step) + 3)], stamp())
    gallery.prepare()


def enrolled(known: Known, step: str) -> dict[str, str | None]:
    new = [face(number) for number in range(int(step), int(step) + 3)]
    return {each.sha256: each.name for each in new}


# remove, rename: a person a step


def some_people(known: Known, start: int, pictures: Path) -> list[str]:
    names = sorted(set(known.names.values()))
    return [names[(start + step) % len(names)] for step in range(min(8, len(names) - 2))]


def remove(gallery: Gallery, step: str) -> None:
    gallery.remove(step)


def removed(known: Known, step: str) -> dict[str, str | None]:
    return dict.fromkeys(known.of(step))


def rename(gallery: Gallery, step: str) -> None:
    gallery.rename(step, f"{step}'")
    gallery.prepare()


def renamed(known: Known, step: str) -> dict[str, str | None]:
    return dict.fromkeys(known.of(step), f"{step}'")


# purge: a person a step, with all that is overwritten then


def purge(gallery: Gallery, step: str) -> None:
    gallery.purge(step)


# merge: two people a step, and then their parting


def couples(known: Known, start: int, pictures: Path) -> list[str]:
    names = some_people(known, start, pictures)
    steps = []
    for name, other in zip(names[::2], names[1::2], strict=False):
        theirs = {"name": name, "other": other, "photos": known.of(other)}
        steps += [json.dumps({"action": action, **theirs}) for action in ("merge", "undo")]
    return steps


def merge(gallery: Gallery, step: str) -> None:
    what = json.loads(step)
    if what["action"] == "merge":
        gallery.merge(what["name"], what["other"])
    else:
        assert gallery.undo().action == "merge"
    gallery.prepare()


def merged(known: Known, step: str) -> dict[str, str | None]:
    what = json.loads(step)
    owner = what["name"] if what["action"] == "merge" else what["other"]
    return dict.fromkeys(what["photos"], owner)


# rebuild: the index


def rebuild(gallery: Gallery, step: str) -> None:
    (gallery.folder / INDEX).unlink(missing_ok=True)
    gallery.index.close()
    gallery.prepare()


# photos: a picture a step, with all that happens to a real one


@lru_cache
def drawn(person: int) -> bytes:
    out = BytesIO()
    portrait(person, 0).save(out, "JPEG", quality=95)
    return out.getvalue()


def paint(known: Known, start: int, pictures: Path) -> list[str]:
    made = [pictures / f"{number}.jpg" for number in range(start, start + 6)]
    for number, path in enumerate(made):
        path.write_bytes(drawn(number) + str(path).encode())  # another content each time
    return [str(path) for path in made]


@lru_cache
def embedder() -> Embedder:
    return Embedder(default_model())


def enroll_photo(gallery: Gallery, step: str) -> None:
    asked = [(Path(step).stem, Path(step))]  # the same faces under one name after the other
    (done,) = gallery.enroll_each(asked, include_doubtful=True)
    assert done.status == "enrolled", done


def photo_enrolled(known: Known, step: str) -> dict[str, str | None]:
    return {images.sha256(Path(step)): Path(step).stem}


OPERATIONS = {
    "enrol": Operation(batches, enrol, enrolled),
    "remove": Operation(some_people, remove, removed),
    "rename": Operation(some_people, rename, renamed),
    "purge": Operation(some_people, purge, removed),
    "merge": Operation(couples, merge, merged),
    "photos": Operation(paint, enroll_photo, photo_enrolled, seldom=True),
    "rebuild": Operation(batches, rebuild, lambda known, step: {}),
}


# reindex: a gallery of pictures of its own, from one model to the other and back


@lru_cache
def other_embedder() -> Embedder:
    """The same network in 32 bits: another model."""
    return Embedder(Model(paths.shipped_models() / "default", precision="fp32"))


def reindex(kills: int, rng: np.random.Generator, where: Path | str, root: Path) -> "Row":
    """Kill a change of model, examine, let it go on to its end, and change back.

    root: for pictures.
    """
    row, known = Row("reindex"), Known()
    (root / "originals").mkdir()
    with Gallery(where):
        pass
    paths = paint(known, 0, root / "originals")
    run(OPERATIONS["photos"], where, paths, None)  # in a child: threads do not survive a fork
    for path in paths:
        known.apply(photo_enrolled(known, path))
    operation = Operation(batches, _change_model, lambda known, step: {})
    models, duration, turn = ("fp32", "int8"), 0.0, 0
    while row.kills < kills:
        step, turn = models[turn % 2], turn + 1
        seconds = rng.uniform(0, duration) if duration else None
        told, killed, took = run(operation, where, [step], seconds)
        duration = duration or took
        if killed and not told:
            row.kills += 1
            look(where, known, {}, row)
            run(operation, where, [step], None)
        with Gallery(where) as gallery:
            model = gallery.info().model or ""
            row.broken += ("fp32" in model) != (step == "fp32")
    return row


def _change_model(gallery: Gallery, step: str) -> None:
    gallery.reindex_to(other_embedder() if step == "fp32" else embedder(), Silent())


@dataclass
class Row:
    """What became of the kills of one operation."""

    operation: str
    kills: int = 0  # that hit it before it was done
    clean: int = 0  # the doctor found nothing but, perhaps, an index to be made anew
    repaired: int = 0
    lost: int = 0  # faces that were acknowledged
    doubled: int = 0
    came_back: int = 0  # faces removed, half of a step, or under another name
    broken: int = 0  # not repaired, or an index of other people


def run(
    operation: Operation, where: Path | str, steps: list[str], seconds: float | None
) -> tuple[int, bool, float]:
    """How many steps were acknowledged, whether it was killed, and how long it went on."""
    out, into = os.pipe()
    began = time.monotonic()
    number = os.fork()
    if not number:
        try:
            os.close(out)
            with Gallery(where) as gallery:
                for step in steps:
                    operation.act(gallery, step)
                    os.write(into, b".")
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(into)
    if seconds is not None:
        while time.monotonic() - began < seconds and not os.waitid(os.P_PID, number, ENDED):
            time.sleep(0.001)
        os.kill(number, signal.SIGKILL)
    with os.fdopen(out, "rb") as pipe:
        told = len(pipe.read())
    _, status = os.waitpid(number, 0)
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status):
        raise RuntimeError("the child failed by itself")
    return told, os.WIFSIGNALED(status), time.monotonic() - began


def look(where: Path | str, known: Known, in_flight: dict[str, str | None], row: Row) -> None:
    """Open the gallery, have it examined, and compare it with what must be there.

    in_flight: what the step that was not acknowledged would change, all of it or nothing.
    """
    settled(where)
    found = [finding for finding in doctor.examine(where) if finding.kind != GONE]
    if all(finding.kind == "index" and finding.severity == "note" for finding in found):
        row.clean += 1
    else:
        doctor.examine(where, repair=True)
        left = [finding for finding in doctor.examine(where) if finding.kind != GONE]
        row.repaired += not left
        row.broken += bool(left)
        for finding in found:
            print(f"{row.operation}: {finding}", file=sys.stderr)
    there = faces_in(where)
    with Gallery(where) as gallery:
        gallery.prepare()
        row.broken += len(gallery.index.current()) != len({name for _, name in there})
    found_names = dict(there)
    row.doubled += len(there) - len(found_names)
    done = Known(dict(known.names))
    done.apply(in_flight)
    if found_names == done.names:
        known.names = done.names
        return
    row.lost += len(known.names.items() - found_names.items())
    row.came_back += len(found_names.items() - known.names.items())
    known.names = found_names


def faces_in(where: Path | str) -> list[tuple[str, str]]:
    """The hash of the photo and the name of every face, read without facesearch's code."""
    query = (
        "SELECT sha256, name FROM faces JOIN photos ON photos.id = photo "
        "JOIN people ON people.id = person WHERE people.removed IS NULL"
    )
    if isinstance(where, str):
        return asked(where, query)
    with closing(sqlite3.connect(where / "gallery.db")) as raw:
        return raw.execute(query).fetchall()


def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    import psycopg

    plain = sa.make_url(url)
    place = f"host={plain.query['host']} user={plain.username} dbname={plain.database}"
    with psycopg.connect(place) as raw:
        return raw.execute(query).fetchall()


def settled(where: Path | str) -> None:
    """Wait until PostgreSQL has noticed that the child is gone and ended its transactions."""
    if isinstance(where, str):
        others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
        others += "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        while asked(where, others):
            time.sleep(0.01)


def torture(
    kills: int, seed: int, root: Path, where: Path | str, other: Path | str, search: str
) -> list[Row]:
    """The rows of the table, after at least `kills` kills in all; the operations take turns.

    root: for pictures. where, other: places for two galleries.
    """
    os.umask(0o077)
    rng = np.random.default_rng(seed)
    known = Known()
    pictures = root / "pictures"
    pictures.mkdir()
    following = 0  # the first number that no run was given

    def crowd() -> None:
        nonlocal following
        new = [face(number) for number in range(following, following + PEOPLE * PHOTOS)]
        following += len(new)
        with Gallery(where) as gallery:
            gallery.set_preference("search", search)
            gallery.store.add(new, stamp())
            gallery.prepare()
        known.apply({each.sha256: each.name for each in new})

    rows = {name: Row(name) for name in OPERATIONS}
    durations: dict[str, float] = {}
    turn = 0
    while sum(row.kills for row in rows.values()) < kills:
        turn += 1
        for name, operation in OPERATIONS.items():
            if operation.seldom and turn % SELDOM != 1:
                continue
            if len(set(known.names.values())) < PEOPLE:
                crowd()
            steps = operation.steps(known, following, pictures)
            following += PEOPLE * PHOTOS
            seconds = rng.uniform(0, durations[name]) if name in durations else None
            told, killed, took = run(operation, where, steps, seconds)
            durations.setdefault(name, took)  # the first one is left to finish
            for step in steps[:told]:
                known.apply(operation.changes(known, step))
            if killed and told < len(steps):
                rows[name].kills += 1
                look(where, known, operation.changes(known, steps[told]), rows[name])
    return [*rows.values(), reindex(max(1, kills // 10), rng, other, root)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--postgres", action="store_true", help="galleries in PostgreSQL")
    parser.add_argument("--search", choices=("local", "pgvector"), default="local")
    options = parser.parse_args()
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["XDG_CACHE_HOME"] = str(root / "cache")
        places: list[Path | str] = [root / "gallery", root / "reindexed"]
        if options.postgres:
            server = stack.enter_context(running())
            places = [server.database(), server.database()]
        rows = torture(options.kills, options.seed, root, *places, options.search)
    columns = list(asdict(rows[0]))
    for line in [columns, *(list(asdict(row).values()) for row in rows)]:
        print("".join(f"{value!s:>11}" for value in line))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return int(any(row.lost + row.doubled + row.came_back + row.broken for row in rows))


if __name__ == "__main__":
    sys.exit(main())
