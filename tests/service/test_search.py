"""identify, compare and search answer as the library does, over HTTP."""

import base64
import io
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from PIL import Image

from facesearch.gallery.gallery import Gallery
from facesearch.serialization.answers import IDENTIFIED_FACE
from facesearch.serialization.record import name_of
from facesearch.service.settings import Limits
from tests.support.serving import Running, photos, running


def test_identify_answers_as_the_library_does(
    service: Running, library: Gallery, group_photo: Path
) -> None:
    found = library.identify(group_photo, fpir=0.05, top=2)
    told = service.post(
        "/v1/identify",
        files=photos(group_photo, field="photo"),
        params={"fpir": 0.05, "top": 2},
    )
    assert (told["photo"], told["width"], told["height"]) == ("group.jpg", 900, 300)
    expected = [IDENTIFIED_FACE.row(answer, name_of) for answer in found]
    assert len(expected) == 3
    for ours, theirs in zip(told["faces"], expected, strict=True):
        for key, value in theirs.items():
            if key in ("distance", "probability"):
                assert ours[key] == pytest.approx(value, abs=1e-5)
            elif key != "candidates":
                assert ours[key] == value
        assert [each["face"] for each in ours["candidates"]] == [
            each["face"] for each in theirs["candidates"]
        ]


def test_a_photo_without_a_face_is_unusable(service: Running, no_face: Path) -> None:
    (face,) = service.post("/v1/identify", files=photos(no_face, field="photo"))["faces"]
    assert (face["face"], face["box"], face["answer"]) == (None, None, "unusable")
    assert face["reason"] == "no face found"


def test_compare_with_chips_and_standing(
    service: Running, library: Gallery, people: Path, no_face: Path
) -> None:
    a, b = people / "person-00" / "pose-0.jpg", people / "person-00" / "pose-2.jpg"
    expected = library.compare(a, b, fmr=0.01)
    sent = photos(a, field="a") + photos(b, field="b")
    told = service.post("/v1/compare", files=sent, params={"fmr": 0.01})
    assert told["same"] is True
    assert told["distance"] == pytest.approx(expected.distance, abs=1e-5)
    assert told["threshold"] == expected.threshold
    for chip in told["chips"].values():
        head, _, content = chip.partition(",")
        assert head == "data:image/jpeg;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
            assert (picture.format, picture.size) == ("JPEG", (336, 336))
    assert 0.9 < told["standing"]["genuine"] <= 1
    assert 0 <= told["standing"]["impostor"] < 0.01
    sent = photos(a, field="a") + photos(no_face, field="b")
    told = service.post("/v1/compare", files=sent)
    assert (told["same"], told["answer"], told["standing"]) == (None, "unusable", None)
    assert told["reason"] == "wall.jpg: no face found"
    assert told["chips"]["b"] is None


def test_search_by_embedding(service: Running, library: Gallery, people: Path) -> None:
    seen = library.recognizer.detect(people / "person-03" / "pose-2.jpg")[0]
    vector = [float(value) for value in seen.embedding]
    told = service.post("/v1/search", json={"embedding": vector, "top": 1})
    assert (told["answer"], told["name"]) == ("match", "Bo")
    assert [each["name"] for each in told["candidates"]] == ["Bo"]
    huge = [1e308] * len(vector)
    for wrong in (vector[:-1], [2 * value for value in vector], [0.0] * len(vector), huge):
        detail = service.post("/v1/search", 422, json={"embedding": wrong})["detail"]
        assert detail == "embedding: not a unit vector of 128 numbers"


def test_many_at_once_get_the_same_answers(service: Running, people: Path) -> None:
    """While somebody enrols and removes, so that the index changes under the searches."""
    shots = [people / f"person-{person:02}" / "pose-2.jpg" for person in (0, 3)]
    expected = {}
    for shot in shots:
        (face,) = service.post("/v1/identify", files=photos(shot, field="photo"))["faces"]
        expected[shot] = face["name"], face["distance"]
    assert {name for name, _ in expected.values()} == {"Ada", "Bo"}
    wrong = []

    def ask(shot: Path) -> None:
        for _ in range(6):
            (face,) = service.post("/v1/identify", files=photos(shot, field="photo"))["faces"]
            if (face["name"], pytest.approx(face["distance"], abs=1e-5)) != expected[shot]:
                wrong.append(face)

    def change() -> None:
        for _ in range(3):
            sent = photos(people / "person-01" / "pose-0.jpg")
            service.post("/v1/people/Temp/faces", files=sent)
            service.ask("DELETE", "/v1/people/Temp", params={"purge": True})

    threads = [threading.Thread(target=ask, args=(shot,)) for shot in 3 * shots]
    threads.append(threading.Thread(target=change))
    before = service.service.model.runs
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert service.service.model.runs > before


def test_another_process_changes_the_gallery(service: Running, hopper: Path) -> None:
    folder = service.service.gallery.folder
    sent = photos(hopper, field="photo")
    (before,) = service.post("/v1/identify", files=sent)["faces"]
    assert before["name"] is None
    command = [sys.executable, "-c", "from facesearch.cli import main; main()"]
    done = subprocess.run(
        [*command, "enroll", "--gallery", folder, "--name", "New", hopper], check=True, timeout=60
    )
    assert done.returncode == 0
    (after,) = service.post("/v1/identify", files=sent)["faces"]
    assert after["name"] == "New"
    service.ask("DELETE", "/v1/people/New", params={"purge": True})


def test_an_empty_gallery_says_what_to_do(tmp_path: Path, people: Path) -> None:
    with running(tmp_path / "a secret place", limits={"threads": 2}) as service:
        shot = photos(people / "person-00" / "pose-0.jpg", field="photo")
        problem = service.post("/v1/identify", 409, files=shot)
        assert problem["detail"] == "the gallery: nobody is enrolled yet; enroll somebody first"
        assert service.get("/v1/people") == {"people": [], "total": 0}
        assert service.get("/readyz") == {"status": "ok"}
        assert service.service.settings.limits == Limits(threads=2)
