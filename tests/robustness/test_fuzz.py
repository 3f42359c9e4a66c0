"""Whatever the bytes, reading an image ends with pixels or with a PhotoError."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.core.errors import PhotoError
from facesearch.vision import images, photo_files
from robustness.fuzz_images import SOUND, Inputs, fuzz


@pytest.mark.slow
def test_damaged_images_of_every_kind() -> None:
    """A short run of what robustness/fuzz_images.py does a hundred thousand times."""
    outcome = fuzz(seed=1, numbers=range(500))
    assert outcome.findings == []
    assert sum(tally.inputs for tally in outcome.kinds.values()) == 500
    kinds = {f".{kind}" for kind in outcome.kinds}
    same = {".jpeg", ".jpe", ".jfif", ".tif", ".heif"}  # other names of the same kinds
    assert kinds == photo_files.SUFFIXES - same
    for tally in outcome.kinds.values():
        assert tally.read > 0
        assert tally.refused > 0


def test_inputs_are_the_same_every_time() -> None:
    first, second = Inputs(3), Inputs(3)
    assert [first[n] for n in range(200)] == [second[n] for n in range(200)]
    assert first[150] != Inputs(4)[150]
    assert first[0][1] == SOUND


def crash(path: Path, number: int) -> str | None:
    if number == 3:
        os.abort()
    return None


def hang(path: Path, number: int) -> str | None:
    while number == 3:
        pass
    return None


def swell(path: Path, number: int) -> str | None:
    if number == 3:
        np.ones(1 << 30)  # 8 GiB
    return None


@pytest.mark.parametrize(
    ("check", "defect"), [(crash, "the process died"), (hang, "hang"), (swell, "MemoryError")]
)
@pytest.mark.slow
def test_the_fuzzer_finds_what_it_looks_for(check: object, defect: str) -> None:
    """And goes on behind it."""
    outcome = fuzz(0, range(6), check=check, seconds=0.5)  # type: ignore[arg-type]
    assert [(found["input"], found["kind"]) for found in outcome.findings] == [(3, "jpg")]
    assert defect in str(outcome.findings[0]["defect"])
    assert sum(tally.inputs for tally in outcome.kinds.values()) == 6


# What it found, or could have


def test_messages_of_decoders_are_one_line(tmp_path: Path) -> None:
    import pillow_heif

    pillow_heif.register_heif_opener()
    path = tmp_path / "cut.heic"
    Image.new("RGB", (64, 64), "red").save(path, "HEIF")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(PhotoError) as error:
        images.read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers_are_black(tmp_path: Path, odd: float) -> None:
    values = np.full((4, 4), 0.5, np.float32)
    values[1, 2] = odd
    Image.fromarray(values).save(tmp_path / "float.tiff")
    pixels = images.read(tmp_path / "float.tiff")
    assert pixels[1, 2].tolist() == [0, 0, 0]
    assert pixels[0, 0].tolist() == [127, 127, 127]


def test_other_kinds_are_not_even_tried(tmp_path: Path) -> None:
    """PostScript would start another program; nobody's photos are of these kinds."""
    eps, tga = tmp_path / "photo.jpg", tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(eps, "EPS")
    Image.new("RGB", (8, 8)).save(tga, "TGA")
    for path in (eps, tga):
        with pytest.raises(PhotoError, match="not an image that can be read"):
            images.read(path)


def test_too_little_memory_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource", reason="the system has no limits of memory")
    path = tmp_path / "large.png"
    Image.new("1", (14_000, 14_000)).save(path)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + (100 << 20), before[1]))
    try:
        with pytest.raises(PhotoError, match=r"large\.png: there is not enough memory to read it"):
            images.read(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.filterwarnings("ignore")  # Pillow's, of the damage
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_damaged_exif_leaves_the_pixels(tmp_path: Path, suffix: str) -> None:
    """In which the orientation is text, huge, or a list, or which is cut."""
    for number, entry in enumerate(
        (
            struct.pack("<HHI4s", 0x0112, 2, 4, b"six\0"),
            struct.pack("<HHII", 0x0112, 3, 1, 0xFFFF),
            struct.pack("<HHII", 0x0112, 3, 0xFFFFFFFF, 8),
            struct.pack("<HHII", 0x0112, 5, 1, 0),
            b"\x12",
            b"",
        )
    ):
        block = b"II*\0\x08\0\0\0\x01\0" + entry + bytes(4 if entry else 0)
        path = tmp_path / f"{number}.{suffix}"
        Image.new("RGB", (20, 10), "white").save(path, exif=b"Exif\0\0" + block)
        assert images.read(path).shape == (10, 20, 3)
    image = Image.new("RGB", (20, 10), "white")
    image.save(tmp_path / f"none.{suffix}", exif=b"nothing of the kind")
    assert images.read(tmp_path / f"none.{suffix}").shape == (10, 20, 3)
