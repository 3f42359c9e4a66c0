"""What the benchmarks share: the machine, the command for the record, seconds by the clock."""

import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path


def machine() -> str:
    """The processor, its cores and the version of Python, for the head of a table."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def this_command() -> str:
    """The command that runs now, as a reader of the result can type it."""
    spec = sys.modules["__main__"].__spec__
    assert spec is not None, "run it with python -m"
    return shlex.join(["python", "-m", spec.name, *sys.argv[1:]])


def seconds(job: Callable[[], object]) -> float:
    """How long the job took, by the clock."""
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def median_seconds(job: Callable[[], object], runs: int = 1) -> float:
    """The median of the seconds that the job took in several runs."""
    return statistics.median(seconds(job) for _ in range(runs))
