"""The wheel holds all that is needed, and works from another folder."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_holds_the_model_and_no_stray_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name.removeprefix("facesearch/models/default/") for name in names}
    assert {
        "config.json",
        "network.onnx",
        "network-int8.onnx",
        "landmarks.dat",
        "detector.onnx",
        "detector-int8.onnx",
        "calibration.json",
        "card.md",
    } <= inside
    assert "facesearch/models/accurate/network.onnx" in names
    assert "facesearch/models/default/network.safetensors" not in names  # to train on
    assert "facesearch/migrations/versions/0001_people_and_faces.py" in names
    assert not [name for name in names if "/." in name or name.startswith("tests")]


def test_it_works_from_the_wheel_in_another_folder(
    wheel: Path, tmp_path: Path, hopper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", str(site), str(wheel)], check=True)
    monkeypatch.setenv("PYTHONPATH", str(site))

    def run(code: str, *arguments: str) -> str:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    where = run("import facesearch.core.paths as s; print(s.__file__, s.find_model())").split()
    assert [Path(path).is_relative_to(site) for path in where] == [True, True]
    main = "from facesearch.cli import main; main()"
    run(main, "enroll", "--name", "Grace Hopper", str(hopper))
    assert "Grace Hopper" in run(main, "identify", str(hopper), "--csv")
