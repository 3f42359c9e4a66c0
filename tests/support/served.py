"""A service of a gallery for as long as a block lasts, and the browser to look at its page."""

import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

PATIENCE = 60  # seconds until something that is expected must be there, on a loaded machine
PROGRAM = (sys.executable, "-c", "from facesearch.cli import main; main()")


def chromium() -> str | None:
    """Debian's browser, if it is on this machine."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def serving(gallery: Path, **environment: str) -> Iterator[str]:
    """A server of a gallery, by its address, which is the first line that it prints."""
    process = subprocess.Popen(
        [*PROGRAM, "--gallery", str(gallery), "serve", "--port", "0"],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    reader = threading.Thread(target=_read, args=(process.stdout, lines))
    reader.start()
    try:
        address = _address(lines)
        _await(address)
        yield address
    finally:
        process.terminate()
        process.wait(PATIENCE)
        reader.join(PATIENCE)
        process.stdout.close()


def _read(output: Any, lines: "queue.Queue[str]") -> None:
    for line in output:
        lines.put(line)
    lines.put("")  # its end


def _address(lines: "queue.Queue[str]") -> str:
    said = ""
    while line := lines.get(timeout=PATIENCE):
        said += line
        if found := re.search(r"http://\S+", line):
            return found[0].rstrip("/")
    raise RuntimeError(said)


def _await(address: str) -> None:
    """Until it answers."""
    late = time.monotonic() + PATIENCE
    while time.monotonic() < late:
        with suppress(OSError), urllib.request.urlopen(f"{address}/readyz", timeout=PATIENCE):
            return
        time.sleep(0.05)
    raise TimeoutError(f"{address}: not ready")
