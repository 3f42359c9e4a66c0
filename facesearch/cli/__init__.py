"""The command line: parse, call, print. A module for each group of commands."""

import gc
import logging
import signal
import sys
import threading
import warnings
from importlib import import_module

from facesearch.cli import internal
from facesearch.cli.common import (
    INTERRUPTED,
    TERMINATED,
    Interrupted,
    Terminated,
    app,
    globals_first,
    interrupted,
    options,
    terminated,
)

GROUPS = "archive gallery learn models people privacy review search serve".split()
SOON = {"enroll", "identify", "compare"}  # are in `search`, and shall start soon


def main() -> None:
    """The command `facesearch`."""
    signal.signal(signal.SIGTERM, terminated)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it may be ignored
        signal.signal(signal.SIGINT, interrupted)
    _hush()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not every path is UTF-8, not every terminal either
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    gc.set_threshold(50_000)  # what is imported is no rubbish
    first, rest = globals_first(sys.argv[1:])
    try:
        load(rest[0] if rest else "")
        app([*first, *rest])
    except SystemExit:
        if Terminated.came:  # Typer takes it for Ctrl-C
            sys.exit(TERMINATED)
        raise
    except KeyboardInterrupt:  # before there was a command to stop
        sys.exit(TERMINATED if Terminated.came else INTERRUPTED)
    except Exception as error:  # a fault of ours: what it says may be somebody's name
        if Terminated.came or Interrupted.came:  # a library made another error of it
            sys.exit(TERMINATED if Terminated.came else INTERRUPTED)
        internal.report(error, debug=options.debug)
        sys.exit(internal.EXIT_CODE)
    finally:
        gc.freeze()  # the end of the program need not look through what it leaves


def load(command: str = "") -> None:
    """The commands: all, or those that come with this one."""
    for group in ["search"] if command in SOON else GROUPS:
        import_module(f"facesearch.cli.{group}")


def _hush() -> None:
    """What libraries warn of or log may hold names and paths, and is no help to users."""
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    threading.excepthook = lambda args: (
        internal.report(args.exc_value, debug=options.debug) if args.exc_value else None
    )
