"""Folders of people, lists of pairs and splits are read as they are meant, or refused clearly."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import DataError
from facesearch.evaluation.lfw import listed, read_pairs
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


def test_people_are_the_folders_with_photos(tmp_path: Path) -> None:
    crowd(tmp_path, 1, 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "1.jpg").touch()
    (tmp_path / "list.txt").write_text("not a person")
    found = people_in(tmp_path)
    assert {name: len(photos) for name, photos in found.items()} == {"p000": 3, "p001": 1}
    for bad, reason in ((tmp_path / "empty", "no folder of photos"), (tmp_path / "x", "no such")):
        with pytest.raises(DataError, match=reason):
            people_in(bad)


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


@pytest.fixture
def album(tmp_path: Path) -> Path:
    for name in ("ann", "bob marley"):
        (tmp_path / name).mkdir()
        for number in (1, 2):
            (tmp_path / name / f"{name}_{number:04}.jpg").touch()
    (tmp_path / "bob marley" / "bob marley_0002.jpg").rename(
        tmp_path / "bob marley" / "bob marley_0002.png"
    )
    return tmp_path


def test_pairs_of_both_kinds_and_folds(album: Path) -> None:
    listed = album / "pairs.txt"
    listed.write_text(
        "2\t1\nann\t1\t2\nann\t1\tbob marley\t2\nbob marley\t1\t2\nbob marley\t1\tann\t1\n"
    )
    pairs = read_pairs(listed, album)
    assert [(pair.same, pair.fold) for pair in pairs] == [
        (True, 0),
        (False, 0),
        (True, 1),
        (False, 1),
    ]
    assert pairs[1].a == album / "ann" / "ann_0001.jpg"
    assert pairs[1].b == album / "bob marley" / "bob marley_0002.png"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "first line"),
        ("many\nann\t1\t2\n", "first line"),
        ("1\nann\t1\t2\n", "1 pairs, where its first line promises 2"),
        ("1\nann\t1\t2\nann\t1\n", "line 3 has 2 fields"),
        ("1\nann\t1\t2\nann\t1\t2\n", "2 genuine pairs in fold 1, where .* promises 1"),
        ("1\nann\t1\t2\nann\t1\tcarl\t1\n", "no such photo"),
    ],
)
def test_bad_lists_are_named(album: Path, content: str, reason: str) -> None:
    listed = album / "pairs.txt"
    listed.write_text(content)
    with pytest.raises(DataError, match=reason):
        read_pairs(listed, album)


def test_a_list_that_is_not_there(album: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.txt: cannot be read"):
        read_pairs(album / "nothing.txt", album)


def test_lfw_has_the_pairs_it_says(lfw: Path) -> None:
    pairs = read_pairs(lfw / "pairs.txt", lfw)
    assert len(pairs) == 6000
    assert sum(pair.same for pair in pairs) == 3000
    assert np.bincount([pair.fold for pair in pairs]).tolist() == [600] * 10
    assert len(read_pairs(lfw / "pairsDevTest.txt", lfw)) == 1000


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


def test_the_people_of_a_list(tmp_path: Path) -> None:
    people = people_in(crowd(tmp_path / "crowd", 2, 2))
    chosen = tmp_path / "people.txt"
    chosen.write_text("2\np003\t1\np000\t3\n\n")
    assert listed(people, chosen) == {name: people[name] for name in ("p000", "p003")}
    for text, reason in (("1\neve\t1\n", "eve: no folder"), ("0\n", "names nobody")):
        chosen.write_text(text)
        with pytest.raises(DataError, match=reason):
            listed(people, chosen)
    chosen.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="not a list of people"):
        listed(people, chosen)
    with pytest.raises(DataError, match="cannot be read"):
        listed(people, tmp_path / "gone.txt")
