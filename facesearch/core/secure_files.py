"""Files that nobody but their owner may read."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

FILE, FOLDER = 0o600, 0o700


def make(path: Path) -> None:
    """An empty file, unless there is one. Raises OSError."""
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, FILE))


def opened(path: Path) -> BinaryIO:
    """To write in place of what was there. Raises OSError."""
    tighten(path)
    return os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, FILE), "wb")


def tighten(path: Path) -> None:
    """Take from the group and from others what rights they have to a file.

    One that is missing, or somebody else's, stays as it is.
    """
    with suppress(OSError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            path.chmod(mode & 0o700)
