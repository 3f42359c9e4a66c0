"""What is done to people can be undone, and what was rejected stays rejected."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image

from facesearch.core import paths
from facesearch.core.errors import PersonError, PhotoError
from facesearch.core.face import Box
from facesearch.core.progress import Silent
from facesearch.gallery import curation
from facesearch.gallery.contact_sheet import contact_sheet
from facesearch.gallery.doctor import examine
from facesearch.gallery.legacy import EnrolledPhoto, Gallery, Identification
from facesearch.gallery.rejections import reject
from facesearch.matching.calibration import Calibration, calibration_of
from facesearch.matching.duplicates import near_enough
from facesearch.matching.rejection import NEAR
from facesearch.storage import schema
from facesearch.storage.schema import face_checksum, person_checksum, photo_checksum
from facesearch.storage.store import Store
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model
from tests.support.invented_photos import MODEL, photo


@pytest.fixture
def gallery(where: Path | str) -> Iterator[Gallery]:
    """ann with faces 1 to 3, bob with faces 4 and 5; on either engine."""
    with Gallery(where, create=True) as gallery:
        new = [photo("ann", n) for n in (1, 2, 3)] + [photo("bob", n) for n in (4, 5)]
        gallery._store.add(new, MODEL)
        yield gallery


@pytest.fixture(scope="session")
def calibration(embedder: Embedder) -> Calibration:
    return calibration_of(embedder.model)


def state(gallery: Gallery) -> dict[str, Any]:
    """Everybody with their faces and terms, and what is rejected."""
    people = {
        person.name: (
            [face.number for face in gallery.faces_of(person.name)],
            person.expires,
            person.consent,
        )
        for person in gallery.people()
    }
    return {"people": people, "rejected": [(r.name, r.sha256) for r in gallery.rejections()]}


def not_theirs(gallery: Gallery, name: str, number: int, box: Box | None = None) -> int:
    """Reject the face of an invented photo."""
    seen = photo("", number)
    where = box or seen.faces[0].box
    return reject(gallery._store.database, name, seen.sha256, where, seen.embeddings[0]).number


def test_a_merge_and_its_undoing(gallery: Gallery) -> None:
    gallery.set_terms("ann", expires="2031-01-01", consent="on paper")
    gallery.set_terms("bob", expires="2030-01-01", consent="by mail")
    not_theirs(gallery, "bob", 77)
    before = state(gallery)
    assert gallery.merge("ann", "bob") == 2
    assert state(gallery) == {
        "people": {"ann": ([1, 2, 3, 4, 5], "2030-01-01", "on paper; by mail")},
        "rejected": [("ann", photo("", 77).sha256)],
    }
    assert gallery.info().people == 1
    assert gallery._store.known([photo("", 4).sha256]) == {photo("", 4).sha256: {"ann"}}
    change = gallery.undo()
    assert (change.action, change.line) == ("merge", "bob was merged into ann (2 faces)")
    assert state(gallery) == before


def test_terms_set_after_a_merge_survive_its_undoing(gallery: Gallery) -> None:
    gallery.merge("ann", "bob")
    gallery.set_terms("ann", expires="2032-02-02")
    gallery.undo()
    assert gallery.person("ann").expires == "2032-02-02"


def test_a_split_and_its_undoing(gallery: Gallery) -> None:
    gallery.set_terms("ann", expires="2031-01-01")
    before = state(gallery)
    assert gallery.split("ann", [3, 1, 3], "carl") == 2
    after = state(gallery)["people"]
    assert after["ann"] == ([2], "2031-01-01", None)
    assert after["carl"] == ([1, 3], "2031-01-01", None)
    assert gallery.undo().line == "2 faces of ann became carl's"
    assert state(gallery) == before
    assert gallery.split("ann", [2], "bob") == 1
    assert state(gallery)["people"]["bob"][0] == [2, 4, 5]
    gallery.undo()
    assert state(gallery) == before
    gallery.split("ann", [1], "carl")  # the name of the one who was made and undone is free


def test_faces_that_came_since_stay_when_a_split_is_undone(gallery: Gallery) -> None:
    gallery.split("ann", [1], "carl")
    gallery._store.add([photo("carl", 6)], MODEL)
    gallery.undo()
    people = state(gallery)["people"]
    assert (people["ann"][0], people["carl"][0]) == ([1, 2, 3], [6])


@pytest.mark.parametrize(
    ("faces", "into", "words"),
    [
        ([1, 4], "carl", "ann: has no face 4"),
        ([99], "carl", "ann: has no face 99"),
        ([], "carl", "ann: no face was chosen"),
        ([1, 2, 3], "carl", "ann: these are all of their faces"),
        ([1], "ann", "ann: the faces are theirs already"),
        ([1], "", "must not be empty"),
    ],
)
def test_splits_that_are_none(gallery: Gallery, faces: list[int], into: str, words: str) -> None:
    before, revision = state(gallery), gallery._store.revision()
    with pytest.raises(PersonError, match=words):
        gallery.split("ann", faces, into)
    assert (state(gallery), gallery._store.revision()) == (before, revision)


def test_merges_that_are_none(gallery: Gallery) -> None:
    before = state(gallery)
    for pair in (("ann", "ann"), ("ann", "carl"), ("carl", "ann")):
        with pytest.raises(PersonError, match=r"themselves|nobody of this name"):
            gallery.merge(*pair)
    assert state(gallery) == before
    assert gallery.changes() == []


def test_everything_is_undone_in_its_order(gallery: Gallery) -> None:
    states = [state(gallery)]
    for change in (
        lambda: gallery.rename("ann", "Zoë"),
        lambda: gallery.merge("Zoë", "bob"),
        lambda: gallery.split("Zoë", [1, 4], "bob"),
        lambda: not_theirs(gallery, "bob", 4),
        lambda: gallery.remove("Zoë"),
        lambda: gallery._store.add([photo("Zoë", 6)], MODEL),
        lambda: gallery.rename("Zoë", "ann"),
    ):
        change()
        states.append(state(gallery))
    assert [change.action for change in gallery.changes()] == [
        "rename",
        "remove",
        "reject",
        "split",
        "merge",
        "rename",
    ]
    gallery.undo()
    assert state(gallery) == states[6]
    with pytest.raises(PersonError, match="cannot be undone: Zoë was removed: Zoë: this name is"):
        gallery.undo()
    assert state(gallery) == states[6]
    gallery.rename("Zoë", "another")
    gallery.remove("another")
    remove = gallery.changes()[2]
    assert gallery.undo(remove.event).line == "Zoë was removed"
    for before in (states[3], states[2], states[1], states[0]):
        gallery.undo(gallery.changes()[2].event)
        assert state(gallery) == before
    assert [change.line for change in gallery.changes()] == [
        "another was removed",
        "Zoë became another",
    ]


def test_nothing_to_undo(gallery: Gallery) -> None:
    with pytest.raises(PersonError, match="nothing to undo"):
        gallery.undo()
    gallery.rename("ann", "anna")
    with pytest.raises(PersonError, match="event 999: nothing to undo"):
        gallery.undo(999)
    event = gallery.undo().event
    with pytest.raises(PersonError, match="nothing to undo"):
        gallery.undo(event)
    assert state(gallery)["people"].keys() == {"ann", "bob"}


def test_undoing_in_another_order_says_what_is_in_the_way(gallery: Gallery) -> None:
    gallery.merge("ann", "bob")
    gallery.split("ann", [4], "carl")
    gallery.rename("carl", "carla")
    gallery.remove("carla")
    remove, rename, split, merge = (change.event for change in gallery.changes())
    before = state(gallery)
    for event, words in (
        (rename, "the person has been removed since"),
        (merge, "face 4 went elsewhere since"),
    ):
        with pytest.raises(PersonError, match=words):
            gallery.undo(event)
        assert state(gallery) == before
    gallery.undo(split)  # the faces of somebody removed are there
    assert state(gallery)["people"]["ann"][0] == [1, 2, 3, 4, 5]
    gallery.undo(remove)
    gallery.rename("carla", "carola")
    with pytest.raises(PersonError, match="carla is called carola now"):
        gallery.undo(rename)
    gallery.undo(merge)
    assert state(gallery)["people"]["bob"][0] == [4, 5]


def test_a_face_is_never_there_twice(gallery: Gallery) -> None:
    """Who was removed does not come back with a photo that is somebody else's now."""
    gallery.remove("bob")
    gallery._store.add([photo("carl", 4, path=Path("/elsewhere/4.jpg"))], MODEL)
    assert gallery.faces_of("carl")[0].photo == Path("/elsewhere/4.jpg")
    with pytest.raises(
        PersonError, match=r"bob was removed: /elsewhere/4\.jpg is enrolled as carl"
    ):
        gallery.undo()
    gallery.remove("carl")
    gallery.undo(gallery.changes()[1].event)
    assert state(gallery)["people"]["bob"][0] == [4, 5]


