"""People are listed, shown, enrolled, corrected and removed over HTTP."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.core.uploads import uploaded
from facesearch.gallery.doctor import examine
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.vision.embedder import Embedder
from facesearch.vision.images import read
from tests.support.serving import Running, photos


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
    service: Running, library: Gallery, people: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "five.jpg"
    photo.write_bytes((people / "person-05" / "pose-0.jpg").read_bytes())
    assert len(library.enroll("Five", photo).enrolled) == 1
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
    assert (told["action"], told["name"], told["other"]) == ("split", "Zoë", "AC/DC")
    assert (told["faces"], told["what"]) == (1, "1 face of Zoë became AC/DC's")
    parted = told["event"]
    assert service.get("/v1/people/AC%2FDC")["count"] == 1
    told = service.post("/v1/people/Zoë/merge", json={"other": "AC/DC"})
    assert told["faces"] == 1
    assert service.get("/v1/people/AC%2FDC", 404)["error"] == "UnknownPerson"
    lines = [each["what"] for each in service.get("/v1/changes")["changes"]][:2]
    assert lines == ["AC/DC was merged into Zoë (1 face)", "1 face of Zoë became AC/DC's"]
    assert service.post("/v1/undo", json={"event": told["event"]})["undone"] == "merge"
    assert service.post("/v1/undo", json={"event": parted})["undone"] == "split"
    change = {"name": "Zo", "expires": "2030-01-31", "consent": "told"}
    told = service.ask("PATCH", "/v1/people/Zoë", json=change)
    assert (told["name"], told["expires"], told["consent"]) == ("Zo", "2030-01-31", "told")
    assert [each["what"] for each in told["changes"]] == [
        "the terms of Zoë were set",
        "Zoë became Zo",
    ]
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
    gone = service.ask("DELETE", "/v1/people/Zo")
    assert (gone["action"], gone["what"]) == ("remove", "Zo was removed")
    kept = service.get("/v1/purge-targets", params={"name": "Zo"})["people"]
    assert {each["removed"] for each in kept} == {True}
    assert service.post("/v1/undo", json={"event": gone["event"]})["undone"] == "remove"
    assert service.ask("DELETE", "/v1/people/Zo", params={"purge": True})["action"] == "purge"
    assert service.ask("DELETE", "/v1/people/Zo", 404, params={"purge": True})
    kept = service.service.gallery.folder / "gallery.db"
    assert "Zoë".encode() not in kept.read_bytes()


def test_an_upload_keeps_its_bare_name_and_a_chip(
    service: Running, library: Gallery, people: Path, tmp_path: Path
) -> None:
    content = (people / "person-02" / "pose-0.jpg").read_bytes()
    for name in ("../../etc/pass wd", "C:\\Users\\x\\pass wd"):
        told = service.post("/v1/people/Cy/faces", files=[("photos", (name, content))])
        assert told["results"][0]["photo"] == "pass wd"
    assert told["results"][0]["status"] == "duplicate"
    (face,) = service.get("/v1/people/Cy")["faces"]
    assert face["photo"] == "pass wd"
    (tmp_path / "copy.jpg").write_bytes(content)
    linked = {link.was.name: link.status for link in library.relink(tmp_path)}
    assert linked["pass wd"] == "relinked"
    assert service.get("/v1/people/Cy")["faces"][0]["photo"] == "copy.jpg"
    service.ask("DELETE", "/v1/people/Cy", params={"purge": True})


def test_another_model_takes_uploads_from_their_chips(
    embedder: Embedder, people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = people / "person-02" / "pose-0.jpg"
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with Gallery(tmp_path / "gallery", recognizer=Recognizer.of(embedder)) as gallery:
        photo = uploaded("photo.jpg", source.read_bytes)
        assert len(gallery.enroll("Cy", photo, keep_chips=True).enrolled) == 1
    with Gallery(tmp_path / "gallery", model="accurate") as gallery:
        Image.new("RGB", (9, 9)).save("photo.jpg")  # another one of that name is not looked at
        changed = gallery.reindex()
        assert (changed.faces, changed.chip, changed.dropped) == (1, 1, [])
    assert examine(tmp_path / "gallery") == []
