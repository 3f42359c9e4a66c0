"""The page in a real Chromium, on a real server with real pictures."""

import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from facesearch.gallery.gallery import Gallery
from facesearch.vision.embedder import Embedder
from tests.support.page_driver import SHOTS, Pictures
from tests.support.served import PATIENCE, serving
from tests.support.served import chromium as program_of_chromium

DESKTOP = {"width": 1280, "height": 860}
QUICK = "test_a_known_face_is_named_with_the_photo_that_says_so"  # of all that the page can do


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The quick run opens the page once; the rest of these tests is slow."""
    for item in items:
        if item.path.parent == Path(__file__).parent and item.name != QUICK:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    from tests.support import portraits

    folder = tmp_path_factory.mktemp("demo")
    portraits.make(folder)
    return Pictures(folder / "people", folder / "queries")


@pytest.fixture(scope="session")
def enrolled(
    pictures: Pictures, embedder: Embedder, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A gallery with the demo's people, to be copied."""
    folder = tmp_path_factory.mktemp("enrolled") / "gallery"
    photos = [(path.parent.name, path) for path in sorted(pictures.people.glob("*/*"))]
    with Gallery(folder) as gallery:
        results = list(gallery.enroll_each(photos))
    assert [result.status for result in results] == ["enrolled"] * len(photos)
    return folder


@pytest.fixture(scope="session")
def served(enrolled: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of the demo's people, by its address."""
    copy = tmp_path_factory.mktemp("served") / "gallery"
    shutil.copytree(enrolled, copy)
    with serving(copy) as address:
        yield address


@pytest.fixture(scope="module")
def chromium(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Debian's browser. Its camera shows Grace Hopper.

    One for each module, so that the event loop which drives it is gone when other tests want one.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = program_of_chromium()
    if program is None:
        pytest.skip("Chromium is not on this machine (scripts/test installs it where it may)")
    film = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    frame = io.BytesIO()
    with Image.open(pictures.query("known.jpg")) as photo:
        ImageOps.pad(photo, (640, 480)).save(frame, "JPEG")
    film.write_bytes(2 * frame.getvalue())
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


@pytest.fixture
def opened(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Opens an address in a page of its own, of which a screenshot is kept.

    A fault of the page fails the test: an error, a dialog, what the policy for its content forbids.
    """
    contexts: list[Any] = []
    faults: list[str] = []

    def open_page(address: str, path: str = "", **options: Any) -> Any:
        context = chromium.new_context(**{"viewport": DESKTOP, **options})
        context.set_default_timeout(1000 * PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(f"dialog: {dialog.message}"))
        page.on("console", lambda line: faults.append(line.text) if _is_fault(line) else None)
        page.goto(f"{address}/{path}")
        page.wait_for_selector("h1, dialog")
        return page

    yield open_page
    name = re.sub(r"\W+", "-", request.node.name).strip("-")
    for number, context in enumerate(contexts):
        for page in context.pages:
            page.screenshot(path=SHOTS / f"{name}{number or ''}.png", full_page=True)
        context.close()
    assert faults == []


def _is_fault(line: Any) -> bool:
    """A refused request is told on the console, too; that is an answer."""
    return line.type in ("error", "warning") and "Failed to load resource" not in line.text
