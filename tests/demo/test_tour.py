"""The folder of the tour: made, used again, never taken from others."""

from pathlib import Path

import pytest

from facesearch.core.errors import FacesearchError
from facesearch.demo.tour import MADE, MARK, prepare


def test_a_folder_is_made_and_emptied_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "tour"
    prepare(folder)
    (folder / "people" / "Ada").mkdir(parents=True)
    (folder / "people" / "Ada" / "0.jpg").write_text("old")
    (folder / MADE[-1]).write_text("old")
    prepare(folder)
    assert [path.name for path in folder.iterdir()] == [MARK]


def test_a_link_goes_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    folder, photos = tmp_path / "tour", tmp_path / "photos"
    prepare(folder)
    photos.mkdir()
    (photos / "mine.jpg").write_text("mine")
    (folder / "people").symlink_to(photos)
    prepare(folder)
    assert (photos / "mine.jpg").read_text() == "mine"
    assert not (folder / "people").is_symlink()


@pytest.mark.parametrize("marked", [False, True])
def test_foreign_files_are_refused(tmp_path: Path, marked: bool) -> None:
    if marked:
        prepare(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FacesearchError, match="holds other files"):
        prepare(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
