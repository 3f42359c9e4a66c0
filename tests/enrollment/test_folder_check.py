"""A folder is judged as a whole: who is its person, who is not, and which photos are copies."""

import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from facesearch.core.progress import Silent
from facesearch.enrollment.enroller import PHOTOS_PER_TRANSACTION, EnrolledPhoto, Which
from facesearch.enrollment.folder_check import CERTAIN, Folder, Verdict
from facesearch.enrollment.journal import PhotoScan, ScanJournal
from facesearch.gallery.legacy import Gallery
from facesearch.matching.calibration import Calibration, calibration_of
from facesearch.matching.decision import Candidate
from facesearch.storage.vault import Secret
from facesearch.vision.embedder import Embedder
from facesearch.vision.face_reader import AlignedPhoto
from facesearch.vision.near_duplicates import compared, copies, sketch
from tests.support.invented import faces_of

NOBODY = np.empty((0, 128), np.float32)


@pytest.fixture(scope="session")
def calibration(embedder: Embedder) -> Calibration:
    return calibration_of(embedder.model)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        yield gallery


def judged(
    photos: list[NDArray[np.float32]],
    calibration: Calibration,
    others: list[Candidate] | None = None,
    known: NDArray[np.float32] = NOBODY,
) -> list[Verdict]:
    sure = [np.full(len(faces), 0.999) for faces in photos]
    folder = Folder(photos, sure, known, 0.999, calibration)
    verdicts = [folder.judge(place, others or [], 100) for place in range(len(photos))]
    assert None not in verdicts
    return [verdict for verdict in verdicts if verdict is not None]


def test_the_face_in_most_photos_is_the_person_whatever_the_order(
    calibration: Calibration,
) -> None:
    ann, bob, eve = faces_of(0, 4), faces_of(1, 4), faces_of(2, 4)
    photos = {
        "ann": ann[:1],
        "bob": bob[:1],
        "ann and bob": np.stack([bob[1], ann[1]]),
        "ann and eve": np.stack([ann[2], eve[2]]),
        "bob and eve": np.stack([bob[3], eve[3]]),
        "ann again": ann[3:],
    }
    for order in itertools.permutations(photos):
        found = dict(zip(order, judged([photos[n] for n in order], calibration), strict=True))
        assert not found["ann"].held
        assert not found["ann again"].held
        assert found["bob"].held
        assert found["ann and bob"].face == 1
        assert found["ann and eve"].face == 0
        assert found["bob and eve"].face is None
        assert "none like the rest of the folder" in found["bob and eve"].reason


def test_what_is_held_back_says_why(calibration: Calibration) -> None:
    ann, bob = faces_of(0, 3), faces_of(1, 1)
    photos = [ann[:1], bob, ann[1:2], ann[2:]]
    alone = judged(photos, calibration)[1]
    assert (alone.held, alone.other) == (True, None)
    assert "unlike the rest of the folder" in alone.reason
    assert alone.reason.endswith("like nobody known")
    assert alone.distance is not None
    assert alone.distance > 0.5
    assert alone.nearest in (0, 2, 3)
    other = Candidate("Bob", 0.2, Path("bob.jpg"), 10.0)
    like_bob = judged(photos, calibration, [other])[1]
    assert like_bob.other == other
    assert like_bob.reason.endswith("like Bob (0.200)")


def test_one_or_two_photos_are_not_judged_without_another_person(
    calibration: Calibration,
) -> None:
    ann, bob = faces_of(0, 1), faces_of(1, 1)
    for photos in ([ann], [ann, bob], [ann, bob, faces_of(2, 1)]):
        assert [verdict.held for verdict in judged(photos, calibration)] == [False] * len(photos)
    clearly = Candidate("Bob", 0.1, Path("bob.jpg"), 18.0)
    (held,) = judged([bob], calibration, [clearly])
    assert held.held
    assert held.reason == "nothing else shows whose it is, like Bob (0.100)"
    perhaps = Candidate("Bob", 0.4, Path("bob.jpg"), 1.0)
    assert not judged([bob], calibration, [perhaps])[0].held