def test_removed_people_are_in_no_answer(gallery: Gallery) -> None:
    before = gallery._store.vectors()[1].tolist()
    assert before == [1, 1, 1, 2, 2]
    assert gallery.remove("ann") == 3
    store = gallery._store
    assert [person.name for person in store.people()] == ["bob"]
    assert store.vectors()[1].tolist() == [2, 2]
    assert store.person_faces([1, 2]).keys() == {2}
    assert store.known([photo("", 1).sha256]) == {}
    assert store.photo_count() == 2
    assert len(gallery._current_index()) == 1
    for job in (
        lambda: gallery.faces_of("ann"),
        lambda: gallery.remove("ann"),
        lambda: gallery.merge("bob", "ann"),
        lambda: gallery.set_terms("ann", consent="x"),
        lambda: gallery.profile("ann"),
        lambda: not_theirs(gallery, "ann", 4),
    ):
        with pytest.raises(PersonError, match="ann: nobody of this name is enrolled"):
            job()
    store.add([photo("ann", 1), photo("ann", 8)], MODEL)  # another ann, partly the same photos
    assert gallery.person("ann").faces == 2


def test_the_log_holds_no_face_data_and_the_rows_stay_sound(gallery: Gallery) -> None:
    not_theirs(gallery, "ann", 2)
    gallery.merge("ann", "bob")
    gallery.split("ann", [1, 4], "carl")
    gallery.remove("carl")
    gallery.undo()
    gallery.rename("ann", "anna")
    with gallery._store.database.read() as connection:
        details = connection.execute(sa.select(schema.events.c.detail)).scalars().all()
        for person in connection.execute(sa.select(schema.people)):
            assert person.checksum == person_checksum(person.id, person.name)
        for row in connection.execute(sa.select(schema.photos)):
            assert row.checksum == photo_checksum(row.id, row.path, row.sha256)
        rows = connection.execute(schema.face_rows()).all()
    assert len(rows) == 5
    for _, *fields, checksum in rows:
        assert checksum == face_checksum(*fields)
    for detail in details:
        for value in detail.values():
            if isinstance(value, list):
                assert all(each is None or isinstance(each, int) for each in value)


