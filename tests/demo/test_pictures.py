"""The pictures of the tour, and the people drawn on them."""

from pathlib import Path

import numpy as np
from PIL import Image

from facesearch.demo.drawn_people import group, points, portrait
from facesearch.demo.pictures import ENROLLED, PHOTOS, STRANGER, make


def test_every_file_of_the_tour(tmp_path: Path) -> None:
    make(tmp_path)
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jpg"))
    people = [f"people/{name}/{pose}.jpg" for name in ENROLLED for pose in range(PHOTOS)]
    assert found == people + [f"queries/{n}.jpg" for n in ("cleo", "known", "party", "stranger")]
    assert STRANGER not in ENROLLED.values()
    with Image.open(tmp_path / "queries" / "party.jpg") as party:
        assert (party.height, party.width) == (400, 1200)


def test_the_same_person_is_drawn_alike(tmp_path: Path) -> None:
    first, again, other = portrait(3, 1, 90), portrait(3, 1, 90), portrait(3, 2, 90)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert group([0, 1, 2, 3, 4, 5], size=60).size == (300, 120)
    left, right, nose, *corners = points(3, 1, 90)
    assert left[0] < nose[0] < right[0]
    assert all(y > nose[1] for _, y in corners)
