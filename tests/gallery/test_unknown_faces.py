"""Faces of nobody known fall into groups of one person, and a group gets a name."""

from pathlib import Path

import pytest

from facesearch.core.errors import PersonError
from facesearch.core.progress import Silent
from facesearch.demo.drawn_people import group
from facesearch.gallery.archive_format import Archive
from facesearch.gallery.doctor import examine
from facesearch.gallery.legacy import Gallery
from facesearch.gallery.unknown_faces import chosen_groups, group_unknown, spread
from facesearch.matching.calibration import calibration_of
from facesearch.matching.clustering import group_limit
from facesearch.vision.embedder import Embedder


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
