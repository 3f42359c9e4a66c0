"""The examples of README and the guide run as they stand, on the pictures of `facesearch demo`."""

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from facesearch import cli
from facesearch.cli.program import app
from facesearch.demo import pictures

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = "$ facesearch "
NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True)
class Page:
    """A page with its fenced blocks, each with its kind: python or console."""

    name: str
    blocks: list[tuple[str, str]]


def pages() -> list[Page]:
    found = [Page(path.name, FENCE.findall(path.read_text("utf-8"))) for path in PAGES]
    return [page for page in found if page.blocks]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    pictures.make(folder)
    return folder


@pytest.fixture
def tour(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the examples run in; everybody is enrolled, as after the five minutes."""
    folder = tmp_path / "tour"
    shutil.copytree(drawn, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FACESEARCH_GALLERY", "gallery")
    return folder


def run(line: str) -> tuple[int, str]:
    """The exit code and the output of a command of an example."""
    cli.load()
    result = CliRunner().invoke(app, shlex.split(line.removeprefix(COMMAND)))
    return result.exit_code, result.output


def words(text: str) -> list[str]:
    """What must be the same on every machine: numbers may differ in their last digits."""
    return NUMBER.sub("N", text).split()


def test_the_pages_that_should_have_examples_have_some() -> None:
    names = {page.name for page in pages()}
    assert {"README.md", "python.md", "asking.md", "enrolling.md", "five-minutes.md"} <= names


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_examples_run(page: Page, tour: Path) -> None:
    if page.name not in ("README.md", "python.md", "five-minutes.md"):
        assert run("$ facesearch --quiet enroll --tree people")[0] == 0
    for kind, text in page.blocks:
        if kind == "python":
            exec(compile(text, page.name, "exec"), {"__name__": "__main__"})
            continue
        for block in text.strip().split("\n$ "):
            line, _, shown = block.removeprefix("$ ").partition("\n")
            code, output = run(f"$ {line}")
            assert code in (0, 1), (line, output)
            if shown:
                assert words(output) == words(shown), line
