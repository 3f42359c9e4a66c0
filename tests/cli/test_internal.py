"""A fault of ours is one line without anybody's data; --debug prints the trace, with consent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from facesearch.cli import internal
from facesearch.core.errors import GalleryError
from facesearch.storage.store import Store
from tests.support.terminal import converse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


def run(*arguments: str, code: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    program = f"import facesearch.cli\n{code}\nfacesearch.cli.main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
        timeout=120,
    )


FAULT = """
from facesearch.storage.store import Store
def people(self):
    int(secret)
Store.people = people
secret = "Zaphod Beeblebrox"
"""


def test_a_fault_of_ours_is_one_line_without_values(folder: Path) -> None:
    Store(folder, create=True)
    result = run("people", "list", code=FAULT)
    assert result.returncode == internal.EXIT_CODE
    line = result.stderr.strip()
    assert line.startswith("internal error: ValueError in facesearch.")
    assert line.endswith("; run again with --debug for the trace")
    assert "\n" not in line
    assert "Zaphod" not in line
    refused = run("people", "list", "--debug", code=FAULT)
    assert refused.returncode == 2
    assert "may contain names and paths; set FACESEARCH_DEBUG=yes if they may" in (refused.stderr)
    assert "Zaphod" not in refused.stderr
    shown = run("people", "list", "--debug", code=FAULT, FACESEARCH_DEBUG="yes")
    assert shown.returncode == internal.EXIT_CODE
    assert "Traceback" in shown.stderr
    assert "Zaphod" in shown.stderr


def test_what_libraries_log_and_warn_of_is_not_shown(folder: Path) -> None:
    Store(folder, create=True)
    code = """
import logging, threading, warnings
from facesearch.cli import program
@program.app.command()
def noisy():
    logging.getLogger("PIL").error("Zaphod")
    warnings.warn("Zaphod")
    thread = threading.Thread(target=lambda: int("Zaphod"))
    thread.start()
    thread.join()
"""
    result = run("noisy", code=code)
    assert result.returncode == 0
    assert "Zaphod" not in result.stderr
    assert result.stderr.startswith("internal error: ValueError in ")


def test_debug_asks_on_a_terminal(folder: Path) -> None:
    question = "may contain names and paths. Print them? [y/N]: "
    code, seen = converse({question: "y"}, "--debug", "people", "show", "Zaphod")
    assert code == GalleryError.exit_code  # there is no gallery
    assert "Traceback" in seen
    code, seen = converse({question: "n"}, "--debug", "people", "show", "Zaphod")
    assert code == GalleryError.exit_code
    assert "Traceback" not in seen
