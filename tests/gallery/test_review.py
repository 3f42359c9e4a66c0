"""The review finds what is wrong in a gallery, says why, and keeps quiet about what is rejected."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from numpy.typing import NDArray
from PIL import Image

from facesearch.core.errors import GalleryError
from facesearch.gallery.review import WEAK_PEOPLE, Finding, Review
from facesearch.gallery.review_report import strangers_row
from facesearch.matching.calibration import Calibration, calibration_of
from facesearch.matching.thresholds import ImpostorScores
from facesearch.storage.records import EnrolledFaces
from facesearch.storage.schema import faces, rejections
from facesearch.storage.settings import now
from facesearch.vision.embedder import Embedder
from tests.support.inside_gallery import InsideGallery as Gallery
from tests.support.invented import faces_of

LIMIT = 0.4


@pytest.fixture(scope="session")
def calibration(embedder: Embedder) -> Calibration:
    return calibration_of(embedder.model)


def roster(
    people: dict[str, NDArray[np.float32]], order: NDArray[np.int64] | None = None
) -> EnrolledFaces:
    """Faces are numbered from 100, people from 7."""
    vectors = np.concatenate(list(people.values()))
    owners = np.repeat(np.arange(len(people)), [len(one) for one in people.values()]) + 7
    order = np.arange(len(vectors)) if order is None else order
    names = {number + 7: name for number, name in enumerate(people)}
    sure = np.full(len(vectors), 0.999)
    return EnrolledFaces(
        (np.arange(len(vectors)) + 100)[order], owners[order], vectors[order], sure, names
    )


def found(
    people: dict[str, NDArray[np.float32]], calibration: Calibration, **more: Any
) -> list[Finding]:
    return list(Review(roster(people), calibration, LIMIT, **more).findings())


def kinds(findings: list[Finding]) -> set[str]:
    return {one.kind for one in findings} - {"weak"}


def crowd(count: int, photos: int = 4) -> dict[str, NDArray[np.float32]]:
    return {f"person {number}": faces_of(number, photos) for number in range(count)}


def test_a_sound_gallery_has_nothing_but_its_weakest(calibration: Calibration) -> None:
    findings = found(crowd(30), calibration)
    assert kinds(findings) == set()
    assert len(findings) == WEAK_PEOPLE


def test_mislabelled_faces(calibration: Calibration) -> None:
    """One that is another person's, one that is nobody's; whatever the order of the rows."""
    people = crowd(20)
    people["person 3"] = np.concatenate([people["person 3"], faces_of(4, 5)[4:]])
    people["person 9"] = np.concatenate([people["person 9"], faces_of(77, 1)])
    count = sum(map(len, people.values()))
    for order in (np.arange(count), np.random.default_rng(0).permutation(count)):
        review = Review(roster(people, order), calibration, LIMIT)
        wrong = {one.face: one for one in review.findings() if one.kind == "mislabelled"}
        strays = [100 + 4 * 3 + 4, 100 + 4 * 9 + 1 + 4]
        assert sorted(face for face in wrong if face is not None) == strays
        first, second = (wrong[face] for face in strays)
        assert (first.person, first.other) == (7 + 3, 7 + 4)
        assert (second.person, second.other) == (7 + 9, None)
        assert "like nobody enrolled" in second.reason
        assert first.probability is not None
        assert first.probability > 0.9


def test_two_photos_that_differ_are_one_finding(calibration: Calibration) -> None:
    people = crowd(10) | {"two": np.concatenate([faces_of(50, 1), faces_of(51, 1)])}
    (finding,) = [one for one in found(people, calibration) if one.kind == "divided"]
    assert (finding.person, finding.faces) == (7 + 10, 2)


def test_one_person_under_two_names(calibration: Calibration) -> None:
    people = crowd(10) | {"again": faces_of(3, 9)[5:]}
    findings = [one for one in found(people, calibration) if one.kind == "same-person"]
    assert [(one.person, one.other) for one in findings] in ([(10, 17)], [(17, 10)])
    assert "mislabelled" not in kinds(found(people | {"lone": faces_of(5, 9)[8:]}, calibration))


def test_look_alikes(calibration: Calibration) -> None:
    """Within the limit of a search, and yet probably two."""
    rng = np.random.default_rng(3)
    base = faces_of(3, 40).mean(axis=0)
    base /= np.linalg.norm(base)
    aside = rng.normal(size=128)
    aside -= (aside @ base) * base
    twin = base + 0.38 * aside / np.linalg.norm(aside)
    photos = twin / np.linalg.norm(twin) + 0.19 * rng.normal(size=(40, 128)) / np.sqrt(128)
    photos /= np.linalg.norm(photos, axis=1, keepdims=True)
    people = crowd(60, photos=40) | {"twin": photos.astype(np.float32)}
    pairs = [one for one in found(people, calibration) if one.kind in ("same-person", "look-alike")]
    assert [one.kind for one in pairs] == ["look-alike"]
    assert {pairs[0].person, pairs[0].other} == {10, 67}
    assert pairs[0].distance == pytest.approx(0.37, abs=0.03)


def test_copies_within_a_person_and_between_two(calibration: Calibration) -> None:
    people = crowd(8)
    people["person 2"] = np.concatenate([people["person 2"], people["person 2"][:1]])
    people["person 5"] = np.concatenate([people["person 5"], people["person 6"][1:2]])
    pairs = {(100 + 8, 100 + 12), (100 + 25, 100 + 27)}
    asked: list[tuple[int, int]] = []

    def alike(first: int, second: int) -> bool:
        asked.append((min(first, second), max(first, second)))
        return True

    for look in (alike, lambda first, second: None):
        findings = found(people, calibration, alike=look)
        copies = [one for one in findings if one.kind == "duplicate"]
        told = {(min(one.face, one.other_face), max(one.face, one.other_face)) for one in copies}
        assert {one for one in told if one[1] - one[0] in (2, 4)} >= {min(pairs)}
        assert len(told) == len(copies) == 2
    assert len(asked) == len(set(asked)) == 2
    nothing = found(people, calibration, alike=lambda first, second: False)
    assert "duplicate" not in kinds(nothing)


def test_what_is_rejected_is_not_told(calibration: Calibration) -> None:
    people = crowd(10) | {"again": faces_of(3, 9)[5:]}
    assert "same-person" in kinds(found(people, calibration))
    barred = frozenset({(140, 10)})  # the first face of "again" is not person 3
    assert "same-person" not in kinds(found(people, calibration, rejected=barred))


def test_the_weakest_come_first(calibration: Calibration) -> None:
    people = crowd(20) | {"loose": faces_of(60, 4, within=0.4), "lone": faces_of(61, 1)}
    weak = [one for one in found(people, calibration) if one.kind == "weak"]
    assert weak[0].person == 7 + 20
    assert weak[0].distance is not None
    assert weak[0].distance > max(one.distance or 0 for one in weak[1:])


def test_an_empty_roster(calibration: Calibration) -> None:
    nobody = np.empty(0, np.int64)
    empty = EnrolledFaces(nobody, nobody, np.empty((0, 128), np.float32), np.empty(0), {})
    assert list(Review(empty, calibration, LIMIT).findings()) == []


def test_strangers_now_and_in_a_larger_gallery() -> None:
    distances = np.array([0.3, 0.5, 0.6, 0.7] + [0.1] + [0.9] * 19)
    populations = np.array([0] * 4 + [1] * 20)
    row = strangers_row(ImpostorScores(distances, populations), 0.4, 50)
    assert row["kind"] == "fpir"
    assert row["rates"] == {"50": 0.25, "500": pytest.approx(1 - 0.75**10)}


# In a gallery


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery") as gallery:
        yield gallery


def test_a_gallery_is_reviewed(
    gallery: Gallery, people: Path, hopper: Path, tmp_path: Path
) -> None:
    with pytest.raises(GalleryError, match="nobody is enrolled"):
        list(gallery.review())
    root = tmp_path / "tree"
    for number, name in enumerate(("ann", "bob")):
        shutil.copytree(people / f"person-{number:02}", root / name)
    shutil.move(root / "bob" / "pose-4.jpg", root / "ann" / "bob.jpg")
    (root / "grace").mkdir()
    Image.open(hopper).save(root / "grace" / "first.jpg")
    Image.open(hopper).save(root / "grace" / "worse.jpg", quality=60)
    asked = [(path.parent.name, path) for path in sorted(root.glob("*/*"))]
    list(gallery.enroll_each(asked, include_doubtful=True))
    rows = list(gallery.review())
    assert len({tuple(row) for row in rows}) == 1, "every row has the same fields"
    (wrong,) = [row for row in rows if row["kind"] == "mislabelled"]
    assert (wrong["name"], wrong["other"]) == ("ann", "bob")
    assert Path(wrong["photo"]).name == "bob.jpg"
    assert len(wrong["box"]) == 4
    (copy,) = [row for row in rows if row["kind"] == "duplicate"]
    assert {Path(copy["photo"]).name, Path(copy["other_photo"]).name} == {"first.jpg", "worse.jpg"}
    assert (copy["name"], copy["other"], copy["reason"]) == ("grace", "grace", "one picture")
    assert rows[-1]["kind"] == "fpir"
    assert list(rows[-1]["rates"]) == ["3", "30"]

    database = gallery.store.database
    with database.write("reject", {}) as connection:
        (number,) = [one.number for one in gallery["ann"].faces if one.photo.stem == "bob"]
        face = connection.execute(sa.select(faces).where(faces.c.id == number)).one()
        bob = gallery.store.enrolled_faces("bob").owners[0]
        where = gallery.store.face_locations([number])[number]
        values = {"person": int(bob), "sha256": where.sha256, "box": face.box, "at": now()}
        connection.execute(rejections.insert().values(**values, embedding=face.embedding))
    rows = list(gallery.review())
    (wrong,) = [row for row in rows if row["kind"] == "mislabelled"]
    assert (wrong["name"], wrong["other"]) == ("ann", None), "bob is not named again"
    for path in (root / "grace").iterdir():
        path.unlink()
    assert list(gallery.review()) == rows, "remembered until the gallery changes"
    with Gallery(gallery.folder) as again:
        gone = [row for row in again.review() if row["kind"] == "duplicate"]
    assert [row["reason"] for row in gone] in (
        [],
        ["their embeddings are nearly the same; the photos could not be compared"],
    )
