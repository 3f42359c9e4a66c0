"""Photos become unit vectors, the same for a face whatever batch, orientation or thread."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.core.errors import PhotoError
from facesearch.vision.alignment import TEMPLATE
from facesearch.vision.embedder import Embedder, in_order
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.model import Model


def embedding(embedder: Embedder, path: Path) -> np.ndarray:
    portrait = embedder.read(path)
    assert len(portrait.faces) == 1
    return embedder.embed(portrait.chips)[0]


def test_unit_vectors(embedder: Embedder, hopper: Path) -> None:
    vector = embedding(embedder, hopper)
    assert vector.shape == (128,)
    assert vector.dtype == np.float32
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_batch_does_not_matter(embedder: Embedder, people: Path) -> None:
    paths = sorted(people.glob("*/pose-*.jpg"))
    chips = np.concatenate([embedder.read(path).chips[:1] for path in paths])
    assert len(chips) == 30
    chips = np.concatenate([chips, chips])  # more than one batch
    together = embedder.embed(chips)
    for at in (0, 7, 45):
        assert np.abs(embedder.embed(chips[at : at + 1])[0] - together[at]).max() < 1e-5
    assert embedder.embed(chips[:0]).shape == (0, 128)


def test_all_orientations_give_one_embedding(
    embedder: Embedder, hopper: Path, tmp_path: Path
) -> None:
    upright = Image.open(hopper).convert("RGB")
    expected = embedding(embedder, hopper)
    undo = [
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_270,
    ]
    for orientation, transpose in enumerate(undo, start=1):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        (upright if transpose is None else upright.transpose(transpose)).save(path, exif=exif)
        assert np.abs(embedding(embedder, path) - expected).max() < 1e-6


def test_a_photo_without_a_face_has_no_chips(embedder: Embedder, no_face: Path) -> None:
    portrait = embedder.read(no_face)
    assert portrait.faces == []
    assert portrait.chips.shape == (0, *embedder.read(no_face).chips.shape[1:])
    assert embedder.read_principal(no_face) is None


def test_faces_carry_embeddings_and_reasons(embedder: Embedder, hopper: Path) -> None:
    portrait = embedder.read(hopper)
    (seen,) = embedder.faces(portrait)
    assert seen.face == portrait.faces[0]
    assert np.array_equal(seen.embedding, embedder.embed(portrait.chips)[0])
    assert 0.97 < seen.flip_consistency <= 1
    assert seen.reason == ""


def test_agreement_is_the_length_of_the_mean(embedder: Embedder, hopper: Path) -> None:
    chips = embedder.read(hopper).chips
    both = np.concatenate([chips, chips[:, :, ::-1]])
    half = chips.shape[2] // 2
    symmetric = np.concatenate([chips[:, :, :half], chips[:, :, half - 1 :: -1]], axis=2)
    vectors, flip_consistencies = embedder.model.embed_with_consistency(
        np.concatenate([both, symmetric])
    )
    assert flip_consistencies[0] == pytest.approx(flip_consistencies[1], abs=1e-5)
    assert np.allclose(vectors[0], vectors[1], atol=1e-5)
    assert flip_consistencies[2] == pytest.approx(1, abs=1e-5)
    assert embedder.model.embed_with_consistency(chips[:0])[1].shape == (0,)


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


def test_in_order_keeps_order_and_errors(tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(50)]

    def work(path: Path) -> str:
        if int(path.name) % 7 == 3:
            raise PhotoError(f"{path}: broken")
        return path.name

    found = list(in_order(work, paths))
    assert [path for path, _ in found] == paths
    for path, result in found:
        if int(path.name) % 7 == 3:
            assert isinstance(result, PhotoError)
        else:
            assert result == path.name


def test_in_order_is_bounded_and_can_be_left(tmp_path: Path) -> None:
    begun: list[str] = []
    gate = threading.Event()

    def work(path: Path) -> str:
        begun.append(path.name)
        return path.name

    endless = (tmp_path / str(number) for number in range(1_000_000))
    results = in_order(work, endless)
    for _ in range(5):
        next(results)
    results.close()
    count = len(begun)
    gate.wait(0.05)
    assert count == len(begun) < 200


def test_other_errors_are_not_swallowed(tmp_path: Path) -> None:
    def work(path: Path) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_order(work, [tmp_path]))


def test_a_model_s_detector_may_be_another(embedder: Embedder) -> None:
    folder = embedder.model.folder
    dlib, network = Model(folder, "dlib"), Model(folder, "network")
    assert dlib.fingerprint != network.fingerprint
    assert embedder.model.fingerprint in (dlib.fingerprint, network.fingerprint)
    assert {dlib.name, network.name} > {"default"}
