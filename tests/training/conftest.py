"""The album and the model that the tests of training share."""

from pathlib import Path

import pytest

from facesearch.core.progress import Silent
from facesearch.vision.model import Model
from tests.support.shared_folder import shared_folder


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `draw_album`."""
    pytest.importorskip("torch", reason="the extra `train` is not installed")
    from tests.support.small_training import draw_album

    return shared_folder(tmp_path_factory, "album", draw_album)


@pytest.fixture(scope="session")
def model(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    """Trained on the album with SMALL, once for all workers."""
    from facesearch.training.train import train
    from tests.support.small_training import DETECTOR_FILES, SMALL

    def make(folder: Path) -> None:
        command = "facesearch train album"
        train(album, folder / "mine", SMALL, DETECTOR_FILES, Silent(), command=command)

    return Model(shared_folder(tmp_path_factory, "trained", make) / "mine")