def test_one_change_is_one_event_and_one_revision(gallery: Gallery) -> None:
    for change in (
        lambda: gallery.merge("ann", "bob"),
        lambda: gallery.undo(),
        lambda: gallery.split("ann", [1], "carl"),
        lambda: not_theirs(gallery, "ann", 2),
        lambda: gallery.forget(1),
        lambda: gallery.set_terms("ann", consent="yes"),
        lambda: gallery.remove("ann"),
    ):
        before, revision = events(gallery), gallery._store.revision()
        change()
        assert events(gallery) == before + 1
        assert gallery._store.revision() != revision


def events(gallery: Gallery) -> int:
    with gallery._store.database.read() as connection:
        return len(connection.execute(sa.select(schema.events.c.id)).all())


# Rejections


def test_a_rejected_face_is_taken_out_and_comes_back(gallery: Gallery) -> None:
    before = state(gallery)
    assert not_theirs(gallery, "ann", 2) == 1
    after = state(gallery)
    assert after["people"]["ann"][0] == [1, 3]
    assert after["rejected"] == [("ann", photo("", 2).sha256)]
    assert gallery._store.known([photo("", 2).sha256]) == {}
    with pytest.raises(PersonError, match="rejected before \\(rejection 1\\)"):
        not_theirs(gallery, "ann", 2)
    assert gallery.undo().line == "a face was rejected as ann's"
    assert state(gallery) == before
    not_theirs(gallery, "ann", 99)  # enrolled nowhere
    assert state(gallery)["people"] == before["people"]
    gallery.undo()
    assert state(gallery) == before


