"""The wheel holds all that is needed and nothing twice, and works in another folder."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from facesearch.core.errors import MissingExtra, ModelError
from facesearch.core.extras import MODULES, require
from facesearch.core.paths import shipped_models
from facesearch.vision.model import Model

ROOT = Path(__file__).parent.parent
LARGEST = 40 << 20  # bytes of the wheel
DEFAULT, ACCURATE = "facesearch/models/default/", "facesearch/models/accurate/"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the unpacked wheel."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder)
    return folder


def elsewhere(site: Path) -> Path:
    """A folder to work in."""
    folder = site.parent / "elsewhere"
    folder.mkdir(exist_ok=True)
    return folder


def run(site: Path, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Python with the wheel instead of the checkout, in another folder."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=elsewhere(site),
        env=os.environ | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


def facesearch(site: Path, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return run(site, "-c", "from facesearch.cli import main; main()", *command, code=code)


def test_the_wheel_holds_each_model_once_and_no_stray_files(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.removeprefix(DEFAULT) for name in names if name.startswith(DEFAULT)} >= {
        "config.json",
        "network-int8.onnx",
        "landmarks.dat",
        "detector-int8.onnx",
        "calibration.json",
        "cohort.safetensors",
        "card.md",
    }
    assert f"{ACCURATE}network.onnx" in names
    for left_out in (
        "default/network.onnx",  # in fp32, which `default` does not compute in
        "default/detector.onnx",
        "default/network.safetensors",  # to train on
        "accurate/landmarks.dat",  # those of `default`
        "accurate/detector-int8.onnx",
    ):
        assert f"facesearch/models/{left_out}" not in names
    assert "facesearch/py.typed" in names
    assert "facesearch/storage/migrations/versions/0001_people_and_faces.py" in names
    assert not [name for name in names if "/." in name or name.startswith("tests")]


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < LARGEST


def test_the_wheel_says_its_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        (info,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = packed.read(info).decode()
        licences = {Path(n).name for n in packed.namelist() if "dist-info/licenses/" in n}
    assert "\nLicense-Expression: Apache-2.0\n" in metadata
    assert "\nAuthor: facesearch developers\n" in metadata
    assert licences == {"LICENSE", "NOTICE"}


@pytest.mark.parametrize("model", ["default", "accurate"])
@pytest.mark.slow
def test_both_models_work_from_the_wheel(
    site: Path, model: str, tmp_path: Path, hopper: Path
) -> None:
    where = run(
        site, "-c", "import facesearch.core.paths as s; print(s.__file__, s.find_model())"
    ).stdout.split()
    assert [Path(path).is_relative_to(site) for path in where] == [True, True]
    chosen = ("--gallery", str(tmp_path / "gallery"), "--model", model)
    facesearch(site, *chosen, "enroll", "--name", "Grace Hopper", str(hopper))
    assert "Grace Hopper" in facesearch(site, *chosen, "identify", str(hopper), "--csv").stdout


@pytest.mark.slow
def test_the_tour_runs_from_the_wheel(site: Path) -> None:
    shown = facesearch(site, "demo", "tour").stdout
    assert "$ facesearch identify queries/known.jpg\n" in shown
    assert "match   Ada " in shown
    assert (elsewhere(site) / "tour" / "party-named.jpg").is_file()


@pytest.mark.slow
def test_the_wheel_says_that_it_has_no_fp32_copy(site: Path, hopper: Path) -> None:
    said = facesearch(site, "--precision", "fp32", "compare", str(hopper), str(hopper), code=8)
    assert "holds no fp32 copy (network.onnx is missing)" in said.stderr


def test_accurate_shares_the_files_of_default_even_as_a_copy(tmp_path: Path) -> None:
    shared = [
        shipped_models() / "default" / name for name in ("detector-int8.onnx", "landmarks.dat")
    ]
    shipped = Model(shipped_models() / "accurate")
    assert shipped.detector_files == shared
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.json", "network.onnx"):
        (copy / name).write_bytes((shipped.folder / name).read_bytes())
    assert Model(copy).fingerprint == shipped.fingerprint
    own = copy / "landmarks.dat"
    own.write_bytes(b"of its own")
    assert Model(copy).detector_files == [shared[0], own]
    assert Model(copy).fingerprint != shipped.fingerprint
    config = (copy / "config.json").read_text()
    (copy / "config.json").write_text(config.replace('"default"', '"nobody"'))
    with pytest.raises(ModelError, match=r"incomplete model \(detector-int8\.onnx is missing\)"):
        Model(copy)


def test_every_extra_is_known_by_its_modules() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(MODULES) == set(project["optional-dependencies"]) - {"dev"}


@pytest.mark.parametrize("extra", list(MODULES))
def test_a_missing_extra_names_itself(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES[extra]:
        monkeypatch.setitem(sys.modules, module, None)
    said = rf"^this needs {', '.join(MODULES[extra])}: pip install 'facesearch\[{extra}\]'$"
    with pytest.raises(MissingExtra, match=said) as error:
        require(extra, "this")
    assert error.value.exit_code == 11


# what each extra is for, as a command; run without its libraries
COMMANDS = {
    "serve": ("serve", "--port", "0"),
    "plots": ("evaluate", ".", "--report", "report"),
    "train": ("train", "."),
    "postgres": ("--gallery", "postgresql+psycopg://127.0.0.1/none", "people", "list"),
    "milvus": ("--gallery", "gallery", "enroll", "--name", "Ada", "ada.jpg"),
    "ray": ("--gallery", "gallery", "enroll", "--ray", "local", "--name", "Ada", "ada.jpg"),
}


@pytest.mark.parametrize("extra", list(MODULES))
@pytest.mark.slow
def test_a_command_without_its_extra_ends_with_exit_code_11(
    site: Path, extra: str, hopper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if extra == "milvus":
        monkeypatch.setenv("MILVUS_URI", "http://127.0.0.1:9")
    shutil.copyfile(hopper, elsewhere(site) / "ada.jpg")
    hidden = "; ".join(f"sys.modules[{module!r}] = None" for module in MODULES[extra])
    program = f"import sys; {hidden}; from facesearch.cli import main; main()"
    said = run(site, "-c", program, *COMMANDS[extra], code=11).stderr
    assert f"pip install 'facesearch[{extra}]'" in said
    assert len(said.splitlines()) == 1
