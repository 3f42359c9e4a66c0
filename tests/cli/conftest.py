"""What the tests of commands share."""

from pathlib import Path

import pytest
from PIL import Image, ImageEnhance

from tests.support import commands
from tests.support.commands import Run


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in this process, in another folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return commands.run


@pytest.fixture
def query(hopper: Path, tmp_path: Path) -> Path:
    """Another file of the same portrait."""
    path = tmp_path / "query.jpg"
    ImageEnhance.Brightness(Image.open(hopper).convert("RGB")).enhance(0.85).save(path, quality=95)
    return path


@pytest.fixture
def two_people(people: Path, tmp_path: Path) -> Path:
    """A folder for Zoë and one for bob, with three photos each."""
    for name, person in (("Zoë", "person-00"), ("bob", "person-03")):
        (tmp_path / "tree" / name).mkdir(parents=True)
        for pose in (0, 1, 4):
            photo = people / person / f"pose-{pose}.jpg"
            (tmp_path / "tree" / name / photo.name).write_bytes(photo.read_bytes())
    return tmp_path / "tree"
