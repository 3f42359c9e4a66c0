"""Ctrl-C and SIGTERM: both end a command in the same orderly way, each with its own exit code."""

import signal
from typing import NoReturn

INTERRUPTED, TERMINATED = 130, 143


class Interrupted(KeyboardInterrupt):
    """Ctrl-C."""

    came = False


class Terminated(KeyboardInterrupt):
    """SIGTERM."""

    came = False


def handle() -> None:
    """Turn both signals into exceptions."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it may be ignored
        signal.signal(signal.SIGINT, _interrupt)


def exit_code() -> int:
    """The exit code of a command that a signal has ended."""
    return TERMINATED if Terminated.came else INTERRUPTED


def came() -> bool:
    """Whether either signal has come."""
    return Terminated.came or Interrupted.came


def _terminate(number: int, frame: object) -> NoReturn:
    Terminated.came = True
    raise Terminated


def _interrupt(number: int, frame: object) -> NoReturn:
    Interrupted.came = True
    raise Interrupted
