"""Faults of facesearch itself: one line without personal data, or a stack trace with --debug."""

import os
import sys
import traceback

import typer

from facesearch.cli.output import say
from facesearch.core.errors import FacesearchError
from facesearch.core.internal_errors import line_of

EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h
CONSENT = "FACESEARCH_DEBUG"


class DebugNotAllowed(FacesearchError):
    """--debug without a terminal to ask on and without consent in the environment."""

    exit_code = 2


def allow_debug() -> bool:
    """Ask whether stack traces may be printed, which may contain names and paths.

    Returns the answer. Raises DebugNotAllowed if there is nobody to ask.
    """
    warning = "--debug prints traces of errors, which may contain names and paths"
    if os.environ.get(CONSENT) == "yes":
        return True
    if not sys.stdin.isatty():
        raise DebugNotAllowed(f"{warning}; set {CONSENT}=yes if they may")
    return typer.confirm(f"{warning}. Print them?", err=True)


def print_trace(error: BaseException) -> None:
    """Print the stack trace on stderr."""
    traceback.print_exception(error)


def report(error: BaseException, *, debug: bool) -> None:
    """Print a fault on stderr: its kind and place, and the stack trace with `debug`."""
    if debug:
        print_trace(error)
    say(line_of(error))
