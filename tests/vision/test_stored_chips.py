"""A chip cut out of a stored one is nearly that of the photo; what is no stored chip is refused."""

from pathlib import Path

import numpy as np
import pytest

from facesearch.core import paths
from facesearch.core.errors import PhotoError
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from facesearch.vision.stored_chips import LARGEST, MARGIN, SIDE, chip_of, kept_chip, read_kept


@pytest.fixture(scope="session")
def accurate() -> Embedder:
    """The other shipped model's."""
    return Embedder(Model(paths.shipped_models() / "accurate"))


@pytest.mark.parametrize("name", ["default", "accurate"])
def test_a_kept_chip_gives_nearly_the_embedding_of_the_photo(
    name: str, embedder: Embedder, people: Path, hopper: Path, collins: Path
) -> None:
    """Of drawn faces and two photographs; of 40 of LFW the farthest was 0.030 and 0.055."""
    model = Embedder(Model(paths.shipped_models() / name))
    distances = []
    for photo in [hopper, collins, *sorted(people.glob("*/pose-0.jpg"))]:
        portrait = model.read(photo, keep=True)
        assert portrait.kept is not None
        how = model.preprocessing
        chip = chip_of(portrait.kept[0], portrait.faces[0].points, how)
        pair = model.embed(np.stack([portrait.chips[0], chip]))
        distances.append(float(np.linalg.norm(pair[0] - pair[1])))
    assert max(distances) < {"default": 0.05, "accurate": 0.09}[name], distances


def test_any_shipped_template_lies_inside_a_kept_chip(
    embedder: Embedder, accurate: Embedder
) -> None:
    from facesearch.vision.alignment import TEMPLATE, TEMPLATE_SIZE, similarity

    whole = SIDE + 2 * MARGIN
    onto = np.array(TEMPLATE) * (SIDE / TEMPLATE_SIZE) + MARGIN
    for model in (embedder, accurate):
        size = TEMPLATE_SIZE
        corners = np.array([[0, 0], [size, 0], [0, size], [size, size]])
        back = similarity(model.preprocessing.template, onto)
        placed = corners @ back[:, :2].T + back[:, 2]
        assert placed.min() > 0.05 * whole
        assert placed.max() < 0.95 * whole
        assert model.preprocessing.size / size < 1.01 * np.hypot(*back[:, 0]), "fine enough"


def test_what_is_no_kept_chip(hopper_pixels: np.ndarray) -> None:
    points = ((200.0, 200.0), (300.0, 200.0), (250.0, 250.0), (210.0, 300.0), (290.0, 300.0))
    good = kept_chip(hopper_pixels, points)
    assert read_kept(good).shape == (SIDE + 2 * MARGIN, SIDE + 2 * MARGIN, 3)
    huge = bytearray(good)
    huge[26:30] = (0xFF, 0x3F, 0xFF, 0x3F)
    assert LARGEST < 0x3FFF
    for bad in (b"", good[:20], good[:200], bytes(huge), b"GIF89a" + good, good[:40] + bytes(5000)):
        with pytest.raises(PhotoError, match="chip"):
            read_kept(bad)
