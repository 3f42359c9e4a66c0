"""Completion in a shell, also of the global options that stand after the command."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from facesearch.cli.program import MODULES
from tests.support.commands import PROGRAM, Run


def complete(run: Run, *words: str) -> list[str]:
    """What bash is offered for the last of the words."""
    typed = ["facesearch", *words]
    ran = run(
        _FACESEARCH_COMPLETE="complete_bash",
        COMP_WORDS="\n".join(typed),
        COMP_CWORD=str(len(typed) - 1),
    )
    assert ran.code == 0, ran
    return ran.out.split()


def test_commands_and_options_are_completed(run: Run) -> None:
    assert complete(run, "") == list(MODULES)
    assert complete(run, "c") == ["compare", "cluster", "calibrate"]
    assert complete(run, "gallery", "re") == ["relink", "reindex", "rekey"]
    assert complete(run, "enroll", "--f") == ["--faces"]
    assert complete(run, "enroll", "--faces", "l") == ["largest"]
    assert "--yes" not in complete(run, "enroll", "--")


def test_global_options_are_completed_anywhere(run: Run) -> None:
    assert complete(run, "--js") == ["--json"]
    assert complete(run, "identify", "--js") == ["--json"]
    assert complete(run, "identify", "--gallery", "here", "--f") == ["--fpir"]
    assert complete(run, "identify", "a.jpg", "--detector", "n") == ["network"]
    assert complete(run, "people", "list", "--gallery", "here", "--q") == ["--quiet"]
    assert complete(run, "--gallery", "here", "peo") == ["people"]


def test_bash_completes(tmp_path: Path) -> None:
    """With the script that --show-completion prints, and the program on the path."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    program = tmp_path / "facesearch"
    program.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    script = """
eval "$(facesearch --show-completion)"
complete -p facesearch
COMP_WORDS=(facesearch peo) COMP_CWORD=1
_facesearch_completion facesearch peo facesearch
echo "${COMPREPLY[@]}"
"""
    done = subprocess.run(
        [bash, "-c", script], env=environment, capture_output=True, text=True, timeout=120
    )
    registered, found = done.stdout.splitlines()
    assert registered.endswith("-F _facesearch_completion facesearch"), done
    assert found == "people"
