"""Folders of people, lists of pairs and splits are read as they are meant, or refused clearly."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import DataError
from facesearch.training.dataset import ChipCache, split_people
from facesearch.vision.embedder import Embedder
from facesearch.vision.photo_files import people_in


def crowd(root: Path, several: int, single: int) -> Path:
    for number in range(several + single):
        folder = root / f"p{number:03}"
        folder.mkdir(parents=True)
        for photo in range(3 if number < several else 1):
            (folder / f"{photo}.jpg").touch()
    return root


class Counter:
    """A progress that counts."""

    def __init__(self) -> None:
        self.total, self.done = 0, 0

    def start(self, stage: str, total: int) -> None:
        self.total, self.done = total, 0

    def advance(self, note: str = "") -> None:
        self.done += 1


def test_nobody_stands_in_two_parts(tmp_path: Path) -> None:
    people = people_in(crowd(tmp_path, 40, 60))
    split = split_people(tmp_path, people, seed=1)
    parts = [set(part) for part in (split.train, split.validation, split.test)]
    assert set.union(*parts) == set(people)
    assert sum(map(len, parts)) == len(people)
    assert [len(part) for part in parts] == [81, 9, 10]
    for part in (split.validation, split.test):
        assert sum(len(photos) > 1 for photos in part.values()) == 4
    assert split_people(tmp_path, people, seed=1) == split
    assert split_people(tmp_path, people, seed=2) != split


def test_lfw_lists_decide_the_test_people(tmp_path: Path) -> None:
    people = people_in(crowd(tmp_path, 20, 20))
    names = list(people)
    to_train, to_test = names[:15] + names[20:30], names[15:19] + names[30:35]
    for path, chosen in (("peopleDevTrain.txt", to_train), ("peopleDevTest.txt", to_test)):
        lines = [f"{name}\t{len(people[name])}" for name in chosen]
        (tmp_path / path).write_text("\n".join([str(len(chosen)), *lines]))
    split = split_people(tmp_path, people, seed=0)
    assert set(split.test) == set(to_test)
    assert set(split.train) | set(split.validation) == set(to_train)


def test_too_few_people_are_refused(tmp_path: Path) -> None:
    people = people_in(crowd(tmp_path, 5, 9))
    with pytest.raises(DataError, match="at least 6"):
        split_people(tmp_path, people, seed=0)


def test_chips_are_made_once_and_survive_a_kill(
    embedder: Embedder, people: Path, no_face: Path, tmp_path: Path
) -> None:
    photos = [*sorted(people.glob("person-0[01]/*.jpg")), no_face]
    shutil.copy(no_face, tmp_path / "text.jpg")
    (tmp_path / "text.jpg").write_text("no photo")
    photos.append(tmp_path / "text.jpg")
    progress = Counter()
    first = ChipCache(tmp_path / "work", embedder, 16)
    first.fill(photos, progress)
    assert (progress.done, progress.total) == (12, 12)
    assert len(first.chips) == 10
    assert set(first.left_out) == {no_face, tmp_path / "text.jpg"}
    side = embedder.preprocessing.size
    row = first.row(photos[3])
    assert row is not None
    plain = embedder.read_principal(photos[3])
    assert np.array_equal(first.chips[row, 16:-16, 16:-16], plain)
    assert plain is not None
    assert plain.shape == (side, side, 3)

    index, store = tmp_path / "work" / "chips.jsonl", tmp_path / "work" / "chips.bin"
    lines = index.read_text().splitlines()
    index.write_text("\n".join(lines[:6]) + '\n{"photo": "half a li')
    store.write_bytes(store.read_bytes()[:-1000])  # cut within a chip
    again = ChipCache(tmp_path / "work", embedder, 16)
    again.fill(photos, progress)
    assert progress.total == 12 - 5
    for photo in photos[:10]:
        a, b = first.row(photo), again.row(photo)
        assert a is not None
        assert b is not None
        assert np.array_equal(again.chips[b], embedder.read_principal(photo, 16))
    again.fill(photos, progress)
    assert progress.total == 0

    other = ChipCache(tmp_path / "work", embedder, 8)  # another margin: nothing can be kept
    other.fill(photos, progress)
    assert progress.total == 12
    assert json.loads(index.read_text().splitlines()[0])["margin"] == 8
