"""Faces are found where they are, and the five points lie on eyes, nose and mouth."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facesearch.core.errors import ModelError
from facesearch.core.face import Box, Face, principal
from facesearch.core.paths import shipped_models
from facesearch.evaluation.lfw import LFW_TEST, people_list
from facesearch.vision.dlib_detector import MAX_SIDE, DlibDetector

# read off the photograph by hand: eye centres, nose tip, mouth corners
HOPPER = np.array([(221, 190), (304, 187), (270, 238), (237, 274), (306, 270)])


@pytest.fixture(scope="module")
def detector() -> DlibDetector:
    return DlibDetector(shipped_models() / "default" / "landmarks.dat")


def test_points_of_a_portrait(detector: DlibDetector, hopper_pixels: NDArray[np.uint8]) -> None:
    (face,) = detector(hopper_pixels)
    apart = np.linalg.norm(np.array(face.points) - HOPPER, axis=1)
    assert apart.max() < 0.12 * face.eye_distance
    x, y = face.box.centre
    assert np.hypot(x - 268, y - 235) < 30


@pytest.mark.parametrize("factor", [0.4, 2.0, 6.0])
def test_size_does_not_matter(
    detector: DlibDetector, hopper_pixels: NDArray[np.uint8], factor: float
) -> None:
    height, width = hopper_pixels.shape[:2]
    size = round(width * factor), round(height * factor)
    image = np.asarray(Image.fromarray(hopper_pixels).resize(size, Image.Resampling.LANCZOS))
    assert factor < 6 or max(size) > MAX_SIDE
    (face,) = detector(image)
    apart = np.linalg.norm(np.array(face.points) / factor - HOPPER, axis=1)
    assert apart.max() < 0.15 * face.eye_distance / factor


def test_a_large_photo_is_searched_small_and_answered_large(
    detector: DlibDetector, hopper: Path
) -> None:
    """Pixel (x, y) of the copy is pixels 2x to 2x + 1 of the photo: its middle is at 2x + 0.5."""
    small = np.asarray(Image.open(hopper).convert("RGB").resize((1000, MAX_SIDE)))
    (face,) = detector(small)
    (twice,) = detector(small.repeat(2, axis=0).repeat(2, axis=1))
    assert np.allclose(np.array(twice.points), np.array(face.points) * 2 + 0.5)
    assert (twice.box.left, twice.box.bottom) == (2 * face.box.left, 2 * face.box.bottom)


@pytest.mark.parametrize("person", range(6))
def test_points_of_drawn_people(detector: DlibDetector, person: int) -> None:
    from facesearch.demo.drawn_people import points, portrait

    for pose in range(2):
        (face,) = detector(np.asarray(portrait(person, pose)))
        apart = np.linalg.norm(np.array(face.points) - points(person, pose), axis=1)
        assert apart.mean() < 0.12 * face.eye_distance


def test_nothing_and_several(detector: DlibDetector, no_face: Path, group_photo: Path) -> None:
    assert detector(np.asarray(Image.open(no_face))) == []
    faces = detector(np.asarray(Image.open(group_photo)))
    assert len(faces) == 3
    assert [face.box.width for face in faces] == sorted(
        (face.box.width for face in faces), reverse=True
    )


def test_tiny_images_are_searched_without_complaint(detector: DlibDetector) -> None:
    for shape in ((1, 1, 3), (2, 500, 3), (500, 1, 3)):
        assert detector(np.zeros(shape, np.uint8)) == []


def test_a_file_that_is_no_predictor(tmp_path: Path) -> None:
    path = tmp_path / "landmarks.dat"
    path.write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"landmarks\.dat: no shape predictor"):
        DlibDetector(path)


def test_the_principal_face_is_large_and_central() -> None:
    def face(left: float, top: float, side: float) -> Face:
        return Face(Box(left, top, left + side, top + side), (), 1.0)

    middle, corner, tiny = face(100, 100, 60), face(0, 0, 80), face(125, 125, 10)
    assert principal([corner, tiny, middle], 260, 260) is middle
    assert principal([face(0, 0, 200), middle], 260, 260) != middle


def test_lfw_faces_are_found(detector: DlibDetector, lfw: Path) -> None:
    names = sorted(people_list(lfw / LFW_TEST))[::85]
    right = 0
    for name in names:
        faces = detector(np.asarray(Image.open(lfw / name / f"{name}_0001.jpg")))
        assert faces
        face = principal(faces, 250, 250)
        eyes = np.array(face.points[:2])
        level = np.abs(eyes[:, 1] - 113).max() < 15  # the funnel puts the eyes about there
        right += bool(level and 30 < face.eye_distance < 60)
    assert len(names) == 21
    assert right >= 20
