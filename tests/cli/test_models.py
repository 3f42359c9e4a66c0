"""models: list and import."""

from pathlib import Path

import pytest

from tests.support.commands import (
    MODEL,
    Run,
    one_line_error,
)


def test_a_public_network_is_imported_and_calibrated(
    run: Run, people: Path, hopper: Path, query: Path, tmp_path: Path
) -> None:
    pytest.importorskip("onnx", reason="the extra `train` is not installed")
    from tests.training.test_onnx_import import network

    home = {"FACESEARCH_MODELS": str(tmp_path / "home é")}
    file = network(tmp_path / "some net.onnx")
    made = run("models", "import", file, "--name", "small", "--input", "rgb-1-1", **home)
    assert made.code == 0, made
    assert "not calibrated yet" in made.err
    one_line_error(run("compare", hopper, query, "--model", "small", **home), MODEL, "calibrate")
    assert run("calibrate", people, "--model", "small", **home).code == 0
    assert run("compare", hopper, query, "--model", "small", **home).code in (0, 1)
    listed = run("models", "list", "--json", **home).lines
    calibrated = [row["name"] for row in listed if row["calibrated"]]
    assert calibrated == ["accurate", "default", "small"]
    one_line_error(run("models", "import", file, "--name", "small", **home), MODEL, "already")
    one_line_error(run("models", "import", hopper, "--name", "x", **home), MODEL, "no ONNX file")
    assert run("models", "import", file, "--name", "../x", **home).code == 2
    assert run("models", "import", file, "--input", "grey", **home).code == 2
