"""Labelled photos: a folder per person, pairs of photos, splits by person, cached chips."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facesearch import images
from facesearch.embed import FaceReader, in_order
from facesearch.errors import DataError, PhotoError
from facesearch.model import Chips
from facesearch.progress import Progress

People = dict[str, list[Path]]  # a person's name to their photos

LFW_TRAIN, LFW_TEST = "peopleDevTrain.txt", "peopleDevTest.txt"


def people_in(folder: Path) -> People:
    """The photos of a folder that holds a folder per person. Raises DataError if there are none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    people = {
        inner.name: photos
        for inner in sorted(folder.iterdir())
        if inner.is_dir() and not inner.name.startswith(".") and (photos := images.photos_in(inner))
    }
    if not people:
        raise DataError(f"{folder}: no folder of photos in it; give a folder with one per person")
    return people


@dataclass(frozen=True, slots=True)
class Split:
    """People for three purposes; nobody stands in two of them."""

    train: People
    validation: People
    test: People
    source: str  # how it was made, for the record


def split_people(folder: Path, people: People, seed: int, share: float = 0.1) -> Split:
    """A tenth of the people to validate and a tenth to test, drawn with `seed`.

    Where LFW's own lists lie in the folder, the test people are theirs, and people on neither list
    are left out. People with one photo are drawn apart from the others, so that every part has its
    share. Raises DataError if a part would have fewer than two people with two photos or more.
    """
    rng = np.random.default_rng(seed)
    lists = folder / LFW_TRAIN, folder / LFW_TEST
    if all(path.is_file() for path in lists):
        to_train, to_test = (set(people_list(path)) for path in lists)
        test = {name: people[name] for name in people if name in to_test}
        rest = {name: people[name] for name in people if name in to_train}
        source = f"{LFW_TRAIN} and {LFW_TEST}, validation drawn with seed {seed}"
    else:
        test = _draw(people, share, rng)
        rest = {name: people[name] for name in people if name not in test}
        source = f"drawn with seed {seed}"
    validation = _draw(rest, share, rng)
    train = {name: rest[name] for name in rest if name not in validation}
    for part in (train, validation, test):
        if sum(len(photos) > 1 for photos in part.values()) < 2:
            raise DataError(
                f"{folder}: too few people with two photos or more to split into training, "
                "validation and test; at least 6 are needed"
            )
    return Split(train, validation, test, source)


def _draw(people: People, share: float, rng: np.random.Generator) -> People:
    chosen: set[str] = set()
    for several in (True, False):
        names = [name for name in people if (len(people[name]) > 1) == several]
        count = round(share * len(names))
        if several:
            count = max(2, count)
        chosen.update(rng.permutation(names)[:count].tolist())
    return {name: people[name] for name in people if name in chosen}


def people_list(path: Path) -> list[str]:
    """The names in a list of LFW's format: a count, then a name and a number of photos a line."""
    lines = path.read_text("utf-8").splitlines()
    return [line.split("\t")[0] for line in lines[1:] if line.strip()]


