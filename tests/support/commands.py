"""Commands as a user types them, in this process or in one of their own."""

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from typer.testing import CliRunner

from facesearch.cli import NAME, load, session
from facesearch.cli.program import app

PHOTO, NOTHING, GALLERY, PERSON, MODEL, CALIBRATION, DATA, EXTRA = 4, 5, 6, 7, 8, 9, 10, 11
PROGRAM = (sys.executable, "-m", "facesearch")


@dataclass
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The rows of --json."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ran]


def command(*arguments: str | Path) -> list[str]:
    """A command line that starts a process."""
    return [*PROGRAM, *map(str, arguments)]


def run(*arguments: str | Path, answer: str = "", **environment: str) -> Ran:
    """Run a command in this process. answer: what the user types."""
    load()
    session.given_keys.cache_clear()
    words = list(map(str, arguments))
    with mock.patch.object(sys, "argv", [NAME, *words]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as the program does
        done = CliRunner().invoke(app, words, input=answer, env=environment, prog_name=NAME)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Ran(done.exit_code, done.stdout, done.stderr)


def run_process(
    *arguments: str | Path,
    answer: str = "",
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
    **environment: str,
) -> Ran:
    """Run a command in a process of its own. prefix: a command that starts it."""
    done = subprocess.run(
        [*prefix, *command(*arguments)],
        input=answer.encode(),
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=300,
        check=False,
    )
    out, err = (each.decode(errors="surrogateescape") for each in (done.stdout, done.stderr))
    return Ran(done.returncode, out, err)


def one_line_error(ran: Ran, code: int, *words: str) -> None:
    """The command ended with this code and one line of error, which says the words."""
    assert ran.code == code, ran
    errors = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, ran.err
    assert "Traceback" not in ran.err
    for word in words:
        assert word in errors[0]
