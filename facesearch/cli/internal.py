"""Faults of facesearch itself: one line without personal data, or a stack trace with --debug."""

import os
import sys
import traceback

from facesearch.cli.output import say
from facesearch.core.errors import FacesearchError
from facesearch.core.internal_errors import line_of

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


def report(error: BaseException, *, debug: bool) -> None:
    """On stderr."""
    if debug:
        print_trace(error)
    say(line_of(error))
