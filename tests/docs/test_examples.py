"""The examples of the guide run as they stand, on the pictures of `facesearch demo`."""

import os
import re
import shutil
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A fenced block of a page."""

    page: str
    number: int  # in its page, from 1
    kind: str  # python or console
    text: str


def examples() -> list[Example]:
    return [
        Example(str(page.relative_to(ROOT)), number, kind, text)
        for page in PAGES
        for number, (kind, text) in enumerate(FENCE.findall(page.read_text("utf-8")), 1)
    ]


def test_there_are_examples_on_the_pages_that_should_have_some() -> None:
    assert {"README.md", "docs/guide/python.md", "docs/guide/asking.md"} <= {
        example.page for example in examples()
    }
