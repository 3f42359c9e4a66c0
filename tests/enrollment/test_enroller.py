"""Enrolling: strays are held back, copies left out, and an interruption repeats nothing."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.core.progress import Silent
from facesearch.enrollment.enroller import PHOTOS_PER_TRANSACTION
from facesearch.enrollment.results import EnrolledPhoto
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.storage.store import Store
from facesearch.storage.vault import Secret
from facesearch.vision.embedder import Embedder
from facesearch.vision.face_reader import AlignedPhoto
from tests.support.pictures import changed

KEY = b"k" * 32


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery") as gallery:
        yield gallery


def revision(gallery: Gallery) -> str:
    with closing(Store(gallery.folder, create=False)) as store:
        return store.revision()


def enroll(
    gallery: Gallery,
    asked: list[tuple[str, Path]],
    *,
    include_doubtful: bool = False,
    dry_run: bool = False,
) -> dict[str, EnrolledPhoto]:
    """The results, by the photo's folder and name."""
    results = gallery.enroll_each(asked, include_doubtful=include_doubtful, dry_run=dry_run)
    return {f"{path.parent.name}/{path.stem}": one for one in results for path in [path_of(one)]}


def path_of(result: EnrolledPhoto) -> Path:
    assert isinstance(result.photo, Path)
    return result.photo


@pytest.fixture
def tree(people: Path, group_photo: Path, tmp_path: Path) -> Path:
    """Three people; a group photo and a photo of the third are in the first one's folder."""
    root = tmp_path / "tree"
    for number, name in enumerate(("ann", "bob", "eve")):
        shutil.copytree(people / f"person-{number:02}", root / name)
    shutil.move(root / "eve" / "pose-4.jpg", root / "ann" / "eve.jpg")
    shutil.copy(group_photo, root / "ann" / "a group.jpg")
    return root


def asked(root: Path, *, reverse: bool = False) -> list[tuple[str, Path]]:
    return sorted(((path.parent.name, path) for path in root.glob("*/*")), reverse=reverse)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_tree_with_a_group_and_a_stray(
    gallery: Gallery, embedder: Embedder, tree: Path, reverse: bool
) -> None:
    found = enroll(gallery, asked(tree, reverse=reverse))
    assert found["ann/a group"].status == "enrolled"
    assert found["ann/a group"].reason == "of 3 faces the one like the rest of the folder"
    stray = found["ann/eve"]
    assert (stray.status, stray.held, stray.faces) == ("skipped", True, 0)
    assert stray.other is not None
    assert stray.other.name == "eve"
    assert stray.other.photo.parent.name == "eve"
    assert stray.nearest is not None
    assert stray.nearest.parent.name == "ann"
    counts = {person.name: person.faces for person in gallery.people()}
    assert counts == {"ann": 6, "bob": 5, "eve": 4}
    (face,) = [face for face in gallery["ann"].faces if face.photo.stem == "a group"]
    where = embedder.read(tree / "ann" / "a group.jpg").faces
    assert face.box == min((one.box for one in where), key=lambda box: box.left)


def test_a_dry_run_says_the_same_and_writes_nothing(gallery: Gallery, tree: Path) -> None:
    before = revision(gallery)
    dry = enroll(gallery, asked(tree), dry_run=True)
    assert revision(gallery) == before
    assert gallery.people() == []
    real = enroll(gallery, asked(tree))
    assert {key: (one.status, one.reason) for key, one in dry.items()} == {
        key: (one.status, one.reason) for key, one in real.items()
    }


def test_doubtful_photos_are_enrolled_if_they_are_included(gallery: Gallery, tree: Path) -> None:
    shutil.copy(tree / "bob" / "pose-0.jpg", tree / "bob" / "copy.jpg")
    Image.open(tree / "bob" / "pose-1.jpg").save(tree / "bob" / "again.jpg", quality=70)
    found = enroll(gallery, asked(tree), include_doubtful=True)
    assert found["ann/eve"].status == "enrolled"
    assert found["ann/eve"].reason.startswith("enrolled all the same: unlike the rest")
    assert found["bob/again"].status == "enrolled"
    assert [key for key, one in found.items() if one.status != "enrolled"] == ["bob/pose-0"]


