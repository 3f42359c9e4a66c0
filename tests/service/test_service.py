"""The service answers as the command line does, over HTTP."""

import base64
import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch import serialization
from facesearch.core.paths import shipped_models
from facesearch.core.progress import Silent
from facesearch.core.uploads import uploaded
from facesearch.gallery.doctor import examine
from facesearch.gallery.legacy import Gallery
from facesearch.matching.calibration import calibration_of
from facesearch.matching.comparison import compare
from facesearch.matching.thresholds import threshold_to_compare, threshold_to_search
from facesearch.service.routes.models import realised
from facesearch.service.settings import Limits
from facesearch.storage.vault import new_key_file
from facesearch.vision.embedder import Embedder
from facesearch.vision.images import read
from facesearch.vision.model import Model
from tests.support.serving import Running, photos, running


@pytest.fixture(scope="module")
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
    with Gallery(service.service.gallery.folder) as gallery:
        yield gallery


def test_identify_answers_as_the_library_does(
    service: Running, library: Gallery, embedder: Embedder, group_photo: Path
) -> None:
    calibration = calibration_of(embedder.model)
    limit = threshold_to_search(calibration, library.impostor_scores(embedder.model), 0.05).distance
    ((_, found),) = library.identify([group_photo], embedder, limit, calibration, Silent(), top=2)
    assert isinstance(found, list)
    told = service.post(
        "/v1/identify",
        files=photos(group_photo, field="photo"),
        params={"fpir": 0.05, "top": 2},
    )
    assert (told["photo"], told["width"], told["height"]) == ("group.jpg", 900, 300)
    expected = [serialization.identification(answer, lambda path: path.name) for answer in found]
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
    service: Running, embedder: Embedder, people: Path, no_face: Path
) -> None:
    a, b = people / "person-00" / "pose-0.jpg", people / "person-00" / "pose-2.jpg"
    calibration = calibration_of(embedder.model)
    limit = threshold_to_compare(calibration, 0.01).distance
    expected = compare(embedder, calibration, a, b, limit)
    sent = photos(a, field="a") + photos(b, field="b")
    told = service.post("/v1/compare", files=sent, params={"fmr": 0.01})
    assert told["same"] is True
    assert told["distance"] == pytest.approx(expected.distance, abs=1e-5)
    assert told["threshold"] == limit
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


def test_search_by_embedding(service: Running, embedder: Embedder, people: Path) -> None:
    seen = embedder.faces(embedder.read(people / "person-03" / "pose-2.jpg"))[0]
    vector = [float(value) for value in seen.embedding]
    told = service.post("/v1/search", json={"embedding": vector, "top": 1})
    assert (told["answer"], told["name"]) == ("match", "Bo")
    assert [each["name"] for each in told["candidates"]] == ["Bo"]
    huge = [1e308] * len(vector)
    for wrong in (vector[:-1], [2 * value for value in vector], [0.0] * len(vector), huge):
        detail = service.post("/v1/search", 422, json={"embedding": wrong})["detail"]
        assert detail == "embedding: not a unit vector of 128 numbers"


def test_people_are_listed_shown_and_pictured(service: Running, people: Path) -> None:
    told = service.get("/v1/people", params={"search": "AD"})
    (ada,) = told["people"]
    assert (told["total"], ada["name"], ada["faces"], ada["photos"]) == (1, "Ada", 3, 3)
    assert len(service.get("/v1/people", params={"offset": 1, "limit": 1})["people"]) == 1
    shown = service.get("/v1/people/Ada")
    assert [face["photo"] for face in shown["faces"]] == ["pose-0.jpg", "pose-1.jpg", "pose-4.jpg"]
    nearest = min(shown["faces"], key=lambda face: face["distance"])
    assert ada["face"] == shown["face"] == nearest["id"]
    chip = service.http.get(f"/v1/faces/{ada['face']}/chip")
    assert chip.headers["content-type"] == "image/jpeg"
    assert chip.headers["cache-control"] == "no-store"
    assert Image.open(io.BytesIO(chip.content)).size == (336, 336)
    problem = service.get("/v1/faces/999/chip", 404)
    assert problem["detail"] == "face 999: no such face is enrolled"
    problem = service.get("/v1/people/Nobody", 404)
    assert (problem["title"], problem["error"]) == ("Not Found", "UnknownPerson")


