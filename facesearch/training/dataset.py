"""Labelled photos: their split by person, and the chips of the faces in them, kept on disk."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.arrays import Chips
from facesearch.core.errors import DataError, PhotoError
from facesearch.core.progress import Progress
from facesearch.evaluation.lfw import LFW_TEST, LFW_TRAIN, people_list
from facesearch.vision.embedder import in_order
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.photo_files import People


@dataclass(frozen=True, slots=True)
class Split:
    """The people of the three parts; nobody is in two of them."""

    train: People
    validation: People
    test: People
    source: str  # how the split was made


def split_people(folder: Path, people: People, seed: int, share: float = 0.1) -> Split:
    """Split people: the share `share` to validate, as many to test, drawn with `seed`.

    If LFW's own lists lie in the folder, the test people are those of its list, and people on
    neither list are left out. People with one photo are drawn apart from the others, so that every
    part has its share of them. Raises DataError if a part would have fewer than two people with two
    photos or more.
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


class ChipCache:
    """The chips of the faces that photos are about, made once and kept on disk.

    `chips.bin` has the chips one after another, `chips.jsonl` a line for each photo with the row of
    its chip, or the reason why it has none. A run that was stopped goes on where it was.
    """

    def __init__(self, folder: Path, reader: FaceReader, margin: int) -> None:
        self._folder = folder
        self._reader = reader
        self._margin = margin
        self._side = reader.preprocessing.size + 2 * margin
        self._rows: dict[str, int] = {}
        self.left_out: dict[Path, str] = {}

    def recall(self) -> tuple[list[str], dict[str, str]]:
        """Read what is there already: the lines of the index, and the reasons by photo."""
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
        """Make the chips that are missing, so that each photo has a chip or a reason."""
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
        """The row of a photo's chip in `chips`; None if the photo was left out."""
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
        detector_files = [
            hashlib.sha256(path.read_bytes()).hexdigest() for path in self._reader.detector_files
        ]
        return {
            "size": how.size,
            "margin": self._margin,
            "template": [list(point) for point in how.template],
            "detector": how.detector,
            "finders": detector_files,
            "detail": self._reader.detail,
            "min_face": self._reader.min_face,
        }


@dataclass(frozen=True, slots=True)
class Faces:
    """The chips of one part of the people."""

    chips: Chips  # (M, S + 2 margin, S + 2 margin, 3): of all parts
    rows: NDArray[np.int64]  # of this part, (N,)
    people: NDArray[np.int64]  # who is on each, (N,)

    def __len__(self) -> int:
        return len(self.rows)

    def inner(self, size: int, faces: NDArray[np.int64] | None = None) -> Chips:
        """The chips of some faces, or of all, without their margin, (N, size, size, 3)."""
        edge = (self.chips.shape[1] - size) // 2
        rows = self.rows if faces is None else self.rows[faces]
        return self.chips[rows, edge : edge + size, edge : edge + size]


def faces_of(part: People, cache: ChipCache, data: Path) -> Faces:
    """The chips of some people in a filled cache; photos without one are left out.

    data: the folder, for the error. Raises DataError if fewer than two people have two chips.
    """
    rows, owners = [], []
    for number, photos in enumerate(part.values()):
        for photo in photos:
            row = cache.row(photo)
            if row is not None:
                rows.append(row)
                owners.append(number)
    people = np.array(owners, np.int64)
    if len(people) == 0 or sum(np.bincount(people) > 1) < 2:
        raise DataError(
            f"{data}: too few people with two photos in which a face is found; "
            "at least 2 are needed for each of training, validation and test"
        )
    return Faces(cache.chips, np.array(rows, np.int64), people)


def _stamp(photo: Path) -> str:
    """A key of a photo's present content: path, size and time of change."""
    stat = photo.stat()
    return f"{photo}|{stat.st_size}|{stat.st_mtime_ns}"


def fingerprint(paths: Iterable[Path], root: Path) -> str:
    """The SHA-256 of the names and sizes of photos below `root`, which identifies a run's data."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(os.fsencode(path.relative_to(root)) + b" %d\n" % path.stat().st_size)
    return digest.hexdigest()
