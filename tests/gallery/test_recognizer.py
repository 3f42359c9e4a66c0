"""One recogniser for the same choices; it follows its model's files."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import ModelError
from facesearch.core.paths import CALIBRATION, shipped_models
from facesearch.gallery.recognizer import Recognizer, recognizer
from facesearch.vision.embedder import Embedder


def test_the_same_choices_give_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    default = shipped_models() / "default"
    assert recognizer() is recognizer("default")
    assert recognizer() is recognizer(default)
    assert recognizer() is not recognizer(detail=320)
    monkeypatch.setenv("FACESEARCH_MODEL", "accurate")
    assert recognizer().folder.name == "accurate"


def test_nothing_is_loaded_before_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    found = recognizer(tmp_path / "model")
    with pytest.raises(ModelError, match="no model"):
        _ = found.model
    with pytest.raises(ModelError, match="no such model"):
        recognizer("nothing")


def test_a_new_calibration_is_read(tmp_path: Path) -> None:
    folder = shutil.copytree(shipped_models() / "default", tmp_path / "model")
    found = Recognizer(folder)
    first = found.calibration
    assert found.calibration is first
    file = folder / CALIBRATION
    fields = json.loads(file.read_text())
    file.write_text(json.dumps(fields | {"f1_threshold": 0.123456}))
    assert found.calibration.f1_threshold == 0.123456
    file.unlink()
    assert found.calibrated is None
    with pytest.raises(ModelError, match="missing"):
        _ = found.calibration


def test_an_embedder_that_exists_is_used(embedder: Embedder, hopper: Path, collins: Path) -> None:
    found = Recognizer.of(embedder)
    assert found.embedder is embedder
    assert found.model is embedder.model
    (face,) = found.detect(hopper)
    assert np.array_equal(face.embedding, embedder.embed_photo(hopper).faces[0].embedding)
    result = found.compare(hopper, str(collins))
    assert (result.a, result.b, result.same, result.warning) == (hopper, str(collins), False, "")
    assert found.compare_threshold(threshold=0.25).distance == 0.25
