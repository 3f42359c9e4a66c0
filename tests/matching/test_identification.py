"""The answers for the faces of a photo: one name once, and what was rejected stays rejected."""

from pathlib import Path

import numpy as np

from facesearch.core.embedded import EmbeddedFace
from facesearch.core.face import Box, Face
from facesearch.matching.decision import Candidate
from facesearch.matching.identification import answered

PHOTO = Path("party.jpg")
VECTOR = np.zeros(128, np.float32)


def face(reason: str = "") -> EmbeddedFace:
    return EmbeddedFace(Face(Box(0, 0, 50, 50), (), 1.0), VECTOR, 1.0, reason)


def near(name: str, distance: float) -> Candidate:
    return Candidate(name, distance, Path(f"{name}.jpg"), 8 - 10 * distance)


def test_a_photo_without_a_face_has_one_answer() -> None:
    (only,) = answered(PHOTO, [], [], [], 0.8, 2, 0.5, 5)
    assert (only.answer, only.face, only.box) == ("unusable", None, None)
    assert only.reason == "no face found"


def test_a_face_that_cannot_be_recognised_says_why() -> None:
    candidates = [near("ann", 0.2), near("bob", 0.9)]
    (only,) = answered(PHOTO, [face("face blurred")], [candidates], [set()], 0.8, 2, 0.5, 1)
    assert (only.answer, only.name, only.reason) == ("unusable", None, "face blurred")
    assert only.candidates == candidates[:1]


def test_the_nearest_face_keeps_the_name() -> None:
    faces = [[near("ann", 0.4)], [near("ann", 0.2)], [near("bob", 0.3)]]
    found = answered(PHOTO, [face()] * 3, faces, [set()] * 3, 0.8, 2, 0.5, 5)
    assert [(one.answer, one.name) for one in found] == [
        ("unknown", None),
        ("match", "ann"),
        ("match", "bob"),
    ]
    assert found[0].reason == "ann is already face 1 of this photo, which is nearer"
    assert [one.face for one in found] == [0, 1, 2]


def test_a_rejected_person_is_no_candidate() -> None:
    people = [near("ann", 0.2), near("bob", 0.3)]
    (found,) = answered(PHOTO, [face()], [people], [{"ann"}], 0.8, 2, 0.5, 5)
    assert (found.answer, found.name) == ("match", "bob")
    assert found.reason == "not ann at 0.200: this face was rejected as theirs"
    assert found.candidates == people[1:]
    (alone,) = answered(PHOTO, [face()], [people[:1]], [{"ann"}], 0.8, 1, 0.5, 5)
    assert (alone.answer, alone.candidates) == ("unknown", [])
    assert alone.reason.endswith("; nobody else is enrolled")
    (beside,) = answered(PHOTO, [face()], [people], [{"bob"}], 0.8, 2, 0.5, 5)
    assert (beside.name, beside.reason) == ("ann", "")
