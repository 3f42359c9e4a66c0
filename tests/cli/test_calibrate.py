"""calibrate: a model with thresholds of one's own."""

import shutil
from pathlib import Path

from tests.support.commands import (
    DATA,
    MODEL,
    Run,
    one_line_error,
)


def test_calibrate(run: Run, people: Path, hopper: Path, no_face: Path, tmp_path: Path) -> None:
    """A shipped model's new calibration goes into the model home, and galleries go on."""
    assert run("enroll", "--name", "Grace", hopper).code == 0
    before = run("compare", hopper, hopper, "--json").lines[0]["threshold"]
    mine = tmp_path / "mine"
    shutil.copytree(people, mine)
    shutil.copy(no_face, mine / "person-00")
    done = run("calibrate", mine, "--json")
    assert done.code == 0, done
    (row,) = done.lines
    assert (row["population"], row["people"], row["smallest_fmr"]) == ("mine", 6, None)
    assert "1 photo without a usable face left out" in done.err
    after = run("compare", hopper, hopper, "--json")
    assert after.lines[0]["threshold"] != before
    assert "too few to know a false match rate" in after.err
    assert run("identify", hopper, "--threshold", "0.5").code == 0
    added = run("calibrate", people, "--add", "--json")
    assert [row["population"] for row in added.lines] == ["mine", people.name]
    whole = run("calibrate", people, "--add", "--model", "default", "--out", tmp_path / "other")
    assert whole.code == 0
    assert (tmp_path / "other" / "network.onnx").exists()
    one_line_error(run("calibrate", no_face.parent), DATA, "no folder of photos")
    one_line_error(run("calibrate", people, "--model", "nowhere"), MODEL, "no such model")


def test_calibrate_on_aligned_chips(run: Run, people: Path, tmp_path: Path) -> None:
    done = run("calibrate", people, "--aligned", "--json")
    assert (done.code, done.lines[0]["faces"]) == (0, 24)  # four of each person at most
