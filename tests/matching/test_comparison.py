"""Two photos are compared by their largest usable faces."""

from pathlib import Path

import pytest

from facesearch.core.errors import PhotoError
from facesearch.matching.calibration import calibration_of
from facesearch.matching.comparison import compare
from facesearch.vision.embedder import Embedder


def test_the_same_person_and_another(embedder: Embedder, people: Path) -> None:
    known = calibration_of(embedder.model)
    first, again = (people / "person-00" / f"pose-{number}.jpg" for number in (0, 2))
    other = people / "person-03" / "pose-0.jpg"
    same = compare(embedder, known, first, again, 0.45)
    assert (same.answer, same.same, same.reason) == ("match", True, "")
    assert same.distance is not None
    assert 0 < same.distance < 0.45
    assert len(same.faces) == 2
    different = compare(embedder, known, first, other, 0.45, keep=True)
    assert (different.answer, different.same) == ("unknown", False)
    assert different.probability is not None
    assert same.probability is not None
    assert different.probability < same.probability
    assert all(face.kept for face in different.faces)
    certain = compare(embedder, known, first, other, 0.45, prior=0.999)
    assert certain.probability is not None
    assert certain.probability > different.probability


def test_photos_without_and_with_several_faces(
    embedder: Embedder, hopper: Path, no_face: Path, group_photo: Path, tmp_path: Path
) -> None:
    known = calibration_of(embedder.model)
    nothing = compare(embedder, known, hopper, no_face, 0.45)
    assert (nothing.answer, nothing.same, nothing.distance) == ("unusable", None, None)
    assert nothing.reason == f"{no_face}: no face found"
    several = compare(embedder, known, group_photo, hopper, 0.45)
    assert several.reason == f"{group_photo}: the largest of 3 faces was used"
    with pytest.raises(PhotoError, match="no such file"):
        compare(embedder, known, hopper, tmp_path / "gone.jpg", 0.45)