def listed(people: People, path: Path) -> People:
    """The people whom a list in LFW's format names.

    Raises DataError if it cannot be read or names somebody who is not there.
    """
    try:
        names = people_list(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a list of people") from error
    if not names:
        raise DataError(f"{path}: names nobody; the first line holds a count, each other a name")
    for name in names:
        if name not in people:
            raise DataError(f"{path}: {name}: no folder of photos has this name")
    return {name: people[name] for name in sorted(set(names))}


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos and whether they show one person; `fold` counts from 0."""

    a: Path
    b: Path
    same: bool
    fold: int


def read_pairs(path: Path, folder: Path) -> list[Pair]:
    """The pairs of a list in LFW's format, of photos below `folder`.

    The first line holds the number of folds, if there are several, and of pairs of either kind in a
    fold; then come lines `name n m` and `name n name m`, genuine and impostor pairs, fold by fold.
    Raises DataError for a line of another form, a photo that is not there, or a wrong count.
    """
    try:
        lines = [line.split("\t") for line in path.read_text("utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not a list of pairs") from error
    try:
        head = [int(field) for field in lines[0]]
        folds, each = head if len(head) == 2 else (1, head[0])
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: the first line must hold the number of pairs") from error
    if len(lines) - 1 != 2 * folds * each:
        raise DataError(
            f"{path}: {len(lines) - 1} pairs, where its first line promises {2 * folds * each}"
        )
    for fold in range(folds):
        genuine = sum(len(fields) == 3 for fields in lines[1 + 2 * each * fold :][: 2 * each])
        if genuine != each:
            raise DataError(
                f"{path}: {genuine} genuine pairs in fold {fold + 1}, where its first line "
                f"promises {each}"
            )
    pairs = []
    for number, fields in enumerate(lines[1:]):
        if len(fields) == 3:
            name, first, other, second = fields[0], fields[1], fields[0], fields[2]
        elif len(fields) == 4:
            name, first, other, second = fields
        else:
            raise DataError(f"{path}: line {number + 2} has {len(fields)} fields, not 3 or 4")
        a, b = (_numbered(folder, *photo) for photo in ((name, first), (other, second)))
        pairs.append(Pair(a, b, len(fields) == 3, number // (2 * each)))
    return pairs


def _numbered(folder: Path, name: str, number: str) -> Path:
    usual = folder / name / f"{name}_{number.zfill(4)}.jpg"
    if usual.is_file():
        return usual
    for suffix in sorted(images.SUFFIXES):
        path = usual.with_suffix(suffix)
        if path.is_file():
            return path
    raise DataError(f"{usual}: no such photo, though the list of pairs names it")


class ChipCache:
    """Chips of the principal faces of many photos, on disk, made once.

    `chips.bin` holds the chips one after another, `chips.jsonl` a line for each photo with the row
    or the reason why there is none. What was made before a stop is kept.
    """

    def __init__(self, folder: Path, reader: FaceReader, margin: int) -> None:
        self._folder = folder
        self._reader = reader
        self._margin = margin
        self._side = reader.preprocessing.size + 2 * margin
        self._rows: dict[str, int] = {}
        self.left_out: dict[Path, str] = {}

    def recall(self) -> tuple[list[str], dict[str, str]]:
        """Look at what is there already: the lines of the index, and reasons by photo."""
        index, store = self._folder / "chips.jsonl", self._folder / "chips.bin"
        reasons: dict[str, str] = {}
        kept = [json.dumps(self._key())]
        lines = index.read_text("utf-8").splitlines() if index.is_file() else []
        if lines[:1] != kept or not store.is_file():
            return kept, reasons
        for line in lines[1:]:
            if not line.endswith("}"):
                break  # the last line of a run that was killed
            entry = json.loads(line)
            if entry["reason"]:
                reasons[entry["photo"]] = entry["reason"]
            else:
                self._rows[entry["photo"]] = entry["row"]
            kept.append(line)
        return kept, reasons

    def fill(self, photos: Sequence[Path], progress: Progress) -> None:
        """See that each photo has its chip or its reason."""
        self._folder.mkdir(parents=True, exist_ok=True)
        index, store = self._folder / "chips.jsonl", self._folder / "chips.bin"
        kept, reasons = self.recall()
        if len(kept) == 1:
            store.write_bytes(b"")
        index.write_text("\n".join([*kept, ""]), "utf-8")
        count = max(self._rows.values(), default=-1) + 1
        known = self._rows.keys() | reasons.keys()
        todo = [photo for photo in photos if _stamp(photo) not in known]
        progress.start("finding faces", len(todo))
        with store.open("r+b") as chips, index.open("a", encoding="utf-8") as log:
            chips.truncate(count * self._side**2 * 3)
            chips.seek(0, 2)
            for photo, chip in in_order(
                lambda p: self._reader.read_principal(p, self._margin), todo
            ):
                stamp = _stamp(photo)
                entry: dict[str, object]
                if isinstance(chip, PhotoError) or chip is None:
                    reasons[stamp] = str(chip or f"{photo}: no usable face found")
                    entry = {"photo": stamp, "row": None, "reason": reasons[stamp]}
                else:
                    chips.write(chip.tobytes())
                    chips.flush()
                    self._rows[stamp] = count
                    entry = {"photo": stamp, "row": count, "reason": ""}
                    count += 1
                log.write(json.dumps(entry) + "\n")
                progress.advance()
        self.left_out.update(
            {photo: reasons[_stamp(photo)] for photo in photos if _stamp(photo) in reasons}
        )

    def row(self, photo: Path) -> int | None:
        """Where the chip of a photo stands in `chips`; None if it was left out."""
        return self._rows.get(_stamp(photo))

    @property
    def chips(self) -> Chips:
        """All chips, (N, S + 2 margin, S + 2 margin, 3), mapped from the file."""
        store = self._folder / "chips.bin"
        shape = (-1, self._side, self._side, 3)
        if not store.stat().st_size:
            return np.empty((0, *shape[1:]), np.uint8)
        return np.memmap(store, np.uint8, "r").reshape(shape)

    def _key(self) -> dict[str, object]:
        how = self._reader.preprocessing
        finders = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self._reader.finders]
        return {
            "size": how.size,
            "margin": self._margin,
            "template": [list(point) for point in how.template],
            "detector": how.detector,
            "finders": finders,
            "detail": self._reader.detail,
            "min_face": self._reader.min_face,
        }


def _stamp(photo: Path) -> str:
    """A photo as it is now: path, size and time of change."""
    stat = photo.stat()
    return f"{photo}|{stat.st_size}|{stat.st_mtime_ns}"


def fingerprint(paths: Iterable[Path], root: Path) -> str:
    """SHA-256 over the names and sizes of photos, for the record of a training run."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(os.fsencode(path.relative_to(root)) + b" %d\n" % path.stat().st_size)
    return digest.hexdigest()