def test_a_rejection_is_of_one_face_of_the_photo(gallery: Gallery) -> None:
    gallery._store.add([photo("ann", 9, faces=2)], MODEL)
    first, second = gallery.faces_of("ann")[-2:]
    not_theirs(gallery, "ann", 9, box=Box(110, 5, 165, 84))  # the second, a little moved
    assert [face.number for face in gallery.faces_of("ann")] == [1, 2, 3, first.number]
    gallery.undo()
    assert gallery.faces_of("ann")[-1] == second


def test_forgotten_rejections(gallery: Gallery) -> None:
    not_theirs(gallery, "ann", 2)
    not_theirs(gallery, "bob", 99)
    for number in (7, 0, -1, 99999999999999999999999):
        with pytest.raises(PersonError, match=f"{number}: no such rejection"):
            gallery.forget(number)
    gallery.forget(2)
    gallery.forget(1)
    assert gallery.rejections() == []
    assert gallery.person("ann").faces == 2  # what was taken out stays out
    assert [change.line for change in gallery.changes()] == ["a face was rejected as ann's"]
    gallery.undo()
    assert gallery.person("ann").faces == 3


def test_a_rejected_face_that_was_enrolled_anew_does_not_come_back(gallery: Gallery) -> None:
    not_theirs(gallery, "ann", 2)
    gallery._store.add([photo("bob", 2)], MODEL)
    with pytest.raises(PersonError, match=r"photos/2\.jpg is enrolled as bob since"):
        gallery.undo()
    assert gallery.person("bob").faces == 3
    assert gallery.rejected_pairs()[0].enrolled_as == "bob"


@pytest.mark.parametrize(("name", "number"), [("ann", 4), ("bob", 1)])
def test_a_merge_against_a_rejection(gallery: Gallery, name: str, number: int) -> None:
    """Whichever of the two it names."""
    not_theirs(gallery, name, number)
    (pair,) = gallery.rejected_pairs()
    other = "bob" if name == "ann" else "ann"
    assert (pair.name, pair.face, pair.enrolled_as) == (name, number, other)
    before = state(gallery)
    for into, absorbed in (("ann", "bob"), ("bob", "ann")):
        words = rf"{name}: face {number} of {other} \(/photos/{number}.jpg\) was rejected as theirs"
        with pytest.raises(PersonError, match=words):
            gallery.merge(into, absorbed)
    assert state(gallery) == before
    gallery.merge("ann", "bob", force=True)
    assert state(gallery)["rejected"] == []
    assert gallery.person("ann").faces == 5
    gallery.undo()
    assert state(gallery) == before


def test_a_split_against_a_rejection(gallery: Gallery) -> None:
    not_theirs(gallery, "bob", 1)
    before = state(gallery)
    with pytest.raises(PersonError, match=r"bob: face 1 of ann .* was rejected as theirs"):
        gallery.split("ann", [1, 2], "bob")
    assert gallery.split("ann", [2], "bob") == 1
    gallery.undo()
    gallery.split("ann", [1], "bob", force=True)
    assert state(gallery)["rejected"] == [("ann", photo("", 1).sha256)]
    gallery.undo()
    assert state(gallery) == before


def test_copies_of_a_rejected_face_are_known(gallery: Gallery) -> None:
    not_theirs(gallery, "ann", 50)
    (said,) = gallery.rejections()
    seen = photo("", 50)
    box, vector = seen.faces[0].box, seen.embeddings[0]
    away = np.linalg.qr(np.stack([vector, photo("", 51).embeddings[0]]).T)[0][:, 1]

    def at(distance: float) -> np.ndarray[Any, Any]:
        angle = 2 * np.arcsin(distance / 2)
        return (np.cos(angle) * vector + np.sin(angle) * away).astype(np.float32)

    assert said.bars("another", Box(0, 0, 9, 9), at(NEAR - 0.001))
    assert not said.bars("another", box, at(NEAR + 0.001))
    assert said.bars(seen.sha256, box, photo("", 51).embeddings[0])
    assert not said.bars(seen.sha256, Box(300, 0, 360, 80), vector)
    assert not said.bars("another", box, vector[:64])  # of another model


