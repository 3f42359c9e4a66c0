"""The gallery is looked for where the documentation says, in that order."""

from pathlib import Path

import pytest

from facesearch.settings import find_gallery, model_home, user_data


def test_galleries_are_found_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_gallery(Path("mine")) == Path("mine")
    assert find_gallery() == tmp_path / "gallery", "FACESEARCH_GALLERY"
    monkeypatch.delenv("FACESEARCH_GALLERY")
    assert find_gallery() == user_data() / "gallery"
    (tmp_path / "index_data").mkdir()
    assert find_gallery() == Path("index_data")


def test_the_model_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert model_home() == tmp_path / "models"
    monkeypatch.delenv("FACESEARCH_MODELS")
    assert model_home() == user_data() / "models"
