"""The reference of all commands, made from the program's own help.

    python -m scripts.command_reference docs/reference/commands.md

`tests/docs/test_reference.py` fails when the page is not what the program says.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import typer.main

from facesearch import cli
from facesearch.cli.program import parameters

HEAD = """# Commands

This page is made from the program's help (`python -m scripts.command_reference OUT`).
The global options may stand before or after the command.
"""


def page() -> str:
    cli.load()
    program = typer.main.get_command(cli.app)
    parts = [HEAD, "## Global options\n", table(program)]
    parts += [section(words, command) for words, command in commands(program, [])]
    return "\n".join(parts).rstrip() + "\n"


def commands(group: Any, before: list[str]) -> Iterator[tuple[list[str], click.Command]]:
    """Every command below a group, in the order of its help, with the words that call it."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if command is None or command.hidden:
            continue
        if hasattr(command, "list_commands"):
            yield from commands(command, [*before, name])
        else:
            yield [*before, name], command


def section(words: list[str], command: click.Command) -> str:
    usage = " ".join(["facesearch", *words, *command.collect_usage_pieces(click.Context(command))])
    text = (command.help or "").strip()
    return f"## {' '.join(words)}\n\n    {usage}\n\n{text}\n\n{table(command)}"


def table(command: click.Command) -> str:
    """The arguments and options that the help shows, but --help itself."""
    arguments, options = parameters(command, click.Context(command))
    records = [*arguments, *(row for row in options if "--help" not in row[0])]
    if not records:
        return ""
    lines = ["| option | meaning |", "|---|---|"]
    lines += [f"| `{cell(names)}` | {cell(meaning)} |" for names, meaning in records]
    return "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """A text that may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
