"""Folders are searched for photos and for people."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.core.arrays import Pixels
from facesearch.core.errors import DataError, PhotoError
from facesearch.vision import images, photo_files
from facesearch.vision.photo_files import people_in


@pytest.fixture
def scene() -> Pixels:
    """Every corner its own colour: any turn or mirroring shows."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:20, :30] = 250, 20, 20
    picture[:20, 30:] = 20, 250, 20
    picture[20:, :30] = 20, 20, 250
    picture[20:, 30:] = 250, 250, 20
    return picture


def test_folders_are_searched_for_photos(tmp_path: Path, scene: Pixels) -> None:
    inner = tmp_path / "b" / "deep"
    inner.mkdir(parents=True)
    hidden = tmp_path / ".trash"
    hidden.mkdir()
    for path in (inner / "2.PNG", tmp_path / "1.png", hidden / "3.png", tmp_path / ".4.png"):
        Image.fromarray(scene).save(path)
    (tmp_path / "notes.txt").write_text("no photo")
    assert photo_files.expand([tmp_path]) == [tmp_path / "1.png", inner / "2.PNG"]
    missing, void = tmp_path / "missing", tmp_path / "void"
    void.mkdir()
    asked = [tmp_path / "1.png", missing, void, tmp_path]
    assert photo_files.expand(asked) == [tmp_path / "1.png", missing, void, inner / "2.PNG"]
    with pytest.raises(PhotoError, match="missing: no such file"):
        images.read(missing)
    with pytest.raises(PhotoError, match="void: a folder without a photo"):
        images.read(void)


def crowd(root: Path, several: int, single: int) -> Path:
    for number in range(several + single):
        folder = root / f"p{number:03}"
        folder.mkdir(parents=True)
        for photo in range(3 if number < several else 1):
            (folder / f"{photo}.jpg").touch()
    return root


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
