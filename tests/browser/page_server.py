"""A server of its own for the tests of the page, and the pictures that they show to it."""

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
SHOTS = ROOT / "test-output" / "browser"  # kept after the tests
PATIENCE = 60  # seconds until something that is expected must be there, on a loaded machine
PROGRAM = (sys.executable, "-c", "from facesearch.cli import main; main()")


@dataclass(frozen=True)
class Pictures:
    """The demo's: a folder per person to enrol, and photos to ask about."""

    people: Path
    queries: Path

    def of(self, name: str) -> list[str]:
        return sorted(str(path) for path in (self.people / name).iterdir())

    def query(self, name: str) -> str:
        return str(self.queries / name)


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


def told(address: str, path: str) -> Any:
    """What the server itself says."""
    with urllib.request.urlopen(f"{address}{path}", timeout=PATIENCE) as answer:
        return json.load(answer)
