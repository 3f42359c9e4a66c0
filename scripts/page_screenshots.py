"""The README's pictures of the web page, from the demo's gallery.

    python scripts/page_screenshots.py docs/images

writes identify.png, people.png, compare.png and phone.png. Needs Chromium (Debian's package) and
playwright, which the `dev` extra brings.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

from facesearch.demo import pictures
from facesearch.gallery.gallery import Gallery
from tests.support.served import chromium, serving

DESKTOP, PHONE = {"width": 960, "height": 780}, {"width": 390, "height": 780}
COLOURS, ROOM = 128, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    program = chromium()
    if program is None:
        sys.exit("Chromium is not on this machine; install Debian's package `chromium`")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo = Path(folder) / "demo"
        pictures.make(demo)
        enroll(demo / "people", Path(folder) / "gallery")
        browser = playwright.chromium.launch(executable_path=program)
        with serving(Path(folder) / "gallery") as address:
            shoot(browser, address, demo, out)
        browser.close()


def enroll(people: Path, folder: Path) -> None:
    photos = [(path.parent.name, path) for path in sorted(people.glob("*/*"))]
    with Gallery(folder) as gallery:
        list(gallery.enroll_each(photos))


def shoot(browser: Any, address: str, demo: Path, out: Path) -> None:
    page = browser.new_page(viewport=DESKTOP, color_scheme="light")
    page.goto(address)
    identify(page, demo)
    save(page, out / "identify.png", "header.top", ".face >> nth=-1")
    page.goto(f"{address}/#/people")
    page.locator("#view-people .grid li").first.wait_for()
    save(page, out / "people.png", "header.top", ".grid")
    page.goto(f"{address}/#/compare")
    photos = page.locator("#view-compare input[type=file]")
    photos.first.set_input_files(demo / "people" / "Cleo" / "0.jpg")
    photos.last.set_input_files(demo / "queries" / "cleo.jpg")
    page.locator(".plot svg").wait_for()
    save(page, out / "compare.png", ".verdict", ".chart")
    phone = browser.new_page(viewport=PHONE, color_scheme="dark")
    phone.goto(address)
    identify(phone, demo)
    save(phone, out / "phone.png", "header.top", ".face >> nth=1")


def identify(page: Any, demo: Path) -> None:
    page.locator("input[type=file]").set_input_files(demo / "queries" / "party.jpg")
    page.locator(".face").last.wait_for()


def save(page: Any, path: Path, first: str, last: str) -> None:
    """The page from one element down to another, in few colours."""
    width = page.viewport_size["width"]
    high = page.evaluate("() => document.documentElement.scrollHeight")
    page.set_viewport_size({"width": width, "height": high})  # all comes into view, and is fetched
    page.wait_for_function(
        "() => [...document.querySelectorAll('img.chip')].every((chip) =>"
        " chip.naturalWidth > 1 || chip.closest('details:not([open])'))"
    )
    upper, lower = page.locator(first).bounding_box(), page.locator(last).bounding_box()
    top = max(0, upper["y"] - ROOM)
    high = lower["y"] + lower["height"] + ROOM - top
    page.screenshot(path=path, clip={"x": 0, "y": top, "width": width, "height": high})
    with Image.open(path) as shot:
        few = shot.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    print(f"{path}: {few.width} x {few.height}, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
