"""The page in a real Chromium, on a real server with real pictures."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SHOTS = ROOT / "test-output" / "browser"  # kept after the tests
PATIENCE = 60  # seconds until something that is expected must be there, on a loaded machine
PROGRAM = (sys.executable, "-c", "from facesearch.cli import main; main()")
PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 860}
NAMES = ("Ada", "Bo", "Cleo", "Eileen Collins", "Grace Hopper")


@dataclass(frozen=True)
class Pictures:
    """The demo's: a folder per person to enrol, and photos to ask about."""

    people: Path
    queries: Path

    def of(self, name: str) -> list[str]:
        return sorted(str(path) for path in (self.people / name).iterdir())

    def query(self, name: str) -> str:
        return str(self.queries / name)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, str(ROOT / "scripts" / "demo_photos.py"), str(folder)]
    subprocess.run(command, check=True, timeout=PATIENCE)
    return Pictures(folder / "people", folder / "queries")


@pytest.fixture(scope="session")
def enrolled(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery with the demo's people, to be copied."""
    gallery = tmp_path_factory.mktemp("enrolled") / "gallery"
    facesearch("--gallery", str(gallery), "enroll", "--tree", str(pictures.people))
    return gallery


def facesearch(*arguments: str) -> None:
    command = [*PROGRAM, *arguments]
    subprocess.run(command, check=True, timeout=PATIENCE, capture_output=True)


@contextmanager
def serving(gallery: Path, **environment: str) -> Iterator[str]:
    """A server of a gallery, by its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = gallery.parent / f"{gallery.name}.log"
    command = [*PROGRAM, "--gallery", str(gallery), "serve"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            env=os.environ | environment,
            stdout=output,
            stderr=output,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            _await(process, f"{address}/readyz", log)
            yield address
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _await(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    late = time.monotonic() + PATIENCE
    while time.monotonic() < late:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise TimeoutError(log.read_text())


@pytest.fixture(scope="module")
def served(enrolled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the demo's people that tests only ask."""
    with serving(_copy(enrolled, tmp_path_factory)) as address:
        yield address


@pytest.fixture
def changing(enrolled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the demo's people for one test that changes them."""
    with serving(_copy(enrolled, tmp_path_factory)) as address:
        yield address


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[str]:
    with serving(tmp_path / "nobody") as address:
        yield address


def _copy(gallery: Path, places: pytest.TempPathFactory) -> Path:
    copy = places.mktemp("served") / "gallery"
    shutil.copytree(gallery, copy)
    return copy


@pytest.fixture(scope="module")
def chromium(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's browser. Its camera shows Grace Hopper. Module by module, so that the event loop
    which drives it is gone when other tests want one of their own."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not on this machine (scripts/test installs it where it may)")
    film = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    film.write_bytes(3 * Path(pictures.query("known.jpg")).read_bytes())
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={film}",
            ],
        )
        yield browser
        browser.close()


Open = Callable[..., Any]


@pytest.fixture
def opened(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens an address in a page of its own; a fault of the page itself fails the test.

    A refused request is told on the console, too; those are answers, not faults.
    """
    contexts, faults = [], []

    def open_page(address: str, path: str = "", **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": DESKTOP, **options})
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on("console", lambda line: faults.append(line.text) if _is_fault(line) else None)
        page.goto(f"{address}/{path}")
        page.wait_for_selector("h1")
        return page

    yield open_page
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    for number, context in enumerate(contexts):
        for page in context.pages:
            shoot(page, f"{name}-{number}" if number else name)
        context.close()
    assert faults == []


def _is_fault(line: Any) -> bool:
    return line.type in ("error", "warning") and "Failed to load resource" not in line.text


def shoot(page: Any, name: str) -> None:
    """A screenshot is kept."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


def asked(address: str, path: str) -> Any:
    """What the server itself says."""
    with urllib.request.urlopen(f"{address}{path}", timeout=PATIENCE) as answer:
        return json.load(answer)
