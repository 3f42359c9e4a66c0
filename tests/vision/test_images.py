"""Photos of every kind become the same upright RGB pixels; what is no photo is a clear error."""

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facesearch.core.errors import PhotoError
from facesearch.vision import images, photo_files

Pixels = NDArray[np.uint8]


@pytest.fixture
def scene() -> Pixels:
    """Every corner its own colour: any turn or mirroring shows."""
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:20, :30] = 250, 20, 20
    picture[:20, 30:] = 20, 250, 20
    picture[20:, :30] = 20, 20, 250
    picture[20:, 30:] = 250, 250, 20
    return picture


def close(a: Pixels, b: Pixels, tolerance: int) -> bool:
    return a.shape == b.shape and int(np.abs(a.astype(int) - b.astype(int)).max()) <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, scene: Pixels, orientation: int) -> None:
    upright = Image.fromarray(scene)
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    stored.save(path, exif=exif)
    assert np.array_equal(images.read(path), scene)


def test_modes_become_rgb(tmp_path: Path, scene: Pixels) -> None:
    picture = Image.fromarray(scene)
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    assert close(images.read(tmp_path / "cmyk.jpg")[5:15, 5:25], scene[5:15, 5:25], 8)

    grey = np.asarray(picture.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "grey16.png")
    assert np.array_equal(images.read(tmp_path / "grey16.png"), np.repeat(grey[..., None], 3, 2))
    Image.fromarray(grey.astype(np.float32) / 255).save(tmp_path / "float.tiff")
    assert close(images.read(tmp_path / "float.tiff"), np.repeat(grey[..., None], 3, 2), 1)
    Image.fromarray(grey > 100).save(tmp_path / "bits.png")
    assert set(np.unique(images.read(tmp_path / "bits.png"))) <= {0, 255}

    palette = picture.convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "palette.png", transparency=palette.getpixel((0, 0)))
    seen = images.read(tmp_path / "palette.png")
    assert (seen[:20, :30] == 255).all(), "the transparent corner is laid over white"
    assert close(seen[20:], scene[20:], 4)

    clear = picture.convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "clear.png")
    assert (images.read(tmp_path / "clear.png") == 255).all()


def test_animation_gives_its_first_frame(tmp_path: Path, scene: Pixels) -> None:
    frames = [Image.fromarray(scene), Image.fromarray(255 - scene)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert close(images.read(tmp_path / "moving.gif"), scene, 8)


@pytest.mark.parametrize(("suffix", "codec"), [("heic", "HEIF"), ("avif", "AVIF")])
def test_phone_formats(tmp_path: Path, scene: Pixels, suffix: str, codec: str) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    path = tmp_path / f"phone.{suffix}"
    Image.fromarray(scene).save(path, format=codec, quality=95)
    assert close(images.read(path)[4:16, 4:26], scene[4:16, 4:26], 12)


def test_bad_files_are_named_errors(tmp_path: Path, hopper: Path) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("dear diary")
    empty = tmp_path / "empty.jpg"
    empty.touch()
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(hopper.read_bytes()[:20_000])
    for path in (text, empty, cut, tmp_path / "missing.jpg", tmp_path):
        with pytest.raises(PhotoError) as error:
            images.read(path)
        assert str(error.value).startswith(f"{path}: ")
        assert "\n" not in str(error.value)


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + size + chunk(b"IDAT", zlib.compress(b"little"))


def test_huge_pictures_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    header = tmp_path / "header.jpg"
    header.write_bytes(png_header(2_000_000_000, 2_000_000_000))
    with pytest.raises(PhotoError, match="2000000000 x 2000000000 pixels, more than"):
        images.read(header)
    bomb = tmp_path / "bomb.png"
    Image.new("1", (30_000, 30_000)).save(bomb)  # real: 900 million pixels in a small file
    with pytest.raises(PhotoError, match="30000 x 30000 pixels"):
        images.read(bomb)


def test_paths_need_not_be_utf8(tmp_path: Path, scene: Pixels) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png"))
    Image.fromarray(scene).save(path)
    assert np.array_equal(images.read(path), scene)
    assert photo_files.photos_in(tmp_path) == [path]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoError, match=r"pipe\.jpg: not a file"):
        images.read(tmp_path / "pipe.jpg")


def test_paths_that_the_system_refuses(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 300 + ".jpg")
    assert photo_files.expand([long]) == [long]
    with pytest.raises(PhotoError, match="cannot be read"):
        images.read(long)


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpegs_are_shrunk_while_they_are_decoded(tmp_path: Path, orientation: int) -> None:
    """Blocks of 64 x 64 pixels of one colour each, so that shrinking is easily checked."""
    blocks = np.random.default_rng(0).integers(0, 256, (50, 34, 1), dtype=np.uint8)
    whole = Image.fromarray(blocks.repeat(64, axis=0).repeat(64, axis=1).repeat(3, axis=2))
    exif = Image.Exif()
    exif[0x0112] = orientation
    whole.save(tmp_path / "large.jpg", quality=95, exif=exif)
    whole.save(tmp_path / "large.png", exif=exif)
    expected = (2176, 3200) if orientation == 1 else (3200, 2176)
    for least, factor in ((None, 1), (1601, 1), (1600, 2), (500, 4), (30, 8)):
        photo = images.read_reduced(tmp_path / "large.jpg", least)
        assert photo.factor == factor
        assert (photo.width, photo.height) == expected
        assert photo.pixels.shape == (expected[1] // factor, expected[0] // factor, 3)
    same = images.read_reduced(tmp_path / "large.png", 30)
    assert same.factor == 1
    assert (same.width, same.height) == expected
    assert close(photo.pixels, same.pixels[4::8, 4::8], 12)


def test_a_path_that_no_file_can_have() -> None:
    """As a damaged row may hold it."""
    with pytest.raises(PhotoError, match=r"a\\x00b: no such file"):
        images.sha256(Path("a\0b"))
