"""A rejected face is known again in its photo and in copies of it, and no other face is."""

import numpy as np

from facesearch.core.face import Box
from facesearch.matching.rejection import Rejection, barred

BOX = Box(10, 10, 60, 60)
VECTOR = np.eye(4, dtype=np.float32)[0]
SAID = Rejection(1, "ann", "a" * 64, BOX, VECTOR, "2026-01-01T00:00:00+00:00", near=0.2)


def turned(distance: float) -> np.ndarray:
    """A unit vector at this distance from VECTOR."""
    cosine = 1 - distance**2 / 2
    return np.array([cosine, np.sqrt(1 - cosine**2), 0, 0], np.float32)


def test_the_same_place_of_the_same_photo() -> None:
    assert SAID.bars("a" * 64, Box(12, 12, 62, 62), turned(1.0))
    assert not SAID.bars("a" * 64, Box(100, 10, 150, 60), VECTOR)


def test_a_copy_in_another_photo() -> None:
    assert SAID.bars("b" * 64, Box(0, 0, 9, 9), turned(0.19))
    assert not SAID.bars("b" * 64, BOX, turned(0.21))


def test_embeddings_of_another_model_say_nothing() -> None:
    assert not SAID.bars("b" * 64, BOX, np.ones(3, np.float32))
    nothing = np.empty(0, np.float32)
    unknown = Rejection(2, "bob", "a" * 64, BOX, nothing, SAID.at)
    assert not unknown.bars("b" * 64, BOX, nothing)
    assert unknown.bars("a" * 64, BOX, VECTOR)


def test_whose_a_face_is_not() -> None:
    other = Rejection(2, "bob", "b" * 64, BOX, VECTOR, SAID.at, near=0.2)
    assert barred([SAID, other], "a" * 64, BOX, VECTOR) == {"ann", "bob"}
    assert barred([SAID, other], "a" * 64, BOX, turned(1.0)) == {"ann"}
    assert barred([], "a" * 64, BOX, VECTOR) == set()