def opened(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def test_near_copies_are_contradictions_too(gallery: Gallery) -> None:
    for number, apart in ((60, 0.1), (61, 0.3)):
        seen, other = photo("bob", number), photo("", number + 100).embeddings[0]
        vector = photo("", 50).embeddings[0]
        away = other - (other @ vector) * vector
        moved = vector + apart * away / np.linalg.norm(away)
        seen.embeddings[0] = moved / np.linalg.norm(moved)
        gallery._store.add([seen], MODEL)
    not_theirs(gallery, "ann", 50)
    assert [(pair.face, pair.photo.name) for pair in gallery.rejected_pairs()] == [(6, "60.jpg")]
    with pytest.raises(PersonError, match="face 6 of bob"):
        gallery.merge("ann", "bob")


def enrol(gallery: Gallery, embedder: Embedder, name: str, *photos: Path) -> list[EnrolledPhoto]:
    return list(gallery.enroll([(name, path) for path in photos], embedder, Silent()))


def identified(
    gallery: Gallery, embedder: Embedder, calibration: Calibration, photo: Path
) -> list[Identification]:
    ((_, found),) = gallery.identify([photo], embedder, 0.5, calibration, Silent())
    assert isinstance(found, list)
    return found


def test_identify_and_enroll_honour_rejections(
    tmp_path: Path, embedder: Embedder, calibration: Calibration, people: Path, group_photo: Path
) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        mine = sorted((people / "person-00").iterdir())
        enrol(gallery, embedder, "ann", *mine)
        enrol(gallery, embedder, "bob", *sorted((people / "person-03").iterdir()))
        (before,) = identified(gallery, embedder, calibration, mine[0])
        assert before.decision.name == "ann"
        found = gallery.reject("ann", mine[0], embedder)
        assert (found.number, found.face, found.taken_out) == (1, 0, 1)
        theirs = {face.number for face in gallery.faces_of("ann")}
        assert found.copies  # drawn faces of one person are that near
        assert theirs.issuperset(found.copies)
        copy = tmp_path / "copy.jpg"
        opened(mine[0]).save(copy, quality=60)
        for query in (mine[0], copy):
            (answer,) = identified(gallery, embedder, calibration, query)
            assert answer.decision.name != "ann"
            assert "ann" not in [near.name for near in answer.candidates]
            assert answer.decision.reason.startswith("not ann at 0.")
            assert "this face was rejected as theirs" in answer.decision.reason
        (again,) = enrol(gallery, embedder, "ann", mine[0])
        assert (again.status, again.reason) == ("skipped", "rejected: this face is not ann's")
        (other_name,) = enrol(gallery, embedder, "carl", mine[0])
        assert other_name.status == "enrolled"
        gallery.forget(1)
        with pytest.raises(PhotoError, match="3 faces found; choose with --face"):
            gallery.reject("ann", group_photo, embedder)
        with pytest.raises(PhotoError, match="has no face 3; 3 found"):
            gallery.reject("ann", group_photo, embedder, 3)
        gallery.reject("ann", group_photo, embedder, 1)
        answers = identified(gallery, embedder, calibration, group_photo)
        assert "ann" not in [near.name for near in answers[1].candidates]
        assert "ann" in [near.name for near in answers[0].candidates]


def test_what_is_a_copy_of_a_rejected_face_is_the_models_to_say(
    tmp_path: Path, hopper: Path, collins: Path
) -> None:
    accurate = Embedder(Model(paths.shipped_models() / "accurate"))
    copy = tmp_path / "copy.jpg"
    opened(hopper).save(copy, quality=20)
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        enrol(gallery, accurate, "ann", collins)
        gallery.reject("ann", hopper, accurate)
        (said,) = gallery.rejections()
    ((seen,), (again,)) = (accurate.embed_photo(path).faces for path in (hopper, copy))
    assert said.near == near_enough(calibration_of(accurate.model))
    assert NEAR < np.linalg.norm(seen.embedding - again.embedding) <= said.near
    assert said.bars("another file", Box(0, 0, 9, 9), again.embedding)


def test_a_gallery_of_one_who_is_rejected(
    tmp_path: Path, embedder: Embedder, calibration: Calibration, hopper: Path
) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        enrol(gallery, embedder, "Grace", hopper)
        bright = tmp_path / "bright.png"
        opened(hopper).save(bright)
        gallery.reject("Grace", bright, embedder)
        assert gallery.person("Grace").faces == 1  # the other file is not taken out
        (answer,) = identified(gallery, embedder, calibration, bright)
        assert answer.decision.answer == "unknown"
        assert answer.candidates == []
        assert answer.decision.reason.endswith("rejected as theirs; nobody else is enrolled")


def test_a_photo_under_two_names_is_said(tmp_path: Path, embedder: Embedder, hopper: Path) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        enrol(gallery, embedder, "Grace", hopper)
        (other,) = enrol(gallery, embedder, "Eve", hopper)
        assert (other.status, other.reason) == ("skipped", "this photo is enrolled as Grace")
        gallery.remove("Grace")
        (again,) = enrol(gallery, embedder, "Eve", hopper)
        assert (again.status, again.reason) == ("enrolled", "")
        (third,) = enrol(gallery, embedder, "Grace", hopper)
        assert third.reason == "this photo is enrolled as Eve"


# Showing, terms, moved photos


def test_a_profile_finds_the_odd_one(gallery: Gallery) -> None:
    base = photo("", 20).embeddings[0]
    near = [base + 0.01 * photo("", n).embeddings[0] for n in (21, 22, 23)]
    vectors = [*near, photo("", 24).embeddings[0]]
    for at, vector in enumerate(vectors):
        new = photo("dora", 30 + at)
        new.embeddings[0] = vector / np.linalg.norm(vector)
        gallery._store.add([new], MODEL)
    profile = gallery.profile("dora")
    numbers = [each.face.number for each in profile.faces]
    assert profile.least_typical == numbers[3]
    assert profile.most_typical in numbers[:3]
    mean = np.mean([v / np.linalg.norm(v) for v in vectors], axis=0)
    slow = [
        float(np.linalg.norm(v / np.linalg.norm(v) - mean / np.linalg.norm(mean))) for v in vectors
    ]
    assert [each.distance for each in profile.faces] == pytest.approx(slow, abs=1e-5)
    assert (profile.photos, profile.first is not None) == (4, True)
    assert (gallery.profile("bob").most_typical, gallery.profile("bob").least_typical) == (
        None,
        None,
    )


def test_a_contact_sheet(tmp_path: Path, embedder: Embedder, people: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(people / "person-02", mine)
    photos = sorted(mine.iterdir())
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        enrol(gallery, embedder, "ann", *photos)
        profile = gallery.profile("ann")
    photos[1].unlink()
    photos[2].write_bytes(photos[0].read_bytes())  # another photo in its place
    out = tmp_path / "sheet.png"
    assert contact_sheet(profile, out) == photos[1:3]
    sheet = opened(out)
    assert sheet.size == (6 * 160, 186)
    grey = (136, 136, 136)
    middles = [sheet.getpixel((160 * at + 80, 80)) for at in range(5)]
    assert [middle == grey for middle in middles] == [False, True, True, False, False]
    face = profile.faces[0].face
    there = opened(photos[0]).getpixel(tuple(map(round, face.box.centre)))
    assert np.abs(np.subtract(middles[0], there)).max() < 40
    least = [each.face.number for each in profile.faces].index(profile.least_typical or 0)
    assert sheet.getpixel((160 * least, 80)) == (215, 48, 39)
    with pytest.raises(PhotoError, match="would overwrite a photo of ann"):
        contact_sheet(profile, photos[0])
    with pytest.raises(PhotoError, match="cannot be written"):
        contact_sheet(profile, tmp_path / "nowhere" / "sheet.jpg")
    with pytest.raises(PhotoError, match="cannot be written"):
        contact_sheet(profile, tmp_path / "sheet.docx")


def test_terms(gallery: Gallery) -> None:
    gallery.set_terms("ann", expires="20300102", consent="on paper, März")
    assert (gallery.person("ann").expires, gallery.person("ann").consent) == (
        "2030-01-02",
        "on paper, März",
    )
    gallery.set_terms("ann", consent="")
    assert (gallery.person("ann").expires, gallery.person("ann").consent) == ("2030-01-02", None)
    gallery.set_terms("ann", expires="")
    assert gallery.person("ann").expires is None
    for bad in ("tomorrow", "2030-02-30", "01.02.2030"):
        with pytest.raises(PersonError, match="is no date; write it as 2027-12-31"):
            gallery.set_terms("ann", expires=bad)
    for bad in ("red \x1b[31m", "two\nlines", "\x9b31m", "half \ud800"):
        with pytest.raises(PersonError, match=r"^ann: a note must not hold control or broken"):
            gallery.set_terms("ann", consent=bad)
    assert gallery.person("ann").consent is None


def test_moved_photos_are_found_by_their_content(tmp_path: Path, people: Path) -> None:
    from facesearch.vision import images

    old, new = tmp_path / "old", tmp_path / "new" / "deep"
    shutil.copytree(people / "person-00", old)
    files = sorted(old.iterdir())
    odd = old / "caf\udce9.jpg"
    files[4].rename(odd)
    files[4] = odd
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        for at, path in enumerate(files):
            made = photo("ann" if at else "gone", at, path=path)
            object.__setattr__(made, "sha256", images.sha256(path))
            gallery._store.add([made], MODEL)
        gallery.remove("gone")  # their photos are followed, too
        revision = gallery._store.revision()
        links = gallery.relink(people, Silent())
        assert [link.status for link in links] == ["unchanged"] * 5
        assert gallery._store.revision() == revision
        new.mkdir(parents=True)
        files[0].rename(new / "renamed.jpg")
        files[4].rename(new / files[4].name)
        shutil.copy(files[2], files[1])  # another photo where one was
        files[3].unlink()
        (new / "noise.jpg").write_bytes(b"no photo")
        (new / ".hidden.jpg").write_bytes(b"no photo")
        links = gallery.relink(tmp_path / "new", Silent())
        assert {link.was.name: (link.status, link.photo) for link in links} == {
            files[0].name: ("relinked", new / "renamed.jpg"),
            files[1].name: ("missing", files[1]),
            files[2].name: ("unchanged", files[2]),
            files[3].name: ("missing", files[3]),
            files[4].name: ("relinked", new / files[4].name),
        }
        assert [face.photo for face in gallery.faces_of("ann")][-1] == new / files[4].name
        assert (
            gallery._store.person_faces([2])[2].photos[-1] == new / files[4].name
        )  # checksums hold
        gallery.undo()
        assert gallery.faces_of("gone")[0].photo == new / "renamed.jpg"
        with pytest.raises(PhotoError, match="nowhere: no such folder"):
            gallery.relink(tmp_path / "nowhere", Silent())


def test_the_doctor_finds_nothing_wrong_with_what_was_curated(
    gallery: Gallery, where: Path | str
) -> None:
    gallery.merge("ann", "bob")
    gallery.split("ann", [1, 4], "carl")
    not_theirs(gallery, "ann", 2)
    gallery.remove("carl")
    gallery.undo()
    gallery.undo()
    gallery.rename("ann", "Zoë")
    gallery.purge("carl")
    kinds = {finding.kind for finding in examine(where)}
    assert kinds - {"mode"} == {"photo gone"}  # the photos are invented


def test_each_change_tells_the_event_that_undoes_it(gallery: Gallery, where: Path | str) -> None:
    with closing(Store(where, create=False)) as store:
        database, seen = store.database, photo("", 2)
        told = [
            curation.rename(store, "ann", "Zoë"),
            curation.merge(database, "Zoë", "bob"),
            curation.split(database, "Zoë", [1, 4], "carl"),
            reject(database, "Zoë", seen.sha256, seen.faces[0].box, seen.embeddings[0], face=7),
            curation.remove(store, "carl"),
        ]
    assert [(change.action, change.faces) for change in told] == [
        ("rename", 0),
        ("merge", 2),
        ("split", 2),
        ("reject", 1),
        ("remove", 2),
    ]
    listed = [(each.event, each.at, each.line, each.faces) for each in gallery.changes()]
    assert listed == [(each.event, each.at, each.line, each.faces) for each in reversed(told)]
    before = gallery.undo(told[4].event)
    assert before == told[4]
    assert [change.event for change in gallery.changes()] == [
        each.event for each in reversed(told[:4])
    ]
