"""Photos read through the network detector: large ones smaller, with the same answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.core.paths import shipped_models
from facesearch.vision.alignment import TEMPLATE
from facesearch.vision.embedder import Embedder
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.model import DETECTOR_FILES, Model

HOW = replace(Model(shipped_models() / "default").preprocessing, detector="network")
FILES = [shipped_models() / "default" / file for file in DETECTOR_FILES["network"]]


@pytest.fixture(scope="module")
def reader() -> FaceReader:
    return FaceReader(HOW, FILES)


def enlarged(photo: Path, to: Path, factor: int) -> Path:
    with Image.open(photo) as image:
        size = image.width * factor, image.height * factor
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(to, quality=97)
    return to


def test_a_large_photo_gives_the_chip_of_the_small_one(
    reader: FaceReader, embedder: Embedder, hopper: Path, tmp_path: Path
) -> None:
    """Its coordinates are those of the whole photo, though it was decoded at half its size."""
    large = enlarged(hopper, tmp_path / "large.jpg", 5)
    small, portrait = reader.read(hopper), reader.read(large)
    with Image.open(large) as image:
        assert (portrait.width, portrait.height) == image.size
    (face,), (expected,) = portrait.faces, small.faces
    apart = np.array(face.points) - np.array(expected.scaled(5).points)
    assert np.linalg.norm(apart, axis=1).max() < 0.08 * face.eye_distance
    first, second = embedder.embed(np.concatenate([small.chips, portrait.chips]))
    assert np.linalg.norm(first - second) < 0.2
    chip = reader.read_principal(large)
    assert chip is not None
    assert (chip == portrait.chips[0]).all()


def test_a_small_face_in_a_large_photo_is_cut_from_all_its_pixels(
    reader: FaceReader, embedder: Embedder, hopper: Path, tmp_path: Path
) -> None:
    canvas = Image.new("RGB", (3000, 2000), (90, 110, 90))
    canvas.paste(Image.open(hopper).convert("RGB").resize((256, 300)), (1500, 900))
    canvas.save(tmp_path / "wide.jpg", quality=97)
    canvas.save(tmp_path / "wide.png")
    chips = [reader.read(tmp_path / name).chips for name in ("wide.jpg", "wide.png")]
    first, second = embedder.embed(np.concatenate(chips))
    assert np.linalg.norm(first - second) < 0.2


def test_small_faces_are_left_out_on_request(hopper: Path) -> None:
    (face,) = FaceReader(HOW, FILES).read(hopper).faces
    assert len(FaceReader(HOW, FILES, min_face=face.box.width - 1).read(hopper).faces) == 1
    assert FaceReader(HOW, FILES, min_face=face.box.width + 1).read(hopper).faces == []


def test_the_detector_is_the_model_s(hopper: Path) -> None:
    dlib = FaceReader(replace(HOW, detector="dlib"), FILES[-1:])
    (ours,), (theirs,) = FaceReader(HOW, FILES).read(hopper).faces, dlib.read(hopper).faces
    assert ours.box != theirs.box
    apart = np.linalg.norm(np.array(ours.points) - np.array(theirs.points), axis=1)
    assert apart.max() < 0.15 * ours.eye_distance


def test_chips_that_are_aligned_already(embedder: Embedder, hopper: Path, tmp_path: Path) -> None:
    """Of the size and template that the field shares, whatever the model's own are."""
    model = embedder.model
    plain = FaceReader(
        replace(model.preprocessing, size=112, template=TEMPLATE), model.detector_files
    )
    chip = plain.read_principal(hopper)
    assert chip is not None
    Image.fromarray(chip).save(tmp_path / "chip.png")
    Image.fromarray(chip).resize((224, 224)).save(tmp_path / "large.png")
    assert np.array_equal(plain.read_aligned(tmp_path / "chip.png"), chip)
    cut = embedder.read_principal(hopper)
    assert cut is not None
    for name in ("chip.png", "large.png"):
        first, second = embedder.embed(np.stack([embedder.read_aligned(tmp_path / name), cut]))
        assert np.linalg.norm(first - second) < 0.25


def test_a_photo_without_a_face_has_no_chips(embedder: Embedder, no_face: Path) -> None:
    portrait = embedder.read(no_face)
    assert portrait.faces == []
    assert portrait.chips.shape == (0, *embedder.read(no_face).chips.shape[1:])
    assert embedder.read_principal(no_face) is None
