"""Pictures for the tests of the page: two public-domain portraits from packages, and drawn people.

The portraits are of Grace Hopper (US Navy, in matplotlib's sample data) and Eileen Collins (NASA,
in scikit-image); both are in the public domain.
"""

from pathlib import Path

import matplotlib as mpl
from PIL import Image
from skimage import data

from facesearch.demo.drawn_people import portrait
from facesearch.demo.pictures import save, side_by_side, snapshot

DRAWN = {"Ada": 0, "Bo": 3, "Cleo": 5}
STRANGER = 9  # to the network drawn people are much alike; this one least of all


def make(out: Path) -> None:
    """Write out/people/<name>/*.jpg to enroll, and out/queries/*.jpg to ask about."""
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
