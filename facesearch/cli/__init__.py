"""The command line: parse, call, print. A module for each group of commands."""

import sys
import warnings

from facesearch.cli import gallery, learn, models, people, review, search
from facesearch.cli.common import app, globals_first

__all__ = ["gallery", "learn", "main", "models", "people", "review", "search"]


def main() -> None:
    """The command `facesearch`."""
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not every path is UTF-8, not every terminal either
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    app(globals_first(sys.argv[1:]))