def test_a_chip_is_cut_from_the_photo_if_it_is_the_same(
    service: Running, library: Gallery, embedder: Embedder, people: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "five.jpg"
    photo.write_bytes((people / "person-05" / "pose-0.jpg").read_bytes())
    (done,) = library.enroll([("Five", photo)], embedder, Silent())
    assert done.status == "enrolled"
    face = service.get("/v1/people/Five")["face"]
    picture = read_jpeg(service.http.get(f"/v1/faces/{face}/chip").content)
    original = read(photo)
    assert abs(picture.mean() - original.mean()) < 60
    Image.new("RGB", (20, 20)).save(photo)
    reason = service.get(f"/v1/faces/{face}/chip", 404)["detail"]
    assert reason == f"face {face}: its photo is another one now, and no chip of it is kept"
    photo.unlink()
    reason = service.get(f"/v1/faces/{face}/chip", 404)["detail"]
    assert reason == "five.jpg: no such file"
    service.ask("DELETE", "/v1/people/Five")


def read_jpeg(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def test_people_are_corrected_and_undone(service: Running, people: Path) -> None:
    sent = photos(*(people / "person-04" / f"pose-{pose}.jpg" for pose in range(3)))
    service.post("/v1/people/Zoë/faces", files=sent, data={"insist": "true"})
    ids = [face["id"] for face in service.get("/v1/people/Zoë")["faces"]]
    told = service.post("/v1/people/Zoë/split", json={"faces": ids[:1], "into": "AC/DC"})
    assert told == {"action": "split", "name": "Zoë", "other": "AC/DC", "faces": 1}
    assert service.get("/v1/people/AC%2FDC")["count"] == 1
    told = service.post("/v1/people/Zoë/merge", json={"other": "AC/DC"})
    assert told["faces"] == 1
    assert service.get("/v1/people/AC%2FDC", 404)["error"] == "UnknownPerson"
    lines = [each["what"] for each in service.get("/v1/changes")["changes"]][:2]
    assert lines == ["AC/DC was merged into Zoë (1 face)", "1 face of Zoë became AC/DC's"]
    assert service.post("/v1/undo")["undone"] == "merge"
    event = service.get("/v1/changes")["changes"][0]["event"]
    assert service.post("/v1/undo", json={"event": event})["undone"] == "split"
    change = {"name": "Zo", "expires": "2030-01-31", "consent": "told"}
    told = service.ask("PATCH", "/v1/people/Zoë", json=change)
    assert (told["name"], told["expires"], told["consent"]) == ("Zo", "2030-01-31", "told")
    assert (
        service.ask("PATCH", "/v1/people/Zo", 409, json={"name": "Ada"})["error"] == "PersonError"
    )
    assert service.ask("PATCH", "/v1/people/Zo", 422, json={"name": "\x07"})["error"] == "BadName"
    assert service.ask("PATCH", "/v1/people/Zo", 422, json={})["detail"].startswith("give name")
    told = service.post("/v1/people/Zo/reject", json={"face": ids[0]})
    assert (told["taken_out"], told["photo"]) == (1, "")
    photo = photos(people / "person-04" / "pose-1.jpg", field="photo")
    told = service.post("/v1/people/Zo/reject", files=photo, data={"face": "0"})
    assert (told["taken_out"], told["photo"], told["face"]) == (1, "pose-1.jpg", 0)
    assert len(service.get("/v1/rejections")["rejections"]) == 2
    (face,) = service.post("/v1/identify", files=photo)["faces"]
    assert face["name"] != "Zo"
    assert service.ask("DELETE", f"/v1/rejections/{told['rejection']}")["action"] == "forget"
    assert service.ask("DELETE", "/v1/people/Zo")["action"] == "remove"
    assert service.post("/v1/undo")["undone"] == "remove"
    assert service.ask("DELETE", "/v1/people/Zo", params={"purge": True})["action"] == "purge"
    assert service.ask("DELETE", "/v1/people/Zo", 404, params={"purge": True})
    kept = service.service.gallery.folder / "gallery.db"
    assert "Zoë".encode() not in kept.read_bytes()


def test_an_upload_keeps_its_bare_name_and_a_chip(
    service: Running, library: Gallery, embedder: Embedder, people: Path, tmp_path: Path
) -> None:
    content = (people / "person-02" / "pose-0.jpg").read_bytes()
    for name in ("../../etc/pass wd", "C:\\Users\\x\\pass wd"):
        told = service.post("/v1/people/Cy/faces", files=[("photos", (name, content))])
        assert told["results"][0]["photo"] == "pass wd"
    assert told["results"][0]["status"] == "duplicate"
    (face,) = service.get("/v1/people/Cy")["faces"]
    assert face["photo"] == "pass wd"
    (tmp_path / "copy.jpg").write_bytes(content)
    linked = {link.was.name: link.status for link in library.relink(tmp_path, Silent())}
    assert linked["pass wd"] == "relinked"
    assert service.get("/v1/people/Cy")["faces"][0]["photo"] == "copy.jpg"
    service.ask("DELETE", "/v1/people/Cy", params={"purge": True})


def test_another_model_takes_uploads_from_their_chips(
    embedder: Embedder, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = people / "person-02" / "pose-0.jpg"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        photo = uploaded("photo.jpg", source.read_bytes)
        (done,) = gallery.enroll([("Cy", photo)], embedder, Silent(), keep=True)
        assert done.status == "enrolled"
        Image.new("RGB", (9, 9)).save("photo.jpg")  # another one of that name is not looked at
        accurate = Embedder(Model(shipped_models() / "accurate"))
        changed = gallery.reindex(accurate, Silent())
        assert (changed.faces, changed.chip, changed.dropped) == (1, 1, [])
    assert examine(tmp_path / "gallery") == []


def test_it_says_what_it_is_made_of(service: Running) -> None:
    info = service.get("/v1/gallery")
    assert (info["folder"], info["model"], info["index"]) == ("gallery", "default", "current")
    listed = {each["name"]: each for each in service.get("/v1/models")["models"]}
    assert listed["default"]["current"]
    assert not listed["accurate"]["current"]
    model = service.get("/v1/models/current")
    assert model["card"].startswith("# Model card")
    calibration = model["calibration"]
    assert calibration["fmr"] == 0.001
    for part in calibration["populations"]:
        assert len(part["curve"]) == len(calibration["bins"]) == len(part["genuine_histogram"]) + 1
        assert sum(part["impostor_histogram"]) == part["impostor_pairs"]
        assert part["curve"][0][1:] == [0, 1]
        assert part["curve"][-1][1:] == [1, 0]
        false = [point[1] for point in part["curve"]]
        assert false == sorted(false)
    one = {"people": "press", "gallery": None, "rate": "FMR", "requested": 0.1}
    assert {**one, "realised": 0.044, "missed": 0.002} in model["realised"]
    large = {"people": "press", "gallery": "1,000", "rate": "FPIR", "requested": 0.01}
    assert {**large, "realised": 0.0038, "missed": 0.223} in model["realised"]
    assert realised("| a | FMR 0.1: FMR, FNMR |\n|---|---|\n| x | refused |\n") == []


def test_review_comes_with_faces(service: Running) -> None:
    found = service.get("/v1/review")["findings"]
    assert found[-1]["kind"] == "fpir"
    for row in found[:-1]:
        assert service.http.get(f"/v1/faces/{row['face']}/chip").status_code == 200
        assert "/" not in (row["photo"] or "")


def test_review_compares_chips_where_there_is_no_photo(
    embedder: Embedder, people: Path, hopper: Path, tmp_path: Path
) -> None:
    """Uploads: a copy is found, and another photo of the same person is none."""
    copy = io.BytesIO()
    with Image.open(hopper) as picture:
        picture.resize((picture.width * 3 // 4, picture.height * 3 // 4)).save(
            copy, "JPEG", quality=70
        )
    shots = [uploaded("a.jpg", hopper.read_bytes), uploaded("b.jpg", copy.getvalue)]
    poses = [people / "person-00" / f"pose-{pose}.jpg" for pose in (0, 1)]
    asked = [("Hopper", shot) for shot in shots]
    asked += [("Ada", uploaded(pose.name, pose.read_bytes)) for pose in poses]
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        list(gallery.enroll(asked, embedder, Silent(), insist=True, keep=True))
        rows = list(gallery.review(embedder.model, Silent()))
    pairs = [(row["name"], row["photo"]) for row in rows if row["kind"] == "duplicate"]
    assert [name for name, _ in pairs] == ["Hopper"]


def test_health_and_metrics(service: Running) -> None:
    assert service.get("/healthz") == service.get("/readyz") == {"status": "ok"}
    service.get("/v1/people/Nobody", 404)
    text = service.http.get("/metrics").text
    line = 'facesearch_requests_total{method="GET",route="/v1/people/{name:path}",status="404"}'
    assert line in text
    assert "Nobody" not in text
    for number in range(3):
        service.http.request(f"ODD{number}", "/healthz")
    text = service.http.get("/metrics").text
    assert 'method="other"' in text
    assert "ODD" not in text


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


def test_an_encrypted_gallery_with_an_audit_log(people: Path, tmp_path: Path) -> None:
    folder, key = tmp_path / "sealed", tmp_path / "key"
    key.write_bytes(bytes(range(64)))
    secret = new_key_file(key, folder)
    with Gallery(folder, create=True) as gallery:
        gallery.encrypt(secret)
        gallery.prefer("audit", "on")
    shot = photos(people / "person-00" / "pose-0.jpg", field="photo")
    with running(folder, secret=secret.content) as service:
        sent = photos(people / "person-00" / "pose-1.jpg")
        service.post("/v1/people/Ada/faces", files=sent)
        (face,) = service.post("/v1/identify", files=shot)["faces"]
        assert face["name"] == "Ada"
        (search,) = service.get("/v1/audit")["searches"]
        assert (search["command"], search["names"]) == ("identify", ["Ada"])
        assert service.get("/v1/audit", params={"since": "2999-01-01"})["searches"] == []
        assert service.get("/v1/gallery")["encrypted"] == "key file"
        number = service.get("/v1/people/Ada")["face"]
        assert service.http.get(f"/v1/faces/{number}/chip").status_code == 200


def test_an_empty_gallery_says_what_to_do(tmp_path: Path, people: Path) -> None:
    with running(tmp_path / "a secret place", limits={"threads": 2}) as service:
        shot = photos(people / "person-00" / "pose-0.jpg", field="photo")
        problem = service.post("/v1/identify", 409, files=shot)
        assert problem["detail"] == "the gallery: nobody is enrolled yet; enrol somebody first"
        assert service.get("/v1/people") == {"people": [], "total": 0}
        assert service.get("/readyz") == {"status": "ok"}
        assert service.service.settings.limits == Limits(threads=2)
