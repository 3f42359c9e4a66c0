"""Another model: every face as that model sees it, the old state until all is done."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.core import paths
from facesearch.core.errors import GalleryError
from facesearch.core.face import Box
from facesearch.core.progress import Silent
from facesearch.gallery import reindex as module
from facesearch.gallery.recognizer import Recognizer
from facesearch.gallery.reindex import FacesMissing
from facesearch.storage.store import Store
from facesearch.vision import images
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from tests.support.inside_gallery import InsideGallery as Gallery


@pytest.fixture(scope="session")
def accurate() -> Embedder:
    """The other shipped model's."""
    return Embedder(Model(paths.shipped_models() / "accurate"))


@pytest.fixture
def album(people: Path, tmp_path: Path) -> Path:
    """Two photos each of three people, to be moved and damaged."""
    for folder in sorted(people.iterdir())[:3]:
        there = tmp_path / "album" / folder.name
        there.mkdir(parents=True)
        for photo in sorted(folder.iterdir())[:2]:
            (there / photo.name).write_bytes(photo.read_bytes())
    return tmp_path / "album"


def photos_of(album: Path) -> list[tuple[str, Path]]:
    return [(path.parent.name, path) for path in sorted(album.glob("*/*.jpg"))]


@pytest.fixture
def gallery(album: Path, embedder: Embedder, tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery") as gallery:
        list(gallery.enroll_each(photos_of(album)))
        yield gallery


def fresh(album: Path, embedder: Embedder, folder: Path) -> np.ndarray:
    """The embeddings of a gallery that is enrolled with this model from the start."""
    with Gallery(folder, recognizer=Recognizer.of(embedder)) as gallery:
        list(gallery.enroll_each(photos_of(album)))
        return gallery.store.vectors()[2]


class Interrupted(Silent):
    """Ctrl-C at the n-th photo."""

    def __init__(self, at: int) -> None:
        self.left = at
        self.told: list[int] = []

    def start(self, stage: str, total: int) -> None:
        self.told.append(total)

    def advance(self, note: str = "") -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def places(gallery: Gallery, name: str) -> list[tuple[int, Path, Box]]:
    """Where a person's faces are, with their numbers."""
    return [(face.number, face.photo, face.box) for face in gallery[name].faces]


def test_every_face_is_what_enrolling_would_have_made(
    gallery: Gallery, album: Path, embedder: Embedder, accurate: Embedder, tmp_path: Path
) -> None:
    before = places(gallery, "person-00")
    done = gallery.reindex_to(accurate)
    assert (done.model, done.former, done.faces) == ("accurate", "default", 6)
    assert (done.photo, done.points, done.chip, done.resumed) == (6, 0, 0, 0)
    _, _, vectors = gallery.store.vectors()
    assert np.allclose(vectors, fresh(album, accurate, tmp_path / "other"), atol=1e-5)
    assert gallery.info().model == "accurate"
    assert gallery.info().unfinished_reindex is None
    assert places(gallery, "person-00") == before
    # the threshold follows: it is the model's own
    assert len(gallery.impostor_scores(accurate.model)) > 0
    photo = album / "person-01" / "pose-0.jpg"
    assert gallery.identify(photo, threshold=0.5)[0].name == "person-01"
    gallery.check_model()
    with (
        Gallery(gallery.folder, recognizer=Recognizer.of(embedder)) as former,
        pytest.raises(GalleryError, match="gallery reindex --model default"),
    ):
        former.check_model()


def test_the_same_model_again_is_nothing(
    gallery: Gallery, embedder: Embedder, accurate: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PHOTOS_PER_CHECKPOINT", 2)
    revision = gallery.store.revision()
    with pytest.raises(KeyboardInterrupt):
        gallery.reindex_to(accurate, Interrupted(5))
    assert gallery.reindex_to(embedder).faces == 0
    assert gallery.info().unfinished_reindex is None
    assert gallery.store.revision() == revision


def test_an_empty_gallery_has_no_model_to_change(tmp_path: Path, embedder: Embedder) -> None:
    with (
        Gallery(tmp_path / "gallery") as empty,
        pytest.raises(GalleryError, match="nobody is enrolled"),
    ):
        empty.reindex_to(embedder)


def test_a_break_repeats_nothing_and_changes_nothing(
    gallery: Gallery,
    album: Path,
    accurate: Embedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PHOTOS_PER_CHECKPOINT", 2)
    (state, _, old) = gallery.store.vectors()
    with pytest.raises(KeyboardInterrupt):
        gallery.reindex_to(accurate, Interrupted(5))
    assert gallery.store.revision() == state.revision
    assert np.array_equal(gallery.store.vectors()[2], old)
    assert gallery.info().model == "default"
    assert gallery.info().unfinished_reindex == "to accurate: 4 of 6 faces done"
    gallery.check_model()
    listens = Interrupted(1000)
    done = gallery.reindex_to(accurate, listens)
    assert (done.faces, done.resumed) == (6, 4)
    assert listens.told == [2]
    assert np.allclose(
        gallery.store.vectors()[2], fresh(album, accurate, tmp_path / "other"), atol=1e-5
    )


def test_another_target_starts_anew(
    gallery: Gallery, accurate: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PHOTOS_PER_CHECKPOINT", 2)
    with pytest.raises(KeyboardInterrupt):
        gallery.reindex_to(accurate, Interrupted(5))
    third = Embedder(Model(accurate.model.folder, detector="dlib"))
    listens = Interrupted(1000)
    done = gallery.reindex_to(third, listens)
    assert done.resumed == 0
    assert listens.told == [6]
    assert gallery.info().model == "accurate --detector dlib"


def test_faces_enrolled_meanwhile_are_embedded_too(
    gallery: Gallery,
    accurate: Embedder,
    hopper: Path,
) -> None:
    class Enrols(Silent):
        def advance(self, note: str = "") -> None:
            with Gallery(gallery.folder) as other:
                list(other.enroll_each([("Grace", hopper)]))
                if "person-02" in [person.name for person in other.people()]:
                    other.remove("person-02")

    gallery.reindex_to(accurate, Enrols())
    grace = gallery.store.vectors()[2][-1]
    expected = accurate.embed(accurate.read(hopper).chips)[0]
    assert np.allclose(grace, expected, atol=1e-5)
    assert [person.name for person in gallery.people()] == ["Grace", "person-00", "person-01"]


def test_a_second_reindex_does_not_mix_with_the_first(gallery: Gallery, accurate: Embedder) -> None:
    third = Embedder(Model(accurate.model.folder, detector="dlib"))

    class Rival(Silent):
        def advance(self, note: str = "") -> None:
            with Gallery(gallery.folder) as other:
                if other.info().model == "default":
                    other.reindex_to(third)

    with pytest.raises(GalleryError, match="another reindex began or ended"):
        gallery.reindex_to(accurate, Rival())
    assert gallery.info().model == "accurate --detector dlib"


def test_faces_of_which_nothing_is_left(gallery: Gallery, album: Path, accurate: Embedder) -> None:
    (album / "person-00" / "pose-0.jpg").unlink()
    (album / "person-01" / "pose-0.jpg").write_bytes((album / "person-02/pose-1.jpg").read_bytes())
    old = gallery.store.vectors()[2]
    with pytest.raises(FacesMissing, match="2 faces cannot be embedded again") as error:
        gallery.reindex_to(accurate)
    found = [(face.name, face.reason) for face in error.value.missing]
    assert found == [
        ("person-00", "no such file; no chip is kept"),
        ("person-01", "not the photo that was enrolled; no chip is kept"),
    ]
    assert np.array_equal(gallery.store.vectors()[2], old)
    assert gallery.info().unfinished_reindex == "to accurate: 4 of 6 faces done"
    done = gallery.reindex_to(accurate, drop_missing=True)
    assert (done.faces, done.resumed, len(done.dropped)) == (4, 4, 2)
    counts = [(person.name, person.faces) for person in gallery.people()]
    assert counts == [("person-00", 1), ("person-01", 1), ("person-02", 2)]
    assert gallery.info().photos == 4


def test_a_gallery_is_not_dropped_as_a_whole(
    gallery: Gallery, album: Path, accurate: Embedder
) -> None:
    album.rename(album.with_name("elsewhere"))
    with pytest.raises(GalleryError, match="not one face can be embedded again"):
        gallery.reindex_to(accurate, drop_missing=True)
    assert gallery.info().faces == 6
    album.with_name("elsewhere").rename(album)
    assert gallery.reindex_to(accurate).faces == 6


def test_a_face_that_the_detector_misses_is_cut_out_where_it_was(
    gallery: Gallery, album: Path, accurate: Embedder, tmp_path: Path
) -> None:
    """As an Embedder for large faces only, which finds none of these."""
    blind = Embedder(accurate.model, min_face=5000)
    done = gallery.reindex_to(blind)
    assert (done.photo, done.points) == (0, 6)
    distances = np.linalg.norm(
        gallery.store.vectors()[2] - fresh(album, accurate, tmp_path / "other"), axis=1
    )
    assert distances.max() < 0.02


def test_faces_of_a_group_are_not_confused(
    accurate: Embedder, group_photo: Path, tmp_path: Path
) -> None:
    with Gallery(tmp_path / "group") as gallery:
        list(gallery.enroll_each([("ann", group_photo)], faces="all"))
        assert gallery.reindex_to(accurate).photo == 3
        vectors = gallery.store.vectors()[2]
    assert np.allclose(vectors, accurate.embed(accurate.read(group_photo).chips), atol=1e-5)


def test_each_box_gets_a_face_of_its_own() -> None:
    face = module.Face(Box(0, 0, 10, 10), (), 1)
    other = module.Face(Box(100, 0, 110, 10), (), 1)
    boxes = [Box(1, 0, 10, 10), Box(0, 0, 10, 10), Box(100, 0, 110, 11), Box(50, 0, 60, 10)]
    assert module._found_again(boxes, [other, face]) == {1: 1, 2: 0}


def test_damage_is_not_hidden(gallery: Gallery, accurate: Embedder) -> None:
    with sqlite3.connect(gallery.folder / "gallery.db") as raw:
        raw.execute("UPDATE faces SET person = 2 WHERE id = 1")
    raw.close()
    with pytest.raises(GalleryError, match="damaged: face 1 "):
        gallery.reindex_to(accurate)


def test_what_was_computed_is_checked_before_it_counts(
    gallery: Gallery,
    album: Path,
    accurate: Embedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PHOTOS_PER_CHECKPOINT", 2)
    with pytest.raises(KeyboardInterrupt):
        gallery.reindex_to(accurate, Interrupted(5))
    with sqlite3.connect(gallery.folder / "gallery.db") as raw:
        raw.execute("UPDATE reembedded SET embedding = zeroblob(512) WHERE face = 1")
    raw.close()
    gallery.reindex_to(accurate)
    assert np.allclose(
        gallery.store.vectors()[2], fresh(album, accurate, tmp_path / "other"), atol=1e-5
    )


def test_a_resume_point_without_its_table_is_none(gallery: Gallery, accurate: Embedder) -> None:
    (gallery.folder.parent / "album" / "person-00" / "pose-0.jpg").unlink()
    with pytest.raises(FacesMissing):
        gallery.reindex_to(accurate)
    with sqlite3.connect(gallery.folder / "gallery.db") as raw:
        raw.execute("DROP TABLE reembedded")
    raw.close()
    assert gallery.info().unfinished_reindex is None
    assert gallery.reindex_to(accurate, drop_missing=True).resumed == 0


def test_removed_faces_leave_the_unfinished_reindex_too(
    gallery: Gallery, accurate: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PHOTOS_PER_CHECKPOINT", 2)
    with pytest.raises(KeyboardInterrupt):
        gallery.reindex_to(accurate, Interrupted(5))
    with Store(gallery.folder, create=False).database.write("purge", {}) as connection:
        connection.exec_driver_sql("DELETE FROM faces WHERE person = 1")
        left = connection.exec_driver_sql("SELECT face FROM reembedded").scalars().all()
    assert left == [3, 4]


def test_rejected_faces_are_embedded_again(
    gallery: Gallery, embedder: Embedder, accurate: Embedder
) -> None:
    store = gallery.store
    (photo, *_) = (face.photo for face in gallery["person-00"].faces)
    with store.database.write("reject", {}) as connection:
        for sha256 in (images.sha256(photo), "0" * 64):
            connection.exec_driver_sql(
                "INSERT INTO rejections (person, sha256, box, embedding, at) "
                "SELECT 2, ?, box, embedding, '2026-01-01' FROM faces WHERE id = 1",
                (sha256,),
            )
        connection.exec_driver_sql(  # of a face that could not be recognised
            "INSERT INTO rejections (person, sha256, box, embedding, at) "
            "SELECT 2, 'none', box, x'', '2026-01-01' FROM faces WHERE id = 1"
        )
    assert gallery.reindex_to(accurate).rejections_narrowed == 1
    assert gallery.reindex_to(embedder).rejections_narrowed == 0  # it is told once
    gallery.reindex_to(accurate)
    with store.database.read() as connection:
        found = connection.exec_driver_sql("SELECT embedding FROM rejections").scalars().all()
    first = np.frombuffer(found[0], "<f4")
    assert np.allclose(first, store.vectors()[2][0], atol=1e-5)
    assert found[1] == b"", "its photo is gone; the box and the photo's hash still say which it is"


def test_a_gallery_keeps_chips_when_told_to(
    gallery: Gallery, album: Path, embedder: Embedder, accurate: Embedder, tmp_path: Path
) -> None:
    assert (gallery.info().keeps_chips, gallery.info().chips) == (False, 0)
    gallery.set_preference("keep-chips", "on")
    extra = tmp_path / "album" / "person-00" / "extra.jpg"
    Image.open(album / "person-00" / "pose-0.jpg").rotate(3).save(extra, quality=95)
    list(gallery.enroll_each([("person-00", extra)]))
    assert (gallery.info().keeps_chips, gallery.info().chips) == (True, 1)
    expected = accurate.embed(accurate.read(extra).chips)[0]
    extra.unlink()
    done = gallery.reindex_to(accurate)
    assert (done.photo, done.chip) == (6, 1)
    assert np.linalg.norm(gallery.store.vectors()[2][-1] - expected) < 0.09
    # and back, from the same chip
    assert gallery.reindex_to(embedder).chip == 1
    gallery.set_preference("keep-chips", "off")
    assert gallery.info().chips == 1
    assert gallery.drop_chips() == 1
    assert gallery.info().chips == 0
    with pytest.raises(FacesMissing, match="1 face cannot"):
        gallery.reindex_to(accurate)


def test_chips_go_with_the_person(gallery: Gallery, hopper: Path) -> None:
    gallery.set_preference("keep-chips", "on")
    list(gallery.enroll_each([("Grace", hopper)]))
    with gallery.store.database.write("purge", {}) as connection:
        connection.exec_driver_sql("DELETE FROM people WHERE name = 'Grace'")
    assert gallery.info().chips == 0


def test_a_damaged_chip_is_no_chip(
    gallery: Gallery, accurate: Embedder, hopper: Path, tmp_path: Path
) -> None:
    photo = tmp_path / "hopper.jpg"
    photo.write_bytes(hopper.read_bytes())
    gallery.set_preference("keep-chips", "on")
    list(gallery.enroll_each([("Grace", photo)]))
    photo.unlink()
    with sqlite3.connect(gallery.folder / "gallery.db") as raw:
        raw.execute("UPDATE chips SET image = x'00'")
    raw.close()
    with pytest.raises(FacesMissing) as error:
        gallery.reindex_to(accurate)
    (missing,) = error.value.missing
    assert missing == replace(missing, name="Grace", photo=photo)
    assert missing.reason == "no such file; a chip that is no plain WebP file"
