"""What people see: tables, JSON and CSV on stdout; messages and progress on stderr."""

import csv
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal

from facesearch.core.names import visible
from facesearch.core.progress import Progress, Silent

Form = Literal["table", "json", "csv"]


def say(line: str) -> None:
    """Print a line on stderr. Control characters of names in it are written out."""
    print(visible(line), file=sys.stderr)


def show(
    rows: Iterable[dict[str, Any]],
    columns: Sequence[str],
    form: Form,
    skip: Callable[[dict[str, Any]], bool] = lambda row: False,
) -> None:
    """Print results on stdout: all fields as JSON or CSV, or some columns as a table.

    JSON and CSV are printed row by row, the table at the end. columns: of the table. skip: says
    which rows the table leaves out.
    """
    if form == "json":
        for row in rows:
            print(json.dumps(row), flush=True)
        return
    if form == "csv":
        writer = None
        for row in rows:
            if writer is None:
                writer = csv.DictWriter(sys.stdout, row.keys(), lineterminator="\n")
                writer.writeheader()
            writer.writerow({key: _plain(value) for key, value in row.items()})
        return
    kept = [[_human(row[column]) for column in columns] for row in rows if not skip(row)]
    if kept:
        _print_table([list(columns), *kept])


def _print_table(rows: list[list[str]]) -> None:
    """Print a table whose first row holds the headings. A terminal gets long cells folded."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    if sum(widths) + 2 * len(widths) - 2 <= room and all(map(str.isprintable, chain(*rows))):
        for row in rows:
            pairs = zip(row, widths, strict=True)
            cells = (cell + " " * (width - _width(cell)) for cell, width in pairs)
            print("  ".join(cells).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    terminal = sys.stdout.isatty()
    # nothing is folded in a file or a pipe
    Console(width=None if terminal else 1000, highlight=False).print(table, soft_wrap=not terminal)


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _human(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else visible(str(value))


class Bars:
    """Progress bars on stderr."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        self.bars = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # a file or a pipe gets the results untouched
        )
        self._task: Any = None

    def start(self, stage: str, total: int) -> None:
        if self._task is not None:
            self.bars.remove_task(self._task)
        self._task = self.bars.add_task(stage, total=total, note="")

    def advance(self, note: str = "") -> None:
        self.bars.update(self._task, advance=1, note=note)


class Lines:
    """Progress of a long job without a terminal: a line on stderr for each stage."""

    def __init__(self) -> None:
        self._stage, self._left = "", 0

    def start(self, stage: str, total: int) -> None:
        self._stage, self._left = stage, total

    def advance(self, note: str = "") -> None:
        self._left -= 1
        if not self._left:
            say(f"{self._stage}: done{f' ({note})' if note else ''}")


@contextmanager
def shown_progress(quiet: bool, long: bool = False) -> Iterator[Progress]:
    """Show bars on a terminal; elsewhere nothing, or lines for a long job."""
    if quiet:
        yield Silent()
    elif sys.stderr.isatty():
        bars = Bars()
        with bars.bars:
            yield bars
    else:
        yield Lines() if long else Silent()
