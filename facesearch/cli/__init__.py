"""The command line: parse, call, print. A module for each group of commands."""

import signal
import sys
import warnings

from facesearch.cli import gallery, learn, models, people, search
from facesearch.cli.common import TERMINATED, Terminated, app, globals_first, terminated

__all__ = ["gallery", "learn", "main", "models", "people", "search"]


def main() -> None:
    """The command `facesearch`."""
    signal.signal(signal.SIGTERM, terminated)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not every path is UTF-8, not every terminal either
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    try:
        app(globals_first(sys.argv[1:]))
    except SystemExit:
        if Terminated.came:  # Typer takes it for Ctrl-C
            sys.exit(TERMINATED)
        raise
