"""What the detector is trained on: boxes and points go where the pixels go."""

import math

import numpy as np
import pytest
from PIL import Image


@pytest.mark.parametrize("degrees", [0, 30, 90, 200])
def test_a_turned_box_holds_the_turned_ellipse(degrees: float) -> None:
    from models.recipes.scenes import turned_boxes

    turn = math.radians(degrees)
    spin = 1.7 * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    matrix = np.column_stack([spin, [5, -3]])
    around = np.linspace(0, 2 * np.pi, 4000)
    ellipse = np.column_stack([40 + 20 * np.cos(around), 50 + 30 * np.sin(around)])
    moved = ellipse @ spin.T + [5, -3]
    (box,) = turned_boxes(np.array([[20.0, 20, 60, 80]]), matrix)
    assert box == pytest.approx([*moved.min(axis=0), *moved.max(axis=0)], abs=1e-3)


@pytest.mark.parametrize("shrink", [1, 2, 5])
def test_pixels_go_where_points_go(shrink: int) -> None:
    from models.recipes.scenes import warped

    picture = np.zeros((300, 400, 3), np.uint8)
    picture[100:120, 240:260] = 255  # its middle is (250, 110), from the first pixel's corner
    turn = math.radians(35)
    spin = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) / shrink
    matrix = np.column_stack([spin, np.array([60, 40]) - spin @ [250, 110]])
    tile, seen = warped(picture, matrix, (80, 120))
    rows, columns = np.nonzero(tile[..., 0] > 100)
    assert (columns + 0.5).mean() == pytest.approx(60, abs=0.4)
    assert (rows + 0.5).mean() == pytest.approx(40, abs=0.4)
    assert len(rows) == pytest.approx((20 / shrink) ** 2, rel=0.25, abs=3)
    assert seen[40, 60]
    far, out = warped(picture, np.column_stack([spin, [900, 900]]), (80, 120))
    assert not far.any()
    assert not out.any()


def test_teachers_that_see_one_face_twice_count_it_once() -> None:
    from models.recipes.teachers import Guess, distinct, overlap

    one = Guess(np.array([0.0, 0, 10, 10]), np.zeros((5, 2)), 0.8)
    same = Guess(np.array([1.0, 0, 11, 10]), np.zeros((5, 2)), 0.9)
    other = Guess(np.array([30.0, 0, 40, 10]), np.zeros((5, 2)), 0.5)
    assert overlap(one.box, np.array([same.box, other.box])) == pytest.approx([9 / 11, 0])
    assert distinct([one, same, other]) == [same, other]


def test_covers_are_drawn_on_the_face_and_nowhere_else() -> None:
    from facesearch.demo.drawn_people import points, portrait
    from models.recipes.scenes import SceneMaker

    picture = portrait(0, 0)
    marks = np.array(points(0, 0))
    box = np.array([80.0, 65, 217, 257])
    maker = SceneMaker([], seed=1)
    for _ in range(20):
        covered = picture.copy()
        maker._cover(covered, box, marks)
        changed = np.any(np.asarray(covered) != np.asarray(picture), axis=2)
        rows, columns = np.nonzero(changed)
        assert len(rows)
        assert rows.min() > 30
        assert columns.min() > 20
        assert columns.max() < 280
    assert isinstance(picture, Image.Image)
