"""Folders of the server are not told."""

import io
from pathlib import Path

from PIL import Image

from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.vision.embedder import Embedder
from tests.support.serving import Running


def test_a_picture_is_told_of_without_folders(
    narrow: Running, people: Path, tmp_path: Path
) -> None:
    """Photos that were enrolled from this machine's folders are told of by their names alone."""
    folder = tmp_path / "private place"
    folder.mkdir()
    shots = [people / "person-04" / f"pose-{pose}.jpg" for pose in (0, 1)]
    for shot in shots:
        (folder / shot.name).write_bytes(shot.read_bytes())
    recognizer = Recognizer.of(Embedder(narrow.service.model))
    with Gallery(narrow.service.gallery.folder, recognizer=recognizer) as gallery:
        assert gallery.enroll("Dee", folder).enrolled
    buffer = io.BytesIO()
    with Image.open(shots[0]) as picture:
        picture.resize((300, 300)).save(buffer, "JPEG", quality=80)
    told = narrow.http.post(
        "/v1/people/Dee/faces", files=[("photos", ("copy.jpg", buffer.getvalue()))]
    )
    for text in (told.text, narrow.http.get("/v1/people/Dee").text):
        assert "private place" not in text
        assert str(tmp_path) not in text
    narrow.ask("DELETE", "/v1/people/Dee", params={"purge": True})
