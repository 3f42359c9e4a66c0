"""Help: panels in the order of use, plain text of 80 columns, and `-h` everywhere."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from facesearch.cli import load
from facesearch.cli.program import FLAGS, MODULES, VALUES, app
from tests.support.commands import Run, run_process


def every_command() -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands and groups, each with the words that name it."""
    load()
    waiting: list[tuple[tuple[str, ...], Any]] = [((), typer.main.get_command(app))]
    for words, command in waiting:
        yield words, command
        inner = getattr(command, "commands", {})
        waiting += [((*words, name), each) for name, each in inner.items()]


COMMANDS = dict(every_command())


def test_commands_stand_in_panels_in_the_order_of_use(run: Run) -> None:
    shown = run("--help")
    assert shown.code == 0
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", shown.out, re.MULTILINE)
    assert listed == list(MODULES)
    assert listed[0] == "enroll"
    panels = re.findall(r"^(\S.*):$", shown.out, re.MULTILINE)
    assert panels == [
        "Options",
        "Find people",
        "People",
        "Gallery and service",
        "Models",
        "First steps",
    ]
    gallery = run("gallery", "-h")
    assert re.findall(r"^(\S.*):$", gallery.out, re.MULTILINE) == [
        "Options",
        "State and settings",
        "Care",
        "Archive",
        "Privacy",
    ]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_help_is_plain_and_complete(run: Run, words: tuple[str, ...]) -> None:
    short, long = run(*words, "-h"), run(*words, "--help")
    assert (short.code, short.out) == (0, long.out)
    assert short.out.startswith(f"Usage: {' '.join(('facesearch', *words))} ")
    assert max(map(len, short.out.splitlines())) <= 80
    assert not re.search(r"[╭│╰\x1b]|\.\.\.$|<|{", short.out.replace("PHOTOS...", "PHOTOS")), (
        "no boxes, no colours, nothing cut off, no types of Python"
    )
    for param in COMMANDS[words].params:
        assert getattr(param, "hidden", False) or param.help, f"{words} {param.name}"


def test_the_global_options_are_known_to_who_sorts_them() -> None:
    params = [param for param in COMMANDS[()].params if "completion" not in param.name]
    flags = {opt for param in params if param.is_flag for opt in param.opts}
    values = {opt for param in params if not param.is_flag for opt in param.opts}
    assert (flags, values) == (FLAGS, VALUES)


def test_without_a_command_there_is_help(run: Run) -> None:
    shown = run()
    assert shown.code == 2
    assert "Usage: facesearch" in shown.out + shown.err
    typo = run("enrol")
    assert typo.code == 2
    assert "Did you mean 'enroll'?" in typo.err


def test_python_m_facesearch() -> None:
    ran = run_process("--version")
    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(r"facesearch \d+\.\d+\S*\n", ran.out)
