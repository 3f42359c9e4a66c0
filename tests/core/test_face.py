"""Boxes and points keep their places when an image changes its size."""

import pytest

from facesearch.core.face import Box, Face, principal


def test_overlap_is_intersection_over_union() -> None:
    box = Box(0, 0, 10, 10)
    assert box.overlap(box) == 1
    assert box.overlap(Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert box.overlap(Box(10, 0, 20, 10)) == 0
    assert Box(3, 3, 3, 3).overlap(Box(3, 3, 3, 3)) == 0
    assert box.centre == (5, 5)


def test_a_face_in_a_larger_image() -> None:
    points = ((0.0, 0.0), (4.0, 0.0), (2.0, 2.0), (1.0, 3.0), (3.0, 3.0))
    face = Face(Box(-1, 0, 5, 6), points, 0.9)
    large = face.scaled(3)
    assert large.box == Box(-3, 0, 15, 18)
    assert large.points[0] == (1.0, 1.0)  # the middle of the first pixel
    assert large.eye_distance == 3 * face.eye_distance == 12
    assert large.box.rounded() == [-3, 0, 15, 18]


def test_the_principal_face_is_large_or_in_the_middle() -> None:
    def square(left: float, top: float, side: float) -> Face:
        return Face(Box(left, top, left + side, top + side), (), 1.0)

    middle, corner, huge = square(45, 45, 10), square(0, 0, 12), square(0, 0, 80)
    assert principal([corner, middle], 100, 100) is middle
    assert principal([corner, middle, huge], 100, 100) is huge


def test_a_box_unpacks_like_a_tuple() -> None:
    left, top, right, bottom = Box(1, 2, 30, 40)
    assert (left, top, right, bottom) == (1, 2, 30, 40)
