"""A face that was rejected as somebody's stays rejected."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facesearch.core.errors import PersonError, PhotoError
from facesearch.core.face import Box
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import recognizer
from facesearch.matching.calibration import calibration_of
from facesearch.matching.duplicates import near_enough
from facesearch.matching.rejection import NEAR
from facesearch.storage.store import Store
from tests.support.curated import enrol, not_theirs, opened, state
from tests.support.invented_photos import MODEL, photo


def test_a_rejected_face_is_taken_out_and_comes_back(gallery: Gallery, store: Store) -> None:
    before = state(gallery)
    assert not_theirs(store, "ann", 2) == 1
    after = state(gallery)
    assert after["people"]["ann"][0] == [1, 3]
    assert after["rejected"] == [("ann", photo("", 2).sha256)]
    assert store.known([photo("", 2).sha256]) == {}
    with pytest.raises(PersonError, match="rejected before \\(rejection 1\\)"):
        not_theirs(store, "ann", 2)
    assert gallery.undo().line == "a face was rejected as ann's"
    assert state(gallery) == before
    not_theirs(store, "ann", 99)  # enrolled nowhere
    assert state(gallery)["people"] == before["people"]
    gallery.undo()
    assert state(gallery) == before


def test_a_rejection_is_of_one_face_of_the_photo(gallery: Gallery, store: Store) -> None:
    store.add([photo("ann", 9, faces=2)], MODEL)
    first, second = gallery["ann"].faces[-2:]
    not_theirs(store, "ann", 9, box=Box(110, 5, 165, 84))  # the second, a little moved
    assert [face.number for face in gallery["ann"].faces] == [1, 2, 3, first.number]
    gallery.undo()
    assert gallery["ann"].faces[-1] == second


def test_forgotten_rejections(gallery: Gallery, store: Store) -> None:
    not_theirs(store, "ann", 2)
    not_theirs(store, "bob", 99)
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


def test_copies_of_a_rejected_face_are_known(gallery: Gallery, store: Store) -> None:
    not_theirs(store, "ann", 50)
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


def test_near_copies_are_contradictions_too(gallery: Gallery, store: Store) -> None:
    for number, apart in ((60, 0.1), (61, 0.3)):
        seen, other = photo("bob", number), photo("", number + 100).embeddings[0]
        vector = photo("", 50).embeddings[0]
        away = other - (other @ vector) * vector
        moved = vector + apart * away / np.linalg.norm(away)
        seen.embeddings[0] = moved / np.linalg.norm(moved)
        store.add([seen], MODEL)
    not_theirs(store, "ann", 50)
    assert [(pair.face, pair.photo.name) for pair in gallery.rejected_pairs()] == [(6, "60.jpg")]
    with pytest.raises(PersonError, match="face 6 of bob"):
        gallery.merge("ann", "bob")


def test_identify_and_enroll_honour_rejections(
    tmp_path: Path, people: Path, group_photo: Path
) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        mine = sorted((people / "person-00").iterdir())
        enrol(gallery, "ann", *mine)
        enrol(gallery, "bob", *sorted((people / "person-03").iterdir()))
        (before,) = gallery.identify(mine[0], threshold=0.5)
        assert before.name == "ann"
        found = gallery.reject("ann", mine[0])
        assert (found.number, found.face, found.taken_out) == (1, 0, 1)
        theirs = {face.number for face in gallery["ann"].faces}
        assert found.copies  # drawn faces of one person are that near
        assert theirs.issuperset(found.copies)
        copy = tmp_path / "copy.jpg"
        opened(mine[0]).save(copy, quality=60)
        for query in (mine[0], copy):
            (answer,) = gallery.identify(query, threshold=0.5)
            assert answer.name != "ann"
            assert "ann" not in [near.name for near in answer.candidates]
            assert answer.reason.startswith("not ann at 0.")
            assert "this face was rejected as theirs" in answer.reason
        (again,) = enrol(gallery, "ann", mine[0])
        assert (again.status, again.reason) == ("skipped", "rejected: this face is not ann's")
        (other_name,) = enrol(gallery, "carl", mine[0])
        assert other_name.status == "enrolled"
        gallery.forget(1)
        with pytest.raises(PhotoError, match="3 faces found; choose with --face"):
            gallery.reject("ann", group_photo)
        with pytest.raises(PhotoError, match="has no face 3; 3 found"):
            gallery.reject("ann", group_photo, face=3)
        gallery.reject("ann", group_photo, face=1)
        answers = gallery.identify(group_photo, threshold=0.5)
        assert "ann" not in [near.name for near in answers[1].candidates]
        assert "ann" in [near.name for near in answers[0].candidates]


def test_what_is_a_copy_of_a_rejected_face_is_the_models_to_say(
    tmp_path: Path, hopper: Path, collins: Path
) -> None:
    accurate = recognizer("accurate").embedder
    copy = tmp_path / "copy.jpg"
    opened(hopper).save(copy, quality=20)
    with Gallery(tmp_path / "gallery", model="accurate") as gallery:
        enrol(gallery, "ann", collins)
        gallery.reject("ann", hopper)
        (said,) = gallery.rejections()
    ((seen,), (again,)) = (accurate.embed_photo(path).faces for path in (hopper, copy))
    assert said.near == near_enough(calibration_of(accurate.model))
    assert NEAR < np.linalg.norm(seen.embedding - again.embedding) <= said.near
    assert said.bars("another file", Box(0, 0, 9, 9), again.embedding)


def test_a_gallery_of_one_who_is_rejected(tmp_path: Path, hopper: Path) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        enrol(gallery, "Grace", hopper)
        bright = tmp_path / "bright.png"
        opened(hopper).save(bright)
        gallery.reject("Grace", bright)
        assert gallery.person("Grace").faces == 1  # the other file is not taken out
        (answer,) = gallery.identify(bright, threshold=0.5)
        assert answer.answer == "unknown"
        assert answer.candidates == []
        assert answer.reason.endswith("rejected as theirs; nobody else is enrolled")


def test_a_photo_under_two_names_is_said(tmp_path: Path, hopper: Path) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        enrol(gallery, "Grace", hopper)
        (other,) = enrol(gallery, "Eve", hopper)
        assert (other.status, other.reason) == ("skipped", "this photo is enrolled as Grace")
        gallery.remove("Grace")
        (again,) = enrol(gallery, "Eve", hopper)
        assert (again.status, again.reason) == ("enrolled", "")
        (third,) = enrol(gallery, "Grace", hopper)
        assert third.reason == "this photo is enrolled as Eve"
