"""What the tests of enrolment share."""

from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture(scope="session")
def portraits(hopper: Path, collins: Path) -> dict[str, Image.Image]:
    return {path.stem: Image.open(path).convert("RGB") for path in (hopper, collins)}
