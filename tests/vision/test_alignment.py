"""Chips are where the template says, whatever the photo's scale, turn and border."""

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.vision.alignment import TEMPLATE, align, similarity


def turned(points: NDArray[np.float64], angle: float, scale: float) -> NDArray[np.float64]:
    sine, cosine = np.sin(angle), np.cos(angle)
    return scale * points @ np.array([[cosine, sine], [-sine, cosine]])


def ramp(side: int) -> NDArray[np.uint8]:
    """Red grows to the right and green downwards: a pixel tells where it comes from."""
    y, x = np.mgrid[:side, :side] * (255 / side)
    return np.stack([x, y, 0 * x], axis=2).astype(np.uint8)


@pytest.mark.parametrize("angle", [0.0, 0.4, 3.0])
@pytest.mark.parametrize("scale", [0.3, 1.0, 7.0])
def test_similarity_undoes_turn_scale_and_shift(angle: float, scale: float) -> None:
    points = turned(np.array(TEMPLATE), angle, scale) + [30, -70]
    matrix = similarity(points, TEMPLATE)
    assert np.allclose(np.column_stack([points, np.ones(5)]) @ matrix.T, TEMPLATE)


def test_similarity_never_mirrors() -> None:
    mirrored = np.array(TEMPLATE) * [-1, 1]
    assert np.linalg.det(similarity(mirrored, TEMPLATE)[:, :2]) > 0


def test_similarity_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(0)
    points = np.array(TEMPLATE) + rng.normal(0, 4, (5, 2))
    matrix = similarity(points, TEMPLATE)

    def cost(m: NDArray[np.float64]) -> float:
        return float(((np.column_stack([points, np.ones(5)]) @ m.T - TEMPLATE) ** 2).sum())

    for _ in range(200):
        a, b, x, y = rng.normal(0, 0.01, 4)
        other = matrix + np.array([[a, -b, x], [b, a, y]])  # stays a similarity
        assert cost(other) >= cost(matrix)


def test_coinciding_points_are_refused() -> None:
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.ones((5, 2)), TEMPLATE)


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.7, 4.0])
def test_a_chip_shows_the_right_place(scale: float) -> None:
    side = 600
    corner = np.array([40.0, 25.0])
    chip = align(ramp(side), np.array(TEMPLATE) * scale + corner)
    where = (np.arange(112) * scale + corner[:, None]) * (255 / side)
    assert np.abs(chip[50, :, 0] - where[0]).max() < 2
    assert np.abs(chip[:, 50, 1] - where[1]).max() < 2


def test_a_turned_photo_gives_the_same_chip(hopper_pixels: NDArray[np.uint8]) -> None:
    points = np.array(TEMPLATE) * 1.5 + [150, 30]
    height = hopper_pixels.shape[0]
    quarter = np.rot90(hopper_pixels, -1).copy()  # clockwise: (x, y) goes to (height - 1 - y, x)
    moved = np.column_stack([height - 1 - points[:, 1], points[:, 0]])
    a, b = align(hopper_pixels, points), align(quarter, moved)
    assert np.abs(a.astype(int) - b.astype(int)).max() <= 2


def test_the_margin_does_not_change_the_chip(hopper_pixels: NDArray[np.uint8]) -> None:
    for scale in (0.6, 1.9, 4.3):
        points = turned(np.array(TEMPLATE), 0.2, scale) + [120, 20]
        plain = align(hopper_pixels, points, 80)
        wide = align(hopper_pixels, points, 80, margin=16)
        assert wide.shape == (112, 112, 3)
        assert np.array_equal(wide[16:-16, 16:-16], plain)


def test_shrinking_is_antialiased() -> None:
    stripes = np.zeros((1200, 1200, 3), np.uint8)
    stripes[:, ::2] = 255
    chip = align(stripes, np.array(TEMPLATE) * 9 + 60)
    assert np.abs(chip.astype(int) - 127).max() < 12


def test_outside_the_photo_its_border_repeats() -> None:
    photo = np.full((50, 50, 3), 200, np.uint8)
    chip = align(photo, np.array(TEMPLATE) - 60)
    assert (chip == 200).all()
