"""Lists of people and of pairs are read as they are meant, or refused clearly."""

from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import DataError
from facesearch.evaluation.lfw import listed, read_pairs
from facesearch.vision.photo_files import people_in


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


def crowd(root: Path, several: int, single: int) -> Path:
    for number in range(several + single):
        folder = root / f"p{number:03}"
        folder.mkdir(parents=True)
        for photo in range(3 if number < several else 1):
            (folder / f"{photo}.jpg").touch()
    return root


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
        ("1\nann\t1\t2\n", "1 pair, where its first line promises 2"),
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
