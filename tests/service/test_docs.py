"""The examples in docs/operations/service.md, run with curl as they stand there."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from facesearch.cli import load
from facesearch.cli.program import app
from tests.support.serving import running

DOCS = Path(__file__).parents[2] / "docs" / "operations" / "service.md"


def test_the_examples_run(people: Path, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    examples = re.findall(r"```sh\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    shots, out = tmp_path / "photos", tmp_path / "out"
    shots.mkdir()
    out.mkdir()
    for name, person, pose in [
        ("ada-1", 0, 0),
        ("ada-2", 0, 1),
        ("query", 0, 2),
        ("bo-1", 3, 0),
        ("bo-2", 3, 1),
    ]:
        shutil.copy(people / f"person-{person:02}" / f"pose-{pose}.jpg", shots / f"{name}.jpg")
    given = {"PHOTOS": str(shots), "OUT": str(out), "PATH": "/usr/bin:/bin"}
    with running(tmp_path / "gallery") as service:
        said = []
        for example in examples:
            done = subprocess.run(
                ["bash", "-euc", example],
                env={"URL": service.url, **given},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert done.returncode == 0, (example, done.stderr)
            assert '"status":4' not in done.stdout, (example, done.stdout)
            said.append(done.stdout)
    enrolled, identified, compared, listed, shown, chip, changed, changes, undone, job, gone = said
    assert [row["status"] for row in json.loads(enrolled)["results"]] == 2 * ["enrolled"]
    assert json.loads(identified)["faces"][0]["name"] == "Ada"
    assert json.loads(compared)["same"] is True
    assert json.loads(listed)["people"][0]["name"] == "Ada"
    assert len(json.loads(shown)["faces"]) == 2
    assert chip == ""
    with Image.open(out / "face.jpg") as picture:
        assert picture.format == "JPEG"
    assert json.loads(changed)["name"] == "Ada L."
    assert json.loads(changes)["changes"][0]["what"] == "Ada became Ada L."
    assert json.loads(undone)["undone"] == "rename"
    assert job.rstrip().splitlines()[-2] == "event: end"
    assert job.count("event: result") == 2
    told = json.loads(gone)
    assert (told["action"], told["name"], told["faces"]) == ("purge", "Bo", 2)


def test_the_unit_and_the_image_name_what_there_is() -> None:
    deploy = Path(__file__).parents[2] / "deploy"
    wide = {"COLUMNS": "200"}
    load()
    told = CliRunner().invoke(app, ["serve", "--help"], env=wide).output
    for name in ("facesearch.service", "Containerfile"):
        text = (deploy / name).read_text("utf-8")
        options = set(re.findall(r"(?<=[ \"])--(?:host|token-file|certificate|key)\b", text))
        assert options
        assert all(option in told for option in options)
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE)
    for each in " ".join(copied).split():
        assert (deploy.parent / each).exists(), each