def test_who_is_surely_another_is_held_back_however_many_there_are(
    calibration: Calibration,
) -> None:
    ann, away = faces_of(0, 3), faces_of(7, 1)[0]

    def folder(share: float) -> Folder:
        doubtful = (1 - share) * ann.mean(axis=0) + share * away
        photos = [*np.split(ann, 3), (doubtful / np.linalg.norm(doubtful))[None]]
        return Folder(photos, [np.full(1, 0.999)] * 4, NOBODY, 0.0, calibration)

    said = {share: folder(share).evidence(3).log_ratio for share in np.linspace(0.1, 0.9, 81)}
    share, own = min(said.items(), key=lambda pair: abs(pair[1]))  # nothing for it or against it
    assert abs(own) < 1
    for surer, held in ((2 * CERTAIN - 0.1, False), (2 * CERTAIN + 0.1, True)):
        other = Candidate("Bob", 0.2, Path("bob.jpg"), own + surer)
        verdict = folder(share).judge(3, [other], 1_000_000)
        assert verdict is not None
        assert (verdict.held, verdict.other) == (held, other)


def test_a_tie_is_no_answer(calibration: Calibration) -> None:
    ann, bob = faces_of(0, 3), faces_of(1, 3)
    even = [ann[:1], ann[1:2], bob[:1], bob[1:2]]
    assert [verdict.held for verdict in judged(even, calibration)] == [False] * 4
    together = [np.stack(pair) for pair in zip(ann, bob, strict=True)]
    for verdict in judged(together, calibration):
        assert verdict.face is None
        assert verdict.reason == "2 faces found, and nothing says whose is whose"
    known = judged(together, calibration, known=faces_of(1, 5)[3:])
    assert [verdict.face for verdict in known] == [1, 1, 1]


def test_what_depends_on_others_waits_for_them(calibration: Calibration) -> None:
    photos = [*np.split(faces_of(0, 3), 3), faces_of(1, 1)]
    folder = Folder(photos, [np.ones(1)] * 4, NOBODY, 0.0, calibration)
    answers = [folder.judge(place, None, 0) for place in range(4)]
    assert [answer is None for answer in answers] == [False, False, False, True]


def test_a_large_folder_is_judged_by_a_part_of_it(calibration: Calibration) -> None:
    photos = [*np.split(faces_of(0, 2400), 2400), *np.split(faces_of(1, 40), 40)]
    folder = Folder(photos, [np.ones(1)] * len(photos), NOBODY, 0.0, calibration)
    held = [
        place
        for place in [*range(0, 2400, 100), *range(2400, 2440)]
        if (verdict := folder.judge(place, [], 1)) is None or verdict.held
    ]
    assert held == list(range(2400, 2440))


def test_an_empty_folder(calibration: Calibration) -> None:
    assert Folder([], [], NOBODY, 0.0, calibration).template is None


# Copies


@pytest.fixture(scope="session")
def portraits(hopper: Path, collins: Path) -> dict[str, Image.Image]:
    return {path.stem: Image.open(path).convert("RGB") for path in (hopper, collins)}


def changed(picture: Image.Image, how: str, to: Path) -> Path:
    width, height = picture.size
    if how == "smaller":
        picture = picture.resize((round(0.6 * width), round(0.6 * height)))
    if how == "cropped":
        edges = 0.05 * width, 0.04 * height, 0.97 * width, 0.95 * height
        picture = picture.crop(tuple(round(edge) for edge in edges))
    path = to.with_suffix({"webp": ".webp", "png": ".png"}.get(how, ".jpg"))
    options = {} if how == "png" else {"quality": 50 if how == "worse" else 85}
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("how", ["again", "worse", "smaller", "cropped", "webp", "png"])
@pytest.mark.parametrize("who", ["grace_hopper", "collins"])
def test_copies_are_known(
    embedder: Embedder, portraits: dict[str, Image.Image], who: str, how: str, tmp_path: Path
) -> None:
    first = changed(portraits[who], "first", tmp_path / "first")
    other = changed(portraits[who], how, tmp_path / "other")
    a, b = (sketch(path, embedder.read(path).faces[0]) for path in (first, other))
    assert copies(a, b)
    assert copies(b, a)


