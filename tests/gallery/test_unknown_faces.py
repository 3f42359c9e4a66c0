"""Faces of nobody known fall into groups of one person, and a group gets a name."""

from pathlib import Path

import pytest

from facesearch.core.errors import PersonError
from facesearch.demo.drawn_people import group
from facesearch.gallery.archive_format import Archive
from facesearch.gallery.doctor import examine
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.unknown_faces import chosen_groups, spread
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
    assert 0.3 < group_limit(calibration_of(embedder.model)) < 0.5
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    photos = [*sorted(people.glob("person-0[01]/*.jpg")), no_face, text]
    photos.append(tmp_path / "copy.jpg")
    photos[-1].write_bytes(photos[0].read_bytes())
    with Gallery(tmp_path / "gallery") as gallery:
        found = gallery.group_unknown(photos)
        assert [len(faces) for faces in found.groups] == [5, 5]
        assert (found.known, len(found.errors)) == (0, 1)
        for faces in found.groups:
            whose = {face.path.parent.name for face in faces}
            assert len(whose) == 1
            assert 0 < spread(faces) < 0.3
        first = found.groups[0]
        assert gallery.enroll_group("Alice", first).faces == 5
        assert gallery.enroll_group("Alice", first).faces == 0
        assert [(one.name, one.faces) for one in gallery.people()] == [("Alice", 5)]
        again = gallery.group_unknown(photos)
        assert [len(faces) for faces in again.groups] == [5]
        assert again.known == 5


def test_what_was_rejected_is_unknown_and_not_enrolled_under_that_name(
    people: Path, tmp_path: Path
) -> None:
    photos = sorted((people / "person-00").iterdir())
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(photos[0].read_bytes() + b"another file")
    with Gallery(tmp_path / "gallery") as gallery:
        list(gallery.enroll_each([("Alice", photos[0])]))
        nearest = gallery.group_unknown([copy])
        assert (nearest.groups, nearest.known) == ([], 1)
        gallery.reject("Alice", copy)
        found = gallery.group_unknown([copy])
        assert ([len(faces) for faces in found.groups], found.known) == ([1], 0)
        (faces,) = found.groups
        done = gallery.enroll_group("Alice", faces)
        assert (done.faces, done.rejected) == (0, 1)
        assert gallery.person("Alice").faces == 1
        done = gallery.enroll_group("Bob", faces)
        assert (done.faces, done.rejected) == (1, 0)


def test_two_people_of_one_photo(people: Path, tmp_path: Path) -> None:
    """Both are enrolled from it, and what is done to one of them leaves the other as they are."""
    both = tmp_path / "both.jpg"
    group([0, 3], pose=3).save(both, quality=95)
    photos = [*sorted(people.glob("person-0[03]/pose-[0-2].jpg")), both]
    with Gallery(tmp_path / "gallery") as gallery:
        found = gallery.group_unknown(photos)
        assert [len(faces) for faces in found.groups] == [4, 4]
        for name, faces in zip(("Anna", "Bernd"), found.groups, strict=True):
            done = gallery.enroll_group(name, faces)
            assert (done.faces, done.known) == (4, 0)
        again = gallery.enroll_group("Eve", found.groups[0])
        assert (again.faces, again.known) == (0, 4)

        def whose() -> dict[str, int]:
            return {
                person.name: sum(face.photo == both for face in gallery[person.name].faces)
                for person in gallery.people()
            }

        assert whose() == {"Anna": 1, "Bernd": 1}
        assert gallery.info().photos == 7
        (refused,) = gallery.enroll_each([("Eve", both)], faces="all")
        assert refused.reason == "this photo is enrolled as Anna, Bernd"
        assert gallery["Bernd"].photos == 4

        gallery.export(tmp_path / "all.zip")
        with (
            Archive(tmp_path / "all.zip") as archive,
            Gallery(tmp_path / "other") as other,
        ):
            merged = other.import_archive(archive)
            assert (merged.faces_added, merged.photos_added, merged.refused) == (8, 7, [])
            assert other.import_archive(archive).faces_known == 8

        moved = tmp_path / "moved" / "both.jpg"
        moved.parent.mkdir()
        both = both.rename(moved)
        assert {link.status for link in gallery.relink(moved.parent)} == {
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
        (face,) = (face for face in gallery["Bernd"].faces if face.photo == both)
        assert gallery.picture(face.number).size  # cut out of the photo that is still there
        third = gallery.group_unknown([both])
        assert (sum(map(len, third.groups)), third.known) == (1, 1)
    findings = examine(tmp_path / "gallery", hashes=True)
    assert [finding.kind for finding in findings if finding.severity == "error"] == []


def test_nothing_to_group(no_face: Path, tmp_path: Path) -> None:
    with Gallery(tmp_path / "gallery") as gallery:
        assert gallery.group_unknown([no_face]).groups == []
