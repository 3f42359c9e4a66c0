"""Photos become unit vectors, the same for a face whatever batch, orientation or thread."""

import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.core.errors import PhotoError
from facesearch.vision.embedder import Embedder, in_order


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


def test_faces_carry_embeddings_and_reasons(embedder: Embedder, hopper: Path) -> None:
    portrait = embedder.read(hopper)
    (seen,) = embedder.faces(portrait)
    assert seen.face == portrait.faces[0]
    assert np.array_equal(seen.embedding, embedder.embed(portrait.chips)[0])
    assert 0.97 < seen.flip_consistency <= 1
    assert seen.reason == ""


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
