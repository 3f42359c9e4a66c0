"""What the tests share: pictures that the project makes, two portraits, LFW if it is there."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facesearch.core import paths
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from tests.support.shared_folder import shared_folder

pytest_plugins = ["tests.support.servers"]

ROOT = Path(__file__).parent.parent
LFW = ROOT.parent / "shared" / "data" / "lfw"


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's own is read or written."""
    monkeypatch.setenv("FACESEARCH_GALLERY", str(tmp_path / "gallery"))
    monkeypatch.setenv("FACESEARCH_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("FACESEARCH_MODEL", "MILVUS_URI", "MILVUS_TOKEN", "MILVUS_INDEX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def lfw() -> Path:
    if not LFW.is_dir():
        pytest.skip("LFW is not on this machine (../shared/data/lfw)")
    return LFW


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per invented person, drawn: person-00 to person-05 with five photos each."""
    from facesearch.demo.drawn_people import portrait

    def draw(root: Path) -> None:
        for person in range(6):
            folder = root / f"person-{person:02}"
            folder.mkdir()
            for pose in range(5):
                # 8 for 4: person 0 looks the same in 1 and 4, which is one picture to the program
                drawn = portrait(person, 8 if pose == 4 else pose)
                drawn.save(folder / f"pose-{pose}.jpg", quality=95)

    return shared_folder(tmp_path_factory, "people", draw)


@pytest.fixture(scope="session")
def group_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Invented people 0, 1 and 2 side by side."""
    from facesearch.demo.drawn_people import group

    path = tmp_path_factory.mktemp("group") / "group.jpg"
    group([0, 1, 2], pose=7).save(path, quality=95)
    return path


@pytest.fixture(scope="session")
def hopper() -> Path:
    """Grace Hopper: a photograph by the US Navy, public domain, in matplotlib's sample data."""
    spec = importlib.util.find_spec("matplotlib")
    if spec is None or spec.origin is None:
        pytest.skip("matplotlib, which holds the portrait, is not installed (the extra `plots`)")
    return Path(spec.origin).parent / "mpl-data" / "sample_data" / "grace_hopper.jpg"


@pytest.fixture(scope="session")
def collins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eileen Collins: a photograph by NASA, public domain, `data.astronaut()` of scikit-image."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed (`dev`)")
    path = tmp_path_factory.mktemp("collins") / "collins.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


@pytest.fixture(scope="session")
def no_face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture without a face."""
    path = tmp_path_factory.mktemp("empty") / "wall.jpg"
    noise = np.random.default_rng(0).integers(90, 110, (240, 320, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """The shipped model's."""
    return Embedder(Model(paths.shipped_models() / "default"))


@pytest.fixture(scope="session")
def hopper_pixels(hopper: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(hopper).convert("RGB"))


@pytest.fixture(scope="session")
def portraits(hopper: Path, collins: Path) -> dict[str, Image.Image]:
    return {path.stem: Image.open(path).convert("RGB") for path in (hopper, collins)}
