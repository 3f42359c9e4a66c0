"""A Milvus Lite that several processes may use."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MilvusServer:
    """One that runs."""

    uri: str
    data: Path  # the folder that it keeps
    pid: int


@contextmanager
def running(data: Path) -> Iterator[MilvusServer]:
    """data: an empty folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "milvus_lite", "server", "--host", "127.0.0.1"]
    command += ["--data-dir", str(data), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        assert b"listening" in server.stdout.readline()
        try:
            yield MilvusServer(f"http://127.0.0.1:{port}", data, server.pid)
        finally:
            server.terminate()
