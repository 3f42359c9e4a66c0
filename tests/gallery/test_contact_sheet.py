"""A picture of all faces of a person."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import PhotoError
from facesearch.gallery.contact_sheet import contact_sheet
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.vision.embedder import Embedder
from tests.support.curated import opened


def test_a_contact_sheet(tmp_path: Path, embedder: Embedder, people: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(people / "person-02", mine)
    photos = sorted(mine.iterdir())
    with Gallery(tmp_path / "gallery", recognizer=Recognizer.of(embedder)) as gallery:
        gallery.enroll("ann", photos)
        person = gallery["ann"]
    photos[1].unlink()
    photos[2].write_bytes(photos[0].read_bytes())  # another photo in its place
    out = tmp_path / "sheet.png"
    assert contact_sheet(person, out) == photos[1:3]
    sheet = opened(out)
    assert sheet.size == (6 * 160, 186)
    grey = (136, 136, 136)
    middles = [sheet.getpixel((160 * at + 80, 80)) for at in range(5)]
    assert [middle == grey for middle in middles] == [False, True, True, False, False]
    face = person.faces[0]
    there = opened(photos[0]).getpixel(tuple(map(round, face.box.centre)))
    assert np.abs(np.subtract(middles[0], there)).max() < 40
    least = [face.number for face in person.faces].index(person.least_typical or 0)
    assert sheet.getpixel((160 * least, 80)) == (215, 48, 39)
    with pytest.raises(PhotoError, match="would overwrite a photo of ann"):
        contact_sheet(person, photos[0])
    with pytest.raises(PhotoError, match="cannot be written"):
        contact_sheet(person, tmp_path / "nowhere" / "sheet.jpg")
    with pytest.raises(PhotoError, match="cannot be written"):
        contact_sheet(person, tmp_path / "sheet.docx")
