"""The pictures of the demo: two public-domain portraits from packages, and people drawn here.

    python -m scripts.demo_photos OUT

writes OUT/people/<name>/*.jpg to enrol, and OUT/queries/*.jpg to ask about. The portraits are of
Grace Hopper (US Navy, in matplotlib's sample data) and Eileen Collins (NASA, in scikit-image); both
are in the public domain.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageEnhance
from skimage import data

from tests.support.drawn import portrait

DRAWN = {"Ada": 0, "Bo": 3, "Cleo": 5}
STRANGER = 9  # to the network drawn people are much alike; this one least of all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    make(parser.parse_args().out)


def make(out: Path) -> None:
    """Write the pictures of the demo below a folder."""
    hopper = Image.open(Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    collins = Image.fromarray(data.astronaut())
    for name, picture in (("Grace Hopper", hopper), ("Eileen Collins", collins)):
        save(picture, out / "people" / name / "portrait.jpg")
    for name, person in DRAWN.items():
        for pose in range(3):
            save(portrait(person, pose), out / "people" / name / f"{pose}.jpg")
    save(snapshot(hopper), out / "queries" / "known.jpg")
    save(portrait(STRANGER), out / "queries" / "stranger.jpg")
    save(
        side_by_side([snapshot(collins), portrait(STRANGER, 1), snapshot(hopper)]),
        out / "queries" / "party.jpg",
    )
    save(snapshot(collins), out / "queries" / "collins.jpg")


def snapshot(picture: Image.Image) -> Image.Image:
    """The same moment by a worse camera: turned a little, darker, smaller."""
    turned = picture.convert("RGB").rotate(4, Image.Resampling.BICUBIC, fillcolor="grey")
    dark = ImageEnhance.Brightness(turned).enhance(0.85)
    return dark.resize((picture.width * 4 // 5, picture.height * 4 // 5))


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    height = 400
    scaled = [p.resize((round(p.width * height / p.height), height)) for p in pictures]
    together = Image.new("RGB", (sum(p.width for p in scaled), height))
    left = 0
    for picture in scaled:
        together.paste(picture, (left, 0))
        left += picture.width
    return together


def save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.convert("RGB").save(path, quality=92)


if __name__ == "__main__":
    main()
