"""Whatever a photo is given as, one path stands for it, and its content is read once."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.core.errors import PhotoError, TooManyPixels
from facesearch.core.uploads import Upload
from facesearch.vision import images
from facesearch.vision.photo_input import as_path, expand, several


def test_paths_stay_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    assert as_path(path) is path
    assert as_path(str(path)) == path

    class Named(os.PathLike[str]):
        def __fspath__(self) -> str:
            return str(path)

    assert as_path(Named()) == path


def test_a_file_is_read_once_and_from_its_beginning() -> None:
    reads = 0

    class File(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            nonlocal reads
            reads += 1
            return super().read(size)

    content = io.BytesIO()
    Image.new("RGB", (20, 30), "red").save(content, "PNG")
    file = File(content.getvalue())
    file.seek(0, io.SEEK_END)
    path = as_path(file)
    assert reads == 0
    assert images.read(path).shape == (30, 20, 3)
    assert images.sha256(path) == images.sha256(as_path(content.getvalue()))
    assert images.size(path) == (20, 30)
    assert reads == 1


def test_names_of_photos_without_a_path(tmp_path: Path) -> None:
    file = tmp_path / "portrait.png"
    Image.new("RGB", (4, 4)).save(file)
    pixels = np.zeros((4, 4, 3), np.uint8)
    with file.open("rb") as opened, Image.open(file) as picture:
        names = [str(as_path(photo)) for photo in (opened, picture, b"", pixels)]
    assert names == ["portrait.png", "portrait.png", "photo", "photo"]


def test_pixels_have_a_size_and_a_hash_of_their_own() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    path = as_path(pixels)
    assert images.size(path) == (4, 2)
    assert np.array_equal(images.read(path), pixels)
    same, other = as_path(pixels.copy()), as_path(pixels.reshape(4, 2, 3))
    assert images.sha256(path) == images.sha256(same)
    assert images.sha256(path) != images.sha256(other)
    pixels[:] = 0  # the caller's own, from now on
    assert images.sha256(path) == images.sha256(same)


def test_too_many_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 10)
    for photo in (np.zeros((4, 4, 3), np.uint8), Image.new("RGB", (4, 4))):
        with pytest.raises(TooManyPixels, match="4 x 4 pixels"):
            images.read(as_path(photo))


def test_a_picture_that_cannot_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "cut.jpg"
    Image.effect_noise((200, 200), 50).save(file)
    file.write_bytes(file.read_bytes()[:3000])
    with Image.open(file) as picture, pytest.raises(PhotoError, match=r"^cut\.jpg: damaged image"):
        images.read(as_path(picture))


def test_one_photo_or_several(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    for one in ("a.jpg", Path("a.jpg"), b"bytes", io.BytesIO(), Image.new("L", (1, 1)), pixels):
        assert list(several(one)) == [one]
    assert list(several(["a.jpg", b"bytes"])) == ["a.jpg", b"bytes"]
    assert len(list(several(np.stack([pixels, pixels])))) == 2


def test_folders_are_replaced_by_their_photos(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.png", "text.txt"):
        (tmp_path / name).touch()
    empty = tmp_path / "empty"
    empty.mkdir()
    upload = Upload(tmp_path.name)
    found = list(expand([str(tmp_path), b"bytes", "gone.jpg", empty, upload]))
    assert found == [tmp_path / "a.png", tmp_path / "b.jpg", b"bytes", "gone.jpg", empty, upload]
