"""A service of a gallery in which Ada and Bo are enrolled."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.vision.embedder import Embedder
from tests.support.serving import LIMITS, TOKENS, Running, Sent, photos, running


@pytest.fixture(scope="package")
def service(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Persons 0 and 3 are enrolled, as Ada and Bo."""
    with running(tmp_path_factory.mktemp("service") / "gallery") as found:
        for name, person in (("Ada", 0), ("Bo", 3)):
            folder = people / f"person-{person:02}"
            sent = photos(*(folder / f"pose-{pose}.jpg" for pose in (0, 1, 4)))
            told = found.post(f"/v1/people/{name}/faces", files=sent, data={"insist": "true"})
            assert [row["status"] for row in told["results"]] == 3 * ["enrolled"]
        yield found


@pytest.fixture
def library(service: Running, embedder: Embedder) -> Iterator[Gallery]:
    folder = service.service.gallery.folder
    with Gallery(folder, recognizer=Recognizer.of(embedder)) as gallery:
        yield gallery


@pytest.fixture(scope="package")
def narrow(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with narrow limits; Kim is enrolled."""
    with running(tmp_path_factory.mktemp("narrow") / "gallery", limits=LIMITS) as found:
        sent = photos(people / "person-01" / "pose-0.jpg")
        assert found.post("/v1/people/Kim/faces", files=sent)["results"][0]["faces"] == 1
        yield found


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with a token for each role."""
    with running(tmp_path_factory.mktemp("guarded") / "gallery", tokens=TOKENS) as found:
        yield found


@pytest.fixture
def shot(people: Path) -> Sent:
    """A photo as a form has it."""
    return photos(people / "person-00" / "pose-0.jpg", field="photo")
