"""How quick a service is, whether its memory stays flat, and what becomes of attacks.

    python -m benchmarks.service          # 1, 8 and 32 clients, 400 requests each
    python -m benchmarks.service --soak 20000 --out service.json

A real `facesearch serve` on loopback, with drawn people enrolled; each request identifies a photo
of one of them. Prints the machine, the sizes and tables. The clients share the machine with it.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np

from benchmarks.measuring import machine
from facesearch.demo.drawn_people import portrait

PEOPLE, PHOTOS = 20, 3
CLIENTS = (1, 8, 32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=400, help="for each number of clients")
    parser.add_argument("--soak", type=int, default=0, help="requests while memory is watched")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--model", default="default")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    found: dict[str, Any] = {
        "machine": machine(),
        "people": PEOPLE,
        "photos": PEOPLE * PHOTOS,
        "workers": asked.workers,
        "model": asked.model,
    }
    print(found["machine"])
    with TemporaryDirectory() as place:
        folder = Path(place)
        queries = enrolled(folder, asked.model)
        arguments = ["--workers", str(asked.workers), "--model", asked.model]
        with served(folder, arguments) as (url, process):
            load(url, queries, 1, 20)  # everything is loaded
            found["load"] = [load(url, queries, clients, asked.requests) for clients in CLIENTS]
            table(found["load"])
            if asked.soak:
                found["soak"] = soak(url, queries, asked.soak, process.pid)
                table([found["soak"]])
        with served(folder, [*arguments, "--token-file", tokens(folder)]) as (url, process):
            found["attacks"] = attacks(url, process.pid)
            table(found["attacks"])
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def enrolled(folder: Path, model: str) -> list[bytes]:
    """A gallery of drawn people in `folder`; returns photos to search with."""
    queries = []
    for person in range(PEOPLE):
        home = folder / "people" / f"person-{person:02}"
        home.mkdir(parents=True)
        for pose in range(PHOTOS):
            portrait(person, pose).save(home / f"{pose}.jpg", quality=95)
        query = folder / "query.jpg"
        portrait(person, PHOTOS).save(query, quality=95)
        queries.append(query.read_bytes())
    command = ["enroll", "--tree", str(folder / "people"), "--include-doubtful"]
    command += ["--quiet", "--model", model]
    run = [*facesearch(), *command, "--gallery", str(folder / "gallery")]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return queries


def tokens(folder: Path) -> str:
    path = folder / "tokens"
    path.touch(mode=0o600)
    path.write_text("search 0123456789abcdef0123\n")
    return str(path)


def facesearch() -> list[str]:
    return [sys.executable, "-c", "from facesearch.cli import main; main()"]


@contextmanager
def served(folder: Path, arguments: list[str]) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """The address of a service, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*facesearch(), "serve", "--gallery", str(folder / "gallery"), "--port", str(port)]
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        while not alive(url):
            if process.poll() is not None:
                sys.exit(f"the service ended with {process.returncode}")
            time.sleep(0.1)
        yield url, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def alive(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def load(url: str, queries: list[bytes], clients: int, requests: int) -> dict[str, Any]:
    """The figures of so many requests by clients who each wait for an answer before the next."""
    took: list[float] = []
    statuses: Counter[int] = Counter()
    numbers = iter(range(requests))
    turn = threading.Lock()

    def ask() -> None:
        with httpx.Client(base_url=url, timeout=120) as http:
            while True:
                with turn:
                    number = next(numbers, None)
                if number is None:
                    return
                sent = {"photo": ("query.jpg", queries[number % len(queries)])}
                began = time.perf_counter()
                answer = http.post("/v1/identify", files=sent)
                passed = time.perf_counter() - began
                with turn:
                    took.append(passed)
                    statuses[answer.status_code] += 1

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = time.perf_counter() - began
    middle, most, nearly_all = np.percentile(took, (50, 95, 99)) * 1000
    return {
        "clients": clients,
        "requests": requests,
        "a second": round(requests / whole, 1),
        "p50 ms": round(float(middle), 1),
        "p95 ms": round(float(most), 1),
        "p99 ms": round(float(nearly_all), 1),
        "not answered with 200": requests - statuses[200],
    }


def soak(url: str, queries: list[bytes], requests: int, pid: int) -> dict[str, Any]:
    """Memory at the start, in the middle and at the end; the start is after 500 requests."""
    load(url, queries, 8, min(500, requests))
    memory = [resident(pid)]
    done = [load(url, queries, 8, requests // 2)]
    memory.append(resident(pid))
    done.append(load(url, queries, 8, requests - requests // 2))
    memory.append(resident(pid))
    start, middle, end = (round(each / 2**20, 1) for each in memory)
    return {
        "requests": requests,
        "MiB at the start": start,
        "in the middle": middle,
        "at the end": end,
        "not answered with 200": sum(part["not answered with 200"] for part in done),
        "p99 ms": max(part["p99 ms"] for part in done),
    }


def resident(pid: int) -> int:
    """Bytes of a process and its children."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pages + sum(resident(int(child)) for child in children)


def attacks(url: str, pid: int) -> list[dict[str, Any]]:
    """The outcome of each attack, while a client keeps asking whether the service lives."""
    rows = []
    for name, count, attack in (
        ("no token", 200, lambda: status(httpx.get(f"{url}/v1/people"))),
        ("guessed token", 200, lambda: status(httpx.get(f"{url}/v1/people", headers=guess()))),
        ("other host name", 200, lambda: status(httpx.get(url, headers={"Host": "evil.example"}))),
        ("other origin", 200, lambda: status(httpx.post(f"{url}/v1/session", headers=EVIL))),
        ("path out of the page", 200, lambda: raw(url, b"GET /../../etc/passwd HTTP/1.1")),
        ("90 MB announced, no token", 50, lambda: raw(url, POST, b"Content-Length: 90000000")),
        ("head never ends", 50, lambda: half(url, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")),
        ("nothing is sent", 50, lambda: half(url, b"")),
        ("no HTTP", 200, lambda: raw(url, b"\x16\x03\x01\x02\x00\x01")),
    ):
        rows.append(attacked(name, count, attack, url, pid))
    return rows


EVIL = {"Origin": "http://evil.example"}
POST = b"POST /v1/identify HTTP/1.1"


def attacked(
    name: str, count: int, attack: Callable[[], str], url: str, pid: int
) -> dict[str, Any]:
    """`count` attacks at once, as far as threads go."""
    ends: Counter[str] = Counter()
    before = resident(pid)
    threads = [threading.Thread(target=lambda: ends.update([attack()])) for _ in range(count)]
    for thread in threads:
        thread.start()
    slowest = 0.0
    while any(thread.is_alive() for thread in threads):
        began = time.perf_counter()
        assert httpx.get(f"{url}/healthz", timeout=30).status_code == 200
        slowest = max(slowest, time.perf_counter() - began)
        time.sleep(0.02)
    return {
        "attack": name,
        "times": count,
        "ends": ", ".join(f"{end} ({times})" for end, times in ends.most_common()),
        "slowest answer to others, ms": round(1000 * slowest, 1),
        "MiB more": round((resident(pid) - before) / 2**20, 1),
    }


def guess() -> dict[str, str]:
    return {"Authorization": f"Bearer {os.urandom(12).hex()}"}


def status(answer: httpx.Response) -> str:
    return str(answer.status_code)


def raw(url: str, first: bytes, *more: bytes) -> str:
    with connection(url) as line:
        line.sendall(b"\r\n".join([first, b"Host: localhost", *more, b"", b""]))
        line.shutdown(socket.SHUT_WR)
        return first_status(line)


def half(url: str, start: bytes) -> str:
    with connection(url) as line:
        line.sendall(start)
        return first_status(line)


def connection(url: str) -> socket.socket:
    where = httpx.URL(url)
    return socket.create_connection((where.host, where.port or 80), timeout=60)


def first_status(line: socket.socket) -> str:
    try:
        words = line.recv(4096).split()
    except ConnectionResetError:
        return "closed"
    return words[1].decode() if len(words) > 1 else "closed"


def table(rows: list[dict[str, Any]]) -> None:
    print("\n| " + " | ".join(rows[0]) + " |")
    print("|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")


if __name__ == "__main__":
    main()
