"""Commands on a terminal of their own. Where there is none, importing this skips the tests."""

import os
import select
import subprocess

import pytest

from tests.support.commands import command

fcntl = pytest.importorskip("fcntl", reason="no pseudo-terminals here")
pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
termios = pytest.importorskip("termios", reason="no pseudo-terminals here")


def converse(answers: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run a command on a terminal of its own; `answers` by what it asks, each given once."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(*arguments),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # where passwords are asked for
    ) as process:
        os.close(theirs)
        seen, left = "", dict(answers)
        while True:
            if not select.select([ours], [], [], 60)[0]:
                process.kill()
                pytest.fail(f"it waits for something else: {seen}")
            try:
                part = os.read(ours, 1000)
            except OSError:  # it has ended
                break
            if not part:
                break
            seen += part.decode(errors="replace")
            for question in [question for question in left if question in seen]:
                os.write(ours, left.pop(question).encode() + b"\n")
    os.close(ours)
    assert not left, seen
    return process.returncode, seen
