"""A model gets another calibration, and stays the same model."""

import shutil
from pathlib import Path

import pytest

from facesearch.core.errors import ModelError
from facesearch.core.paths import shipped_models
from facesearch.evaluation.recalibrate import recalibrate
from facesearch.matching.calibration import calibration_of, cohort_of
from facesearch.vision.model import Model
from tests.support.crowd import cohort


def test_a_copy_with_another_calibration(tmp_path: Path) -> None:
    served = Model(shipped_models() / "default")
    before = calibration_of(served)
    first = recalibrate(served, cohort(60, 3, seed=0, name="mine"), tmp_path / "m")
    made = Model(tmp_path / "m")
    assert made.fingerprint == served.fingerprint
    assert calibration_of(made) == first
    assert calibration_of(served) == before
    assert [part.name for part in first.populations] == ["mine"]
    assert "| mine | 60 | 180 |" in (tmp_path / "m" / "card.md").read_text()

    both = recalibrate(made, cohort(40, 3, seed=1, name="more"), tmp_path / "m", add=True)
    assert [part.name for part in both.populations] == ["mine", "more"]
    assert cohort_of(Model(tmp_path / "m")).names == ("mine", "more")
    assert not list((tmp_path / "m").glob("*.new"))


def test_no_other_model_is_overwritten(tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(shipped_models() / "default", other)
    with (other / "network-int8.onnx").open("ab") as file:
        file.write(b"\0")
    kept = (other / "calibration.json").read_bytes()
    with pytest.raises(ModelError, match="another model is here"):
        recalibrate(Model(shipped_models() / "default"), cohort(60, 3, seed=0), other)
    assert (other / "calibration.json").read_bytes() == kept
