"""The picture of an enrolled face: its chip where one is kept, else cut out of the photo."""

from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import PhotoError
from facesearch.gallery.gallery import Gallery
from facesearch.vision.stored_chips import SIDE
from tests.support.curated import enrol


def test_a_picture_is_cut_out_of_the_photo_or_is_the_chip(tmp_path: Path, hopper: Path) -> None:
    photo = tmp_path / "grace.jpg"
    photo.write_bytes(hopper.read_bytes())
    with Gallery(tmp_path / "plain") as plain, Gallery(tmp_path / "keeping") as keeping:
        enrol(plain, "Grace", photo)
        keeping.enroll("Grace", photo, keep_chips=True)
        cut, kept = plain.picture(1), keeping.picture(1)
        assert cut.shape == kept.shape
        assert cut.shape[0] == cut.shape[1] >= SIDE
        assert np.abs(cut.astype(int) - kept.astype(int)).mean() < 6  # a chip is compressed
        photo.write_bytes(photo.read_bytes() + b"more")
        with pytest.raises(PhotoError, match="face 1: its photo is another one now, and no chip"):
            plain.picture(1)
        assert np.array_equal(keeping.picture(1), kept)
        keeping.remove("Grace")
        for number in (1, 2):
            with pytest.raises(PhotoError, match=f"face {number}: no such face is enrolled"):
                keeping.picture(number)
