"""Every reason for which a face is not recognised, and that good faces have none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from facesearch.core.face import Box, Face
from facesearch.vision.alignment import TEMPLATE, align
from facesearch.vision.quality import sharpness, skew, unrecognisable, unusable

CHIP = np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)


def face(left: float, top: float, side: float, eyes: float, score: float = 1.0) -> Face:
    """A frontal face in a square box."""
    template = np.array(TEMPLATE)
    points = (template - template.mean(axis=0)) * eyes / (template[1, 0] - template[0, 0])
    points += [left + side / 2, top + side / 2]
    return Face(Box(left, top, left + side, top + side), tuple(map(tuple, points)), score)


def why(found: Face, chip: np.ndarray = CHIP) -> str:  # type: ignore[type-arg]
    return unusable(found, chip, 100, 100, "dlib")


def test_size_and_border() -> None:
    assert why(face(10, 10, 80, 35)) == ""
    assert why(face(10, 10, 20, 8)) == "face too small: 8 pixels between the eyes"
    assert why(face(-50, 10, 80, 35)).startswith("face cut off: 62%")
    assert why(face(-20, 10, 80, 35)) == ""


def test_an_unsure_detector() -> None:
    assert why(face(10, 10, 80, 35, score=0.05)) == (
        "perhaps no face: the detector is unsure (0.05)"
    )


def test_points_that_no_frontal_face_has() -> None:
    good = face(10, 10, 80, 35)
    assert skew(good) == pytest.approx(0, abs=1e-6)
    points = list(good.points)
    points[2] = (points[2][0] + 25, points[2][1])  # a nose beside the face
    turned = replace(good, points=tuple(points))
    assert skew(turned) > 0.25
    assert why(turned).startswith("face turned away")
    assert unusable(turned, CHIP, 100, 100, "network") == ""  # it finds profiles
    upright = {skew(replace(good, points=tuple((-y, x) for x, y in good.points))), skew(good)}
    assert max(upright) == pytest.approx(0, abs=1e-6)  # a turned picture is not a turned head


def test_blur_and_flatness(hopper: Path, embedder) -> None:  # type: ignore[no-untyped-def]
    portrait = embedder.read(hopper)
    picture = Image.open(hopper).convert("RGB")
    points = portrait.faces[0].points
    before = sharpness(portrait.chips[0])[0]
    for radius in (1, 3, 6, 12):
        blurred = np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)))
        chip = align(blurred, points, 80, 0, TEMPLATE)
        now = sharpness(chip)[0]
        assert now < before
        before = now
    good = face(10, 10, 80, 35)
    assert why(good, chip).startswith("face blurred: sharpness 0.0")
    assert why(good, portrait.chips[0]) == ""
    assert why(good, np.full((80, 80, 3), 90, np.uint8)) == "no contrast: 0.0 grey levels"


def test_sharpness_does_not_depend_on_the_size_of_the_chip(hopper_pixels, embedder, hopper) -> None:  # type: ignore[no-untyped-def]
    points = embedder.read(hopper).faces[0].points
    found = [sharpness(align(hopper_pixels, points, size, 0, TEMPLATE))[0] for size in (80, 112)]
    assert found[0] == pytest.approx(found[1], rel=0.25)


def test_a_network_that_is_unsure() -> None:
    assert unrecognisable(0.99, 0.95) == ""
    assert unrecognisable(0.9, 0.95) == "the network is unsure of this face (agreement 0.900)"
