"""Errors of facesearch itself: one line without anybody's data, or the trace for who insists."""

import os
import sys
import traceback
from pathlib import Path

import facesearch
from facesearch.errors import FacesearchError
from facesearch.terminal import say

EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h
CONSENT = "FACESEARCH_DEBUG"


class DebugNotAllowed(FacesearchError):
    """--debug without a terminal to ask on, and without consent in the environment."""

    exit_code = 2


def allow_debug() -> bool:
    """Whether the user wants traces, now that they know what may be in them.

    Raises DebugNotAllowed.
    """
    warning = "--debug prints traces of errors, which may contain names and paths"
    if os.environ.get(CONSENT) == "yes":
        return True
    if not sys.stdin.isatty():
        raise DebugNotAllowed(f"{warning}; if that is all right, set {CONSENT}=yes")
    import typer

    return typer.confirm(f"{warning}. Go on with it?", err=True)


def print_trace(error: BaseException) -> None:
    traceback.print_exception(error)


def line_of(error: BaseException) -> str:
    """The type and the place: a message may hold what the user would not show to others."""
    home = Path(facesearch.__file__).parent
    place = "an unknown place"
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if path.is_relative_to(home):
            module = ".".join([home.name, *path.relative_to(home).with_suffix("").parts])
            place = f"{module}:{frame.lineno}"
    kind = type(error).__name__
    return f"internal error: {kind} in {place}; run again with --debug for the trace"


def report(error: BaseException, *, debug: bool) -> None:
    """On stderr."""
    if debug:
        print_trace(error)
    say(line_of(error))
