"""Photos that are copies of one picture are known, and other photos of a person are none."""

import itertools
from pathlib import Path

import pytest
from PIL import Image

from facesearch.vision.embedder import Embedder
from facesearch.vision.near_duplicates import compared, copies, sketch
from tests.support.pictures import changed


@pytest.mark.parametrize("how", ["again", "worse", "smaller", "cropped", "webp", "png"])
@pytest.mark.parametrize("who", ["grace_hopper", "collins"])
def test_copies_are_known(
    embedder: Embedder, portraits: dict[str, Image.Image], who: str, how: str, tmp_path: Path
) -> None:
    first = changed(portraits[who], "first", tmp_path / "first")
    other = changed(portraits[who], how, tmp_path / "other")
    a, b = (sketch(path, embedder.read(path).faces[0]) for path in (first, other))
    assert copies(a, b)
    assert copies(b, a)


def test_other_photos_are_no_copies(embedder: Embedder, people: Path, lfw: Path) -> None:
    folders = [*sorted(people.iterdir()), lfw / "Colin_Powell"]
    for folder in folders:
        photos = sorted(folder.iterdir())[:5]
        found = [sketch(path, embedder.read(path).faces[0]) for path in photos]
        for a, b in itertools.combinations(found, 2):
            assert not copies(a, b), (folder.name, compared(a, b))
