"""Faces of nobody known fall into groups of one person, and a group gets a name."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.clusters import scores
from facesearch.core.errors import PersonError
from facesearch.core.progress import Silent
from facesearch.demo.drawn_people import group
from facesearch.gallery.archive_format import Archive
from facesearch.gallery.doctor import examine
from facesearch.gallery.legacy import Gallery
from facesearch.gallery.unknown_faces import chosen_groups, group_unknown, spread
from facesearch.matching.calibration import calibration_of
from facesearch.matching.clustering import average_linkage, group_limit, groups
from facesearch.vision.embedder import Embedder
from tests.support.invented import faces_of


def slow_linkage(vectors: NDArray[np.float32], limit: float) -> list[set[int]]:
    """By the definition: of all pairs of groups the nearest are joined, as long as they may be."""
    parts = [{row} for row in range(len(vectors))]
    squared = 2 - 2 * vectors.astype(np.float64) @ vectors.T
    while len(parts) > 1:
        pairs = [(a, b) for a in range(len(parts)) for b in range(a)]
        means = [squared[np.ix_(sorted(parts[a]), sorted(parts[b]))].mean() for a, b in pairs]
        best = int(np.argmin(means))
        if means[best] > limit * limit:
            break
        a, b = pairs[best]
        parts[b] |= parts.pop(a)
    return sorted(parts, key=min)


@pytest.mark.parametrize("seed", range(4))
def test_linkage_is_what_its_definition_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = np.concatenate([faces_of(20 * seed + p, int(rng.integers(1, 7))) for p in range(12)])
    vectors = vectors[rng.permutation(len(vectors))]
    for limit in (0.2, 0.28, 0.4, 0.66, 2.0):
        labels = average_linkage(vectors, limit)
        found = [set(np.flatnonzero(labels == one).tolist()) for one in range(labels.max() + 1)]
        assert sorted(found, key=min) == slow_linkage(vectors, limit)


def test_no_chains() -> None:
    """Steps from one person to another do not make them one, as single linkage would have it."""
    ends = np.stack([faces_of(0, 1)[0], faces_of(1, 1)[0]])
    share = np.linspace(0, 1, 9)[:, None]
    steps = (1 - share) * ends[0] + share * ends[1]
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    labels = average_linkage(steps.astype(np.float32), 0.2)
    assert labels[0] != labels[-1]
    assert np.linalg.norm(np.diff(steps, axis=0), axis=1).max() < 0.2


def test_groups_are_told_largest_first_with_the_most_typical_face() -> None:
    people = [faces_of(1, 3), faces_of(2, 6), faces_of(3, 1)]
    found = groups(np.concatenate(people), 0.4)
    assert [sorted(group.rows.tolist()) for group in found] == [
        list(range(3, 9)),
        [0, 1, 2],
        [9],
    ]
    mean = people[1].mean(axis=0)
    assert found[0].rows[0] == 3 + int((people[1] @ mean).argmax())
    apart = [np.linalg.norm(a - b) ** 2 for a in people[0] for b in people[0] if a is not b]
    pairs = [np.sum((people[0][a] - people[0][b]) ** 2) for a in range(3) for b in range(a)]
    assert len(apart) == 9  # rows of an array are new objects; the three with itself are 0
    assert found[1].spread == pytest.approx(np.sqrt(np.mean(pairs)), abs=1e-3)
    assert found[2].spread == 0
    assert groups(np.empty((0, 128), np.float32), 0.4) == []


def test_scores() -> None:
    perfect = np.array([0, 0, 1, 2])
    assert scores(perfect, perfect).b_f == 1
    one = scores(np.zeros(4, np.int64), np.array([0, 0, 1, 1]))
    assert (one.precision, one.recall) == (2 / 6, 1)
    assert (one.b_precision, one.b_recall) == (0.5, 1)
    split = scores(np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1]))
    assert (split.recall, split.b_precision, split.b_recall) == (0, 1, 0.5)


@pytest.mark.parametrize("bad", ["Alice", "x=Alice", "=Alice", "3=", "3=\n"])
def test_groups_are_chosen_by_number(bad: str) -> None:
    assert chosen_groups(["3=Alice", "1=Bob = Eve"]) == {3: "Alice", 1: "Bob = Eve"}
    with pytest.raises(PersonError):
        chosen_groups([bad])


def test_a_folder_of_unknown_people(
    embedder: Embedder, people: Path, no_face: Path, tmp_path: Path
) -> None:
    calibration = calibration_of(embedder.model)
    assert 0.3 < group_limit(calibration) < 0.5
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    photos = [*sorted(people.glob("person-0[01]/*.jpg")), no_face, text]
    photos.append(tmp_path / "copy.jpg")
    photos[-1].write_bytes(photos[0].read_bytes())
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        found = group_unknown(gallery, photos, embedder, calibration, Silent())
        assert [len(faces) for faces in found.groups] == [5, 5]
        assert (found.known, len(found.errors)) == (0, 1)
        for faces in found.groups:
            whose = {face.path.parent.name for face in faces}
            assert len(whose) == 1
            assert 0 < spread(faces) < 0.3
        first = found.groups[0]
        assert gallery.enroll_faces("Alice", first, embedder).faces == 5
        assert gallery.enroll_faces("Alice", first, embedder).faces == 0
        assert [(one.name, one.faces) for one in gallery.people()] == [("Alice", 5)]
        again = group_unknown(gallery, photos, embedder, calibration, Silent())
        assert [len(faces) for faces in again.groups] == [5]
        assert again.known == 5


def test_what_was_rejected_is_unknown_and_not_enrolled_under_that_name(
    embedder: Embedder, people: Path, tmp_path: Path
) -> None:
    calibration = calibration_of(embedder.model)
    photos = sorted((people / "person-00").iterdir())
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(photos[0].read_bytes() + b"another file")
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        list(gallery.enroll([("Alice", photos[0])], embedder, Silent()))
        nearest = group_unknown(gallery, [copy], embedder, calibration, Silent())
        assert (nearest.groups, nearest.known) == ([], 1)
        gallery.reject("Alice", copy, embedder)
        found = group_unknown(gallery, [copy], embedder, calibration, Silent())
        assert ([len(faces) for faces in found.groups], found.known) == ([1], 0)
        (faces,) = found.groups
        done = gallery.enroll_faces("Alice", faces, embedder)
        assert (done.faces, done.rejected) == (0, 1)
        assert gallery.person("Alice").faces == 1
        done = gallery.enroll_faces("Bob", faces, embedder)
        assert (done.faces, done.rejected) == (1, 0)


def test_two_people_of_one_photo(embedder: Embedder, people: Path, tmp_path: Path) -> None:
    """Both are enrolled from it, and what is done to one of them leaves the other as they are."""
    calibration = calibration_of(embedder.model)
    both = tmp_path / "both.jpg"
    group([0, 3], pose=3).save(both, quality=95)
    photos = [*sorted(people.glob("person-0[03]/pose-[0-2].jpg")), both]
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        found = group_unknown(gallery, photos, embedder, calibration, Silent())
        assert [len(faces) for faces in found.groups] == [4, 4]
        for name, faces in zip(("Anna", "Bernd"), found.groups, strict=True):
            done = gallery.enroll_faces(name, faces, embedder)
            assert (done.faces, done.known) == (4, 0)
        again = gallery.enroll_faces("Eve", found.groups[0], embedder)
        assert (again.faces, again.known) == (0, 4)

        def whose() -> dict[str, int]:
            return {
                person.name: sum(face.photo == both for face in gallery.faces_of(person.name))
                for person in gallery.people()
            }

        assert whose() == {"Anna": 1, "Bernd": 1}
        assert gallery.info().photos == 7
        (refused,) = gallery.enroll([("Eve", both)], embedder, Silent(), "all")
        assert refused.reason == "this photo is enrolled as Anna, Bernd"
        assert gallery.profile("Bernd").photos == 4

        gallery.export(tmp_path / "all.zip")
        with (
            Archive(tmp_path / "all.zip") as archive,
            Gallery(tmp_path / "other", create=True) as other,
        ):
            merged = other.import_archive(archive)
            assert (merged.faces_added, merged.photos_added, merged.refused) == (8, 7, [])
            assert other.import_archive(archive).faces_known == 8

        moved = tmp_path / "moved" / "both.jpg"
        moved.parent.mkdir()
        both = both.rename(moved)
        assert {link.status for link in gallery.relink(moved.parent, Silent())} == {
            "unchanged",
            "relinked",
        }
        assert whose() == {"Anna": 1, "Bernd": 1}

        gallery.remove("Anna")
        assert whose() == {"Bernd": 1}
        gallery.undo()
        assert whose() == {"Anna": 1, "Bernd": 1}
        gallery.purge("Anna")
        assert whose() == {"Bernd": 1}
        assert gallery.info().photos == 4
        (face,) = (face for face in gallery.faces_of("Bernd") if face.photo == both)
        assert gallery.picture(face.number).size  # cut out of the photo that is still there
        third = group_unknown(gallery, [both], embedder, calibration, Silent())
        assert (sum(map(len, third.groups)), third.known) == (1, 1)
    findings = examine(tmp_path / "gallery", hashes=True)
    assert [finding.kind for finding in findings if finding.severity == "error"] == []


def test_nothing_to_group(embedder: Embedder, no_face: Path, tmp_path: Path) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        calibration = calibration_of(embedder.model)
        assert group_unknown(gallery, [no_face], embedder, calibration, Silent()).groups == []