def test_copies_are_enrolled_once(
    gallery: Gallery, portraits: dict[str, Image.Image], tmp_path: Path
) -> None:
    """The largest is, in whichever order they come, now or later."""
    folder = tmp_path / "grace"
    folder.mkdir()
    photos = [
        changed(portraits["grace_hopper"], how, folder / how)
        for how in ("cropped", "smaller", "first", "worse")
    ]
    found = enroll(gallery, [("grace", path) for path in photos])
    kept = [key for key, one in found.items() if one.status == "enrolled"]
    assert kept in (["grace/first"], ["grace/worse"])  # they are of one size
    for key, one in found.items():
        if key not in kept:
            assert one.status == "duplicate"
            assert one.reason == f"nearly the same picture as {one.nearest}"
            assert one.distance is not None
            assert one.distance < 0.2
    later = changed(portraits["grace_hopper"], "webp", folder / "later")
    assert enroll(gallery, [("grace", later)])["grace/later"].status == "duplicate"
    assert [person.faces for person in gallery.people()] == [1]


def test_a_photo_in_the_wrong_folder_does_not_bar_it_from_the_right_one(
    gallery: Gallery, tree: Path
) -> None:
    shutil.copy(tree / "ann" / "eve.jpg", tree / "eve")
    found = enroll(gallery, asked(tree))
    assert found["eve/eve"].status == "enrolled"
    assert found["ann/eve"].held


def test_a_stray_is_told_by_who_is_enrolled_already(
    gallery: Gallery, people: Path, tmp_path: Path
) -> None:
    bob = sorted((people / "person-01").iterdir())
    enroll(gallery, [("bob", path) for path in bob[:3]])
    lone = tmp_path / "lone.jpg"
    shutil.copy(bob[3], lone)
    (held,) = enroll(gallery, [("ann", lone)]).values()
    assert (held.held, held.other.name if held.other else "") == (True, "bob")
    assert [person.name for person in gallery.people()] == ["bob"]


def test_going_on_after_a_break(gallery: Gallery, tree: Path) -> None:
    first = gallery.enroll_each(asked(tree))
    told = [next(first) for _ in range(7)]
    first.close()
    again = enroll(gallery, asked(tree))
    for one in told:
        key = f"{path_of(one).parent.name}/{path_of(one).stem}"
        if one.status == "enrolled":
            assert again[key].reason == "enrolled before"
    counts = {person.name: person.faces for person in gallery.people()}
    assert counts == {"ann": 6, "bob": 5, "eve": 4}


class Counting(Embedder):
    """Counts the photos that are read."""

    photos = 0

    def read(self, path: Path, *, keep: bool = False) -> AlignedPhoto:
        self.photos += 1
        return super().read(path, keep=keep)


class StopAfter(Silent):
    """Ctrl-C after so many photos."""

    def __init__(self, photos: int) -> None:
        self.left = photos

    def advance(self, note: str = "") -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("sealed", [False, True])
def test_a_break_in_one_large_folder_repeats_nothing_that_was_kept(
    embedder: Embedder, people: Path, tmp_path: Path, sealed: bool
) -> None:
    source = (people / "person-00" / "pose-0.jpg").read_bytes()
    photos = [("ann", tmp_path / f"{number}.jpg") for number in range(PHOTOS_PER_TRANSACTION + 12)]
    for number, (_, path) in enumerate(photos):
        path.write_bytes(source + bytes([number]))
    counting = Counting(embedder.model)
    with Gallery(tmp_path / "gallery", recognizer=Recognizer.of(counting)) as gallery:
        if sealed:
            gallery.encrypt(Secret("key file", KEY))
        stop = StopAfter(PHOTOS_PER_TRANSACTION + 4)
        with pytest.raises(KeyboardInterrupt):
            list(gallery.enroll_each(photos, include_doubtful=True, progress=stop))
        assert gallery.people() == []
        counting.photos = 0
        done = list(gallery.enroll_each(photos, include_doubtful=True))
    assert [one.status for one in done] == ["enrolled"] * len(photos)
    assert counting.photos == 12, "what was read before the break is noted batch by batch"
    with closing(Store(tmp_path / "gallery", create=False, keys=lambda kind: KEY)) as store:
        _, _, vectors = store.vectors()
        assert np.array_equal(vectors[0], vectors[-1])  # one picture, before the break and after it
        with store.database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM looked").scalar() == 0
