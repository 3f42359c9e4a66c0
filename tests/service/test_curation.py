"""The review, corrections and the audit log over HTTP."""

import io
from pathlib import Path

from PIL import Image

from facesearch.core.uploads import uploaded
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.storage.vault import new_key_file
from facesearch.vision.embedder import Embedder
from tests.support.serving import Running, photos, running


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
    with Gallery(tmp_path / "gallery", recognizer=Recognizer.of(embedder)) as gallery:
        list(gallery.enroll_each(asked, include_doubtful=True, keep_chips=True))
        rows = list(gallery.review())
    pairs = [(row["name"], row["photo"]) for row in rows if row["kind"] == "duplicate"]
    assert [name for name, _ in pairs] == ["Hopper"]


def test_an_encrypted_gallery_with_an_audit_log(people: Path, tmp_path: Path) -> None:
    folder, key = tmp_path / "sealed", tmp_path / "key"
    key.write_bytes(bytes(range(64)))
    secret = new_key_file(key, folder)
    with Gallery(folder) as gallery:
        gallery.encrypt(secret)
        gallery.set_preference("audit", "on")
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
