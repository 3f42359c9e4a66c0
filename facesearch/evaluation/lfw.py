"""Reads lists of people and of pairs in the format of LFW."""

from dataclasses import dataclass
from pathlib import Path

from facesearch.core.errors import DataError
from facesearch.core.words import plural
from facesearch.vision import photo_files
from facesearch.vision.photo_files import People

LFW_TRAIN, LFW_TEST = "peopleDevTrain.txt", "peopleDevTest.txt"


def people_list(path: Path) -> list[str]:
    """The names in a list: after a line with the count, each line has a name and a number."""
    lines = path.read_text("utf-8").splitlines()
    return [line.split("\t")[0] for line in lines[1:] if line.strip()]


def listed(people: People, path: Path) -> People:
    """Those of `people` whom a list names.

    Raises DataError if the list cannot be read or names somebody who is not among them.
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
    """The pairs of a list, which are photos below `folder`.

    The first line has the number of folds, if there are several, and the number of genuine pairs in
    a fold, which has as many impostor pairs. Then come, fold by fold, lines `name n m` for genuine
    pairs and `name n name m` for impostor pairs. Raises DataError for a line of another form, a
    missing photo or a wrong count.
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
            f"{path}: {plural(len(lines) - 1, 'pair')}, where its first line promises "
            f"{2 * folds * each}"
        )
    for fold in range(folds):
        genuine = sum(len(fields) == 3 for fields in lines[1 + 2 * each * fold :][: 2 * each])
        if genuine != each:
            raise DataError(
                f"{path}: {plural(genuine, 'genuine pair')} in fold {fold + 1}, where its "
                f"first line promises {each}"
            )
    pairs = []
    for number, fields in enumerate(lines[1:]):
        if len(fields) == 3:
            name, first, other, second = fields[0], fields[1], fields[0], fields[2]
        elif len(fields) == 4:
            name, first, other, second = fields
        else:
            raise DataError(
                f"{path}: line {number + 2} has {plural(len(fields), 'field')}, not 3 or 4"
            )
        a, b = (_numbered(folder, *photo) for photo in ((name, first), (other, second)))
        pairs.append(Pair(a, b, len(fields) == 3, number // (2 * each)))
    return pairs


def _numbered(folder: Path, name: str, number: str) -> Path:
    usual = folder / name / f"{name}_{number.zfill(4)}.jpg"
    if usual.is_file():
        return usual
    for suffix in sorted(photo_files.SUFFIXES):
        path = usual.with_suffix(suffix)
        if path.is_file():
            return path
    raise DataError(f"{usual}: no such photo, though the list of pairs names it")
