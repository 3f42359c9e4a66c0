"""The album and the model that the tests of training share."""

from pathlib import Path

import pytest

from facesearch.core.progress import Silent
from facesearch.vision.model import Model


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `draw_album`."""
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    from tests.support.small_training import draw_album

    root = tmp_path_factory.mktemp("album")
    draw_album(root)
    return root


@pytest.fixture(scope="session")
def model(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Trained on the album with SMALL."""
    from facesearch.training.train import train
    from tests.support.small_training import DETECTOR_FILES, SMALL

    out = tmp_path_factory.mktemp("models") / "mine"
    return train(album, out, SMALL, DETECTOR_FILES, Silent(), command="facesearch train album")