def test_other_photos_are_no_copies(embedder: Embedder, people: Path, lfw: Path) -> None:
    folders = [*sorted(people.iterdir()), lfw / "Colin_Powell"]
    for folder in folders:
        photos = sorted(folder.iterdir())[:5]
        found = [sketch(path, embedder.read(path).faces[0]) for path in photos]
        for a, b in itertools.combinations(found, 2):
            assert not copies(a, b), (folder.name, compared(a, b))


# In a gallery


def enrol(
    gallery: Gallery,
    embedder: Embedder,
    asked: list[tuple[str, Path]],
    *,
    which: Which = "only",
    insist: bool = False,
    dry_run: bool = False,
) -> dict[str, EnrolledPhoto]:
    """By the photo's folder and name."""
    results = gallery.enroll(asked, embedder, Silent(), which, insist=insist, dry_run=dry_run)
    return {f"{one.photo.parent.name}/{one.photo.stem}": one for one in results}


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
    found = enrol(gallery, embedder, asked(tree, reverse=reverse))
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
    (face,) = [face for face in gallery.faces_of("ann") if face.photo.stem == "a group"]
    where = embedder.read(tree / "ann" / "a group.jpg").faces
    assert face.box == min((one.box for one in where), key=lambda box: box.left)


def test_a_dry_run_says_the_same_and_writes_nothing(
    gallery: Gallery, embedder: Embedder, tree: Path
) -> None:
    revision = gallery._store.revision()
    dry = enrol(gallery, embedder, asked(tree), dry_run=True)
    assert gallery._store.revision() == revision
    assert gallery.people() == []
    real = enrol(gallery, embedder, asked(tree))
    assert {key: (one.status, one.reason) for key, one in dry.items()} == {
        key: (one.status, one.reason) for key, one in real.items()
    }


def test_who_insists_gets_everything(gallery: Gallery, embedder: Embedder, tree: Path) -> None:
    shutil.copy(tree / "bob" / "pose-0.jpg", tree / "bob" / "copy.jpg")
    Image.open(tree / "bob" / "pose-1.jpg").save(tree / "bob" / "again.jpg", quality=70)
    found = enrol(gallery, embedder, asked(tree), insist=True)
    assert found["ann/eve"].status == "enrolled"
    assert found["ann/eve"].reason.startswith("enrolled all the same: unlike the rest")
    assert found["bob/again"].status == "enrolled"
    assert [key for key, one in found.items() if one.status != "enrolled"] == ["bob/pose-0"]


def test_copies_are_enrolled_once(
    gallery: Gallery, embedder: Embedder, portraits: dict[str, Image.Image], tmp_path: Path
) -> None:
    """The largest is, in whichever order they come, now or later."""
    folder = tmp_path / "grace"
    folder.mkdir()
    photos = [
        changed(portraits["grace_hopper"], how, folder / how)
        for how in ("cropped", "smaller", "first", "worse")
    ]
    found = enrol(gallery, embedder, [("grace", path) for path in photos])
    kept = [key for key, one in found.items() if one.status == "enrolled"]
    assert kept in (["grace/first"], ["grace/worse"])  # they are of one size
    for key, one in found.items():
        if key not in kept:
            assert one.status == "duplicate"
            assert one.reason == f"nearly the same picture as {one.nearest}"
            assert one.distance is not None
            assert one.distance < 0.2
    later = changed(portraits["grace_hopper"], "webp", folder / "later")
    assert enrol(gallery, embedder, [("grace", later)])["grace/later"].status == "duplicate"
    assert [person.faces for person in gallery.people()] == [1]


