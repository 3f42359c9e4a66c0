"""The command line: parse, call, print. A module for each command or group of commands."""

import gc
import logging
import os
import sys
import threading
import warnings
from importlib import import_module

from facesearch.cli import internal, signals
from facesearch.cli.options import options
from facesearch.cli.program import MODULES, app, globals_first

NAME = "facesearch"
COMPLETING = "_FACESEARCH_COMPLETE"  # set by a shell that asks for completions


def main() -> None:
    """The command `facesearch`."""
    signals.handle()
    _hush()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # not every path is UTF-8, nor is every terminal
            utf8 = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
    gc.set_threshold(50_000)  # imported modules are no garbage
    _, rest = globals_first(sys.argv[1:])
    try:
        load(rest[0] if rest and COMPLETING not in os.environ else "")
        app(prog_name=NAME)
    except SystemExit:
        if signals.Terminated.came:  # Typer takes it for Ctrl-C
            sys.exit(signals.TERMINATED)
        raise
    except KeyboardInterrupt:  # before a command had started
        sys.exit(signals.exit_code())
    except Exception as error:  # a fault of ours: its message may contain somebody's name
        if signals.came():  # a library made another error of it
            sys.exit(signals.exit_code())
        internal.report(error, debug=options.debug)
        sys.exit(internal.EXIT_CODE)
    finally:
        gc.freeze()  # the end of the program need not look through what is left


def load(command: str = "") -> None:
    """Import the module of a command; of any other word, or without one, the modules of all."""
    for module in [MODULES[command]] if command in MODULES else dict.fromkeys(MODULES.values()):
        import_module(f"{__name__}.{module}")


def _hush() -> None:
    """Silence the logs and warnings of libraries, which may contain names and paths."""
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    threading.excepthook = lambda args: (
        internal.report(args.exc_value, debug=options.debug) if args.exc_value else None
    )
