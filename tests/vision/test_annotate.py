"""Annotated photos show boxes and labels where the faces are."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.core.errors import PhotoError
from facesearch.core.face import Box
from facesearch.vision.annotate import annotate


def test_boxes_and_labels(tmp_path: Path) -> None:
    photo, out = tmp_path / "a.png", tmp_path / "b.png"
    Image.new("RGB", (300, 200), "black").save(photo)
    faces = [(Box(50, 40, 150, 140), "match", "Zoë 王"), (Box(200, 150, 320, 260), "unknown", "?")]
    annotate(photo, faces, out)
    drawn = np.asarray(Image.open(out).convert("RGB"))
    assert drawn.shape == (200, 300, 3)
    assert drawn[40, 100].tolist() == [0x1A, 0x98, 0x50]
    assert drawn[100, 100].tolist() == [0, 0, 0]
    assert (drawn[141:165, 50:150] == 255).all(axis=2).sum() > 20, "letters under the box"
    assert drawn[150, 250].tolist() == [0xD7, 0x30, 0x27]


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    Image.new("RGB", (30, 20)).save(photo)
    for bad in (tmp_path / "no" / "out.jpg", tmp_path / "out.nonsense"):
        with pytest.raises(PhotoError, match="cannot be written"):
            annotate(photo, [], bad)
