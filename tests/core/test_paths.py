"""The gallery is looked for where the documentation says, in that order."""

from pathlib import Path

import pytest

from facesearch.core.errors import ModelError
from facesearch.core.paths import find_gallery, find_model, model_home, shipped_models, user_data


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


def test_models_are_found_by_name_and_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_model() == find_model("default") == shipped_models() / "default"
    (tmp_path / "mine").mkdir()
    assert find_model("mine") == Path("mine"), "a folder here"
    assert find_model("./mine") == Path("mine")
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert find_model("mine") == tmp_path / "models" / "mine", "the model home comes first"
    monkeypatch.setenv("FACESEARCH_MODEL", "./mine")
    assert find_model() == Path("mine")
    with pytest.raises(ModelError, match="nobody: no such model; looked in"):
        find_model("nobody")
