"""What commands print: tables, JSON and CSV on stdout, messages and progress on stderr."""

import csv
import io
import json
import re

import pytest

from facesearch.cli import output
from facesearch.cli.output import Lines, say, show, shown_progress
from facesearch.core.progress import Silent

ROWS = [
    {"name": "Zoë", "same": True, "distance": 0.12345, "box": [1, 2, 3, 4], "reason": None},
    {"name": "李", "same": False, "distance": 2.0, "box": None, "reason": "a\x1b[31m"},
]


def test_a_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, ["name", "same", "distance", "reason"], "table")
    assert capsys.readouterr().out.splitlines() == [
        "name  same  distance  reason",
        "Zoë   yes   0.123",
        "李    no    2.000     a\\x1b[31m",
    ]
    show(ROWS, ["name"], "table", skip=lambda row: row["same"])
    assert capsys.readouterr().out == "name\n李\n"
    show([], ["name"], "table")
    assert capsys.readouterr().out == "", "no headings without rows"


def test_json_and_csv_have_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, ["name"], "json", skip=lambda row: True)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS
    show(ROWS, ["name"], "csv")
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert first == {
        "name": "Zoë",
        "same": "True",
        "distance": "0.12345",
        "box": "[1, 2, 3, 4]",
        "reason": "",
    }
    assert second["name"] == "李"


def test_rows_are_printed_as_they_come(capsys: pytest.CaptureFixture[str]) -> None:
    def rows():  # type: ignore[no-untyped-def]
        yield ROWS[0]
        assert json.loads(capsys.readouterr().out) == ROWS[0]
        yield ROWS[1]

    show(rows(), [], "json")
    assert json.loads(capsys.readouterr().out) == ROWS[1]


def test_a_wide_table_is_folded_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {"name": "Ada", "reason": "word " * 40}
    show([row], ["name", "reason"], "table")
    assert len(capsys.readouterr().out.splitlines()) == 2
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    show([row], ["name", "reason"], "table")
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert len(lines) > 3
    assert max(map(len, lines)) <= 60


def test_messages_and_stages_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x07b")
    lines = Lines()
    lines.start("epoch 1", 2)
    lines.advance()
    lines.advance("loss 0.5")
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "a\\x07b\nepoch 1: done (loss 0.5)\n")


def test_progress_is_for_terminals_and_long_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    with shown_progress(False) as short, shown_progress(False, long=True) as long:
        assert (type(short), type(long)) == (Silent, Lines)
    with shown_progress(True, long=True) as quiet:
        assert type(quiet) is Silent
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with shown_progress(False) as bars:
        assert isinstance(bars, output.Bars)
        bars.start("enrolling", 1)
        bars.advance()