def test_a_photo_in_the_wrong_folder_does_not_bar_it_from_the_right_one(
    gallery: Gallery, embedder: Embedder, tree: Path
) -> None:
    shutil.copy(tree / "ann" / "eve.jpg", tree / "eve")
    found = enrol(gallery, embedder, asked(tree))
    assert found["eve/eve"].status == "enrolled"
    assert found["ann/eve"].held


def test_a_stray_is_told_by_who_is_enrolled_already(
    gallery: Gallery, embedder: Embedder, people: Path, tmp_path: Path
) -> None:
    bob = sorted((people / "person-01").iterdir())
    enrol(gallery, embedder, [("bob", path) for path in bob[:3]])
    lone = tmp_path / "lone.jpg"
    shutil.copy(bob[3], lone)
    (held,) = enrol(gallery, embedder, [("ann", lone)]).values()
    assert (held.held, held.other.name if held.other else "") == (True, "bob")
    assert [person.name for person in gallery.people()] == ["bob"]


def test_going_on_after_a_break(gallery: Gallery, embedder: Embedder, tree: Path) -> None:
    first = gallery.enroll(asked(tree), embedder, Silent())
    told = [next(first) for _ in range(7)]
    first.close()
    again = enrol(gallery, embedder, asked(tree))
    for one in told:
        key = f"{one.photo.parent.name}/{one.photo.stem}"
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
    gallery: Gallery, embedder: Embedder, people: Path, tmp_path: Path, sealed: bool
) -> None:
    if sealed:
        gallery.encrypt(Secret("key file", b"k" * 32))
    source = (people / "person-00" / "pose-0.jpg").read_bytes()
    photos = [("ann", tmp_path / f"{number}.jpg") for number in range(PHOTOS_PER_TRANSACTION + 12)]
    for number, (_, path) in enumerate(photos):
        path.write_bytes(source + bytes([number]))
    counting = Counting(embedder.model)
    with pytest.raises(KeyboardInterrupt):
        list(gallery.enroll(photos, counting, StopAfter(PHOTOS_PER_TRANSACTION + 4), insist=True))
    assert gallery.people() == []
    counting.photos = 0
    done = list(gallery.enroll(photos, counting, Silent(), insist=True))
    assert [one.status for one in done] == ["enrolled"] * len(photos)
    assert counting.photos == 12, "what was looked at before the break is kept batch by batch"
    _, _, vectors = gallery._store.vectors()
    assert np.array_equal(vectors[0], vectors[-1])  # one picture, before the break and after it
    with gallery._store.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM looked").scalar() == 0


def test_a_damaged_note_of_a_photo_is_not_used(
    gallery: Gallery, embedder: Embedder, people: Path, tmp_path: Path
) -> None:
    photo = people / "person-00" / "pose-0.jpg"
    (seen,) = embedder.faces(embedder.read(photo))
    look = PhotoScan(photo, "f" * 64, 300, 300, [seen])
    looked = ScanJournal(gallery._store.database, embedder, keep=False)
    assert looked.recall({look.sha256: photo}) == {}
    looked.keep([look])
    (again,) = looked.recall({look.sha256: photo}).values()
    assert again.faces[0].face == seen.face
    assert np.array_equal(again.faces[0].embedding, seen.embedding)
    assert (
        ScanJournal(gallery._store.database, embedder, keep=True).recall({look.sha256: photo}) == {}
    )
    with closing(sqlite3.connect(gallery.folder / "gallery.db", isolation_level=None)) as raw:
        raw.execute("UPDATE looked SET content = CAST(replace(content, '300', '301') AS BLOB)")
        assert looked.recall({look.sha256: photo}) == {}
        raw.execute("UPDATE looked SET content = 'no bytes'")
    assert looked.recall({look.sha256: photo}) == {}
