"""Enrolling and naming: right people, honest refusals, and a state that survives what happens."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from facesearch.core.errors import GalleryError, PersonError, PhotoError
from facesearch.core.progress import Silent
from facesearch.core.templates import templates
from facesearch.gallery.legacy import (
    PHOTOS_PER_TRANSACTION,
    EnrolledPhoto,
    Gallery,
    Identification,
    Which,
    clean_name,
)
from facesearch.matching.calibration import Calibration, calibration_of
from facesearch.matching.comparison import compare
from facesearch.vision.embedder import Embedder


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        yield gallery


@pytest.fixture(scope="session")
def calibration(embedder: Embedder) -> Calibration:
    return calibration_of(embedder.model)


def enrol(
    gallery: Gallery, embedder: Embedder, name: str, *photos: Path, which: Which = "only"
) -> list[EnrolledPhoto]:
    return list(gallery.enroll([(name, photo) for photo in photos], embedder, Silent(), which))


def name(
    gallery: Gallery,
    embedder: Embedder,
    calibration: Calibration,
    photo: Path,
    threshold: float = 0.3,
    top: int = 5,
) -> list[Identification]:
    answers = gallery.identify([photo], embedder, threshold, calibration, Silent(), top)
    ((path, found),) = answers
    assert path == photo
    assert isinstance(found, list)
    return found


def darker(photo: Path, to: Path, light: float = 0.85) -> Path:
    """The same picture a little darker: another file of the same person."""
    ImageEnhance.Brightness(Image.open(photo).convert("RGB")).enhance(light).save(to, quality=95)
    return to


def test_people_are_named_and_strangers_are_not(
    gallery: Gallery,
    embedder: Embedder,
    calibration: Calibration,
    hopper: Path,
    collins: Path,
    people: Path,
    tmp_path: Path,
) -> None:
    assert enrol(gallery, embedder, "Grace Hopper", hopper)[0].status == "enrolled"
    enrol(gallery, embedder, "person-00", *sorted((people / "person-00").iterdir()))
    (match,) = name(gallery, embedder, calibration, darker(hopper, tmp_path / "dark.jpg", 0.9))
    assert match.decision.answer == "match"
    assert match.decision.name == "Grace Hopper"
    assert match.decision.distance is not None
    assert match.decision.distance < 0.3
    assert [near.name for near in match.candidates] == ["Grace Hopper", "person-00"]
    assert match.candidates[0].photo == hopper
    (stranger,) = name(gallery, embedder, calibration, collins)
    assert stranger.decision.answer == "unknown"
    assert stranger.decision.name is None
    assert "beyond 0.300" in stranger.decision.reason


def test_candidates_are_people_nearest_first(
    gallery: Gallery, embedder: Embedder, calibration: Calibration, people: Path
) -> None:
    for folder in sorted(people.iterdir()):
        enrol(gallery, embedder, folder.name, *sorted(folder.iterdir()))
    photo = people / "person-03" / "pose-2.jpg"
    (answer,) = name(gallery, embedder, calibration, photo, top=6)
    query = embedder.embed(embedder.read(photo).chips)[0]
    slow = {}
    for folder in people.iterdir():
        vectors = [embedder.embed(embedder.read(path).chips)[0] for path in folder.iterdir()]
        mean = np.mean(vectors, axis=0)
        slow[folder.name] = float(np.linalg.norm(query - mean / np.linalg.norm(mean)))
    assert [near.name for near in answer.candidates] == sorted(slow, key=lambda n: slow[n])
    for near in answer.candidates:
        assert near.distance == pytest.approx(slow[near.name], abs=2e-3)
    assert len(name(gallery, embedder, calibration, photo, top=2)[0].candidates) == 2


def test_enrolling_again_changes_nothing(
    gallery: Gallery, embedder: Embedder, people: Path, tmp_path: Path
) -> None:
    photos = sorted((people / "person-01").iterdir())
    copy = tmp_path / "copy.jpg"
    shutil.copy(photos[0], copy)
    first = enrol(gallery, embedder, "ann", *photos, copy)
    assert [result.status for result in first] == ["enrolled"] * 5 + ["duplicate"]
    assert first[5].reason == f"same content as {photos[0]}"
    revision = gallery._store.revision()
    again = enrol(gallery, embedder, "ann", *photos, copy)
    assert [result.status for result in again] == ["duplicate"] * 6
    assert gallery._store.revision() == revision
    other = enrol(gallery, embedder, "bob", photos[0])
    assert (other[0].status, other[0].reason) == ("skipped", "this photo is enrolled as ann")


def test_bad_photos_do_not_stop_the_rest(
    gallery: Gallery, embedder: Embedder, people: Path, no_face: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    good = sorted((people / "person-02").iterdir())
    results = enrol(gallery, embedder, "ann", good[0], text, no_face, tmp_path / "gone", good[1])
    assert [result.status for result in results] == [
        "enrolled",
        "skipped",
        "skipped",
        "skipped",
        "enrolled",
    ]
    assert [result.reason for result in results[1:4]] == [
        "not an image that can be read",
        "no face found",
        "no such file",
    ]
    assert [result.error for result in results] == [False, True, False, True, False]


@pytest.mark.parametrize(("which", "faces"), [("only", 0), ("largest", 1), ("all", 3)])
def test_group_photos(
    gallery: Gallery, embedder: Embedder, group_photo: Path, which: Which, faces: int
) -> None:
    (result,) = enrol(gallery, embedder, "ann", group_photo, which=which)
    assert result.faces == faces
    assert result.status == ("enrolled" if faces else "skipped")
    if not faces:
        assert result.reason.startswith("3 faces found")
    assert sum(person.faces for person in gallery.people()) == faces


def test_every_face_of_a_group_is_answered_and_nobody_twice(
    gallery: Gallery,
    embedder: Embedder,
    calibration: Calibration,
    group_photo: Path,
    people: Path,
) -> None:
    enrol(gallery, embedder, "ann", *sorted((people / "person-00").iterdir()))
    answers = name(gallery, embedder, calibration, group_photo, threshold=2)
    assert [answer.face for answer in answers] == [0, 1, 2]
    named = [answer for answer in answers if answer.decision.name == "ann"]
    assert len(named) == 1
    nearest = min(answer.candidates[0].distance for answer in answers)
    assert named[0].decision.distance == nearest
    for answer in answers:
        if answer is not named[0]:
            assert answer.decision.answer == "unknown"
            assert f"already face {named[0].face} of this photo" in answer.decision.reason


def test_two_people_alike_are_ambiguous(
    gallery: Gallery, embedder: Embedder, calibration: Calibration, hopper: Path, tmp_path: Path
) -> None:
    enrol(gallery, embedder, "Grace", darker(hopper, tmp_path / "dark.jpg", 0.9))
    enrol(gallery, embedder, "Grace again", darker(hopper, tmp_path / "light.jpg", 1.1))
    (answer,) = name(gallery, embedder, calibration, hopper)
    assert answer.decision.answer == "ambiguous"
    assert answer.decision.name is None


def test_a_photo_without_a_face_is_unusable(
    gallery: Gallery, embedder: Embedder, calibration: Calibration, hopper: Path, no_face: Path
) -> None:
    enrol(gallery, embedder, "Grace", hopper)
    (answer,) = name(gallery, embedder, calibration, no_face)
    assert (answer.decision.answer, answer.face, answer.box) == ("unusable", None, None)
    assert answer.decision.reason == "no face found"


def test_one_bad_query_does_not_stop_the_others(
    gallery: Gallery, embedder: Embedder, calibration: Calibration, hopper: Path, tmp_path: Path
) -> None:
    enrol(gallery, embedder, "Grace", hopper)
    paths = [hopper, tmp_path / "gone.jpg", hopper]
    found = list(gallery.identify(paths, embedder, 0.3, calibration, Silent()))
    assert [path for path, _ in found] == paths
    assert isinstance(found[1][1], PhotoError)
    assert isinstance(found[2][1], list)


def test_an_empty_gallery_says_so(
    gallery: Gallery, embedder: Embedder, calibration: Calibration, hopper: Path
) -> None:
    with pytest.raises(GalleryError, match="nobody is enrolled yet"):
        name(gallery, embedder, calibration, hopper)
    enrol(gallery, embedder, "Grace", hopper)
    gallery.remove("Grace")
    with pytest.raises(GalleryError, match="nobody is enrolled yet"):
        name(gallery, embedder, calibration, hopper)


def test_strangers_are_counted_again_when_the_gallery_changes(
    gallery: Gallery, embedder: Embedder, hopper: Path, collins: Path
) -> None:
    with pytest.raises(GalleryError, match="nobody is enrolled yet"):
        gallery.impostor_scores(embedder.model)
    enrol(gallery, embedder, "Grace", hopper)
    one = gallery.impostor_scores(embedder.model)
    assert (gallery.folder / "strangers.bin").exists()
    again = gallery.impostor_scores(embedder.model)
    assert np.array_equal(one.distances, again.distances)
    assert np.array_equal(one.populations, again.populations)
    enrol(gallery, embedder, "Eileen", collins)
    both = gallery.impostor_scores(embedder.model)
    assert (both.distances <= one.distances + 1e-5).all()
    assert both.threshold(0.01) <= one.threshold(0.01)
    (gallery.folder / "strangers.bin").write_bytes(b"damaged")
    assert np.allclose(gallery.impostor_scores(embedder.model).distances, both.distances)


def test_more_photos_of_a_person_are_one_comparison(
    gallery: Gallery, embedder: Embedder, calibration: Calibration, people: Path
) -> None:
    photos = sorted((people / "person-01").iterdir())
    enrol(gallery, embedder, "one", *photos)
    (answer,) = name(gallery, embedder, calibration, photos[0], threshold=1)
    assert len(answer.candidates) == 1
    assert answer.candidates[0].photo == photos[0]  # the supporting photo is the nearest
    assert 0 < answer.candidates[0].distance < 0.3


def test_removed_and_renamed_people(
    gallery: Gallery,
    embedder: Embedder,
    calibration: Calibration,
    hopper: Path,
    collins: Path,
) -> None:
    enrol(gallery, embedder, "Grace", hopper)
    enrol(gallery, embedder, "Eileen", collins)
    gallery.rename("Grace", "Amazing Grace")
    assert name(gallery, embedder, calibration, hopper)[0].decision.name == "Amazing Grace"
    vector = embedder.embed(embedder.read(hopper).chips)[0]
    template = templates(vector[None], np.zeros(1, np.int64))
    assert template.tobytes()[:64] in (gallery.folder / "vectors.faiss").read_bytes()
    assert gallery.remove("Amazing Grace") == 1
    assert template.tobytes()[:64] not in (gallery.folder / "vectors.faiss").read_bytes()
    assert gallery.purge("Amazing Grace") == 1
    assert name(gallery, embedder, calibration, hopper)[0].candidates[0].name == "Eileen"
    for path in gallery.folder.iterdir():
        assert vector.tobytes()[:64] not in path.read_bytes()
        assert template.tobytes()[:64] not in path.read_bytes()
    assert enrol(gallery, embedder, "Grace", hopper)[0].status == "enrolled"


def test_another_model_is_refused(
    gallery: Gallery,
    embedder: Embedder,
    calibration: Calibration,
    hopper: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enrol(gallery, embedder, "Grace", hopper)
    other = Embedder(type(embedder.model)(embedder.model.folder))
    other.model.__dict__["fingerprint"] = "0" * 64
    for job in (
        lambda: enrol(gallery, other, "Grace", hopper),
        lambda: name(gallery, other, calibration, hopper),
    ):
        with pytest.raises(GalleryError, match="enrolled with --model default"):
            job()


@pytest.mark.parametrize("damage", ["missing", "cut", "nonsense", "old"])
def test_the_index_file_is_only_a_cache(
    tmp_path: Path,
    embedder: Embedder,
    calibration: Calibration,
    hopper: Path,
    collins: Path,
    damage: str,
) -> None:
    folder = tmp_path / "gallery"
    with Gallery(folder, create=True) as gallery:
        enrol(gallery, embedder, "Grace", hopper)
        old = (folder / "vectors.faiss").read_bytes()
        enrol(gallery, embedder, "Eileen", collins)
    index = folder / "vectors.faiss"
    whole = index.read_bytes()
    index.unlink()
    content = {"cut": whole[: len(whole) // 2], "nonsense": b"?" * 5000, "old": old}.get(damage)
    if content is not None:
        index.write_bytes(content)
    with Gallery(folder) as gallery:
        assert gallery.info().index == "to be rebuilt"
        (answer,) = name(gallery, embedder, calibration, collins)
        assert answer.decision.name == "Eileen"
        assert gallery.info().index == "current"
    assert index.read_bytes() == whole


def test_a_stop_in_the_middle_loses_only_the_batch_in_flight(
    tmp_path: Path, embedder: Embedder, people: Path
) -> None:
    photos = []
    for number in range(PHOTOS_PER_TRANSACTION + 3):  # one picture, many contents
        path = tmp_path / f"{number:03}.jpg"
        source = (people / "person-00" / "pose-0.jpg").read_bytes()
        path.write_bytes(source + bytes([number]))
        photos.append(path)
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        asked = [("ann", photo) for photo in photos]
        results = gallery.enroll(asked, embedder, Silent(), insist=True)
        told = [next(results) for _ in range(PHOTOS_PER_TRANSACTION)]
        results.close()  # as Ctrl-C would
    assert {result.status for result in told} == {"enrolled"}
    with Gallery(tmp_path / "gallery") as gallery:
        assert gallery.info().faces == PHOTOS_PER_TRANSACTION
        again = list(gallery.enroll(asked, embedder, Silent(), insist=True))
        assert [result.status for result in again] == ["duplicate"] * PHOTOS_PER_TRANSACTION + [
            "enrolled"
        ] * 3
        assert gallery.info().faces == PHOTOS_PER_TRANSACTION + 3


def test_two_writers_at_once_lose_nothing(tmp_path: Path, embedder: Embedder, people: Path) -> None:
    folder = tmp_path / "gallery"
    Gallery(folder, create=True)._store.close()
    found: dict[str, list[EnrolledPhoto]] = {}

    def work(who: str, photos: list[Path]) -> None:
        with Gallery(folder) as gallery:
            found[who] = enrol(gallery, embedder, who, *photos)

    jobs = [
        threading.Thread(target=work, args=("ann", sorted(people.glob("person-00/*.jpg")))),
        threading.Thread(target=work, args=("bob", sorted(people.glob("person-01/*.jpg")))),
        threading.Thread(target=work, args=("eve", sorted(people.glob("person-01/*.jpg")))),
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    with Gallery(folder) as gallery:
        counts = {person.name: person.faces for person in gallery.people()}
    assert counts.pop("ann") == 5
    assert list(counts.values()) == [5], "the photos belong to bob or to eve"
    statuses = sorted({result.status for who in ("bob", "eve") for result in found[who]})
    assert statuses == ["enrolled", "skipped"]


def test_a_reader_goes_on_while_somebody_enrols(
    tmp_path: Path,
    embedder: Embedder,
    calibration: Calibration,
    hopper: Path,
    collins: Path,
) -> None:
    with (
        Gallery(tmp_path / "gallery", create=True) as writer,
        Gallery(tmp_path / "gallery") as reader,
    ):
        enrol(writer, embedder, "Grace", hopper)
        assert name(reader, embedder, calibration, hopper)[0].decision.name == "Grace"
        enrol(writer, embedder, "Eileen", collins)
        assert name(reader, embedder, calibration, collins)[0].decision.name == "Eileen"
        writer.remove("Grace")
        assert name(reader, embedder, calibration, hopper)[0].candidates[0].name == "Eileen"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  Ann  ", "Ann"),
        ("Zoe\u0308", "Zo\u00eb"),
        ('O\'Brien "Bob"; DROP TABLE people', 'O\'Brien "Bob"; DROP TABLE people'),
        ("\U0001f600 王小明", "\U0001f600 王小明"),
        ("x" * 255, "x" * 255),
    ],
)
def test_names_are_kept_as_people_write_them(
    gallery: Gallery, embedder: Embedder, hopper: Path, given: str, kept: str
) -> None:
    assert clean_name(given) == kept
    enrol(gallery, embedder, given, hopper)
    assert [person.name for person in gallery.people()] == [kept]
    assert len(gallery.faces_of(given)) == 1


@pytest.mark.parametrize("bad", ["", "   ", "x" * 300, "two\nlines", "nul\0", "broken\udce9"])
def test_names_that_are_none(gallery: Gallery, embedder: Embedder, hopper: Path, bad: str) -> None:
    with pytest.raises(PersonError) as error:
        clean_name(bad)
    assert "\n" not in str(error.value)
    (result,) = enrol(gallery, embedder, bad, hopper)
    assert (result.status, result.reason) == ("skipped", str(error.value))
    assert gallery.people() == []


def test_all_jobs_see_the_same_pixels(
    gallery: Gallery, embedder: Embedder, calibration: Calibration, people: Path
) -> None:
    """One photo has one embedding, whichever job looks at it."""
    photo, other = (people / "person-04" / f"pose-{pose}.jpg" for pose in (1, 2))
    enrol(gallery, embedder, "ann", photo)
    _, _, stored = gallery._store.vectors()
    assert np.array_equal(stored, embedder.embed(embedder.read(photo).chips))
    assert np.array_equal(embedder.read_principal(photo), embedder.read(photo).chips[0])
    (answer,) = name(gallery, embedder, calibration, other)
    compared = compare(embedder, calibration, photo, other, 0.3)
    assert answer.candidates[0].distance == pytest.approx(compared.distance, abs=2e-3)


def test_a_tree_is_enrolled_in_one_go(gallery: Gallery, embedder: Embedder, people: Path) -> None:
    """A batch spans people; a photo that two of them claim goes to the first."""
    first, second = sorted(people.glob("person-0[01]"))
    asked = [(folder.name, path) for folder in (first, second) for path in sorted(folder.iterdir())]
    asked.append((second.name, asked[0][1]))
    asked.append(("broken\udce9", asked[0][1]))
    results = list(gallery.enroll(asked, embedder, Silent()))
    assert [result.status for result in results] == ["enrolled"] * 10 + ["skipped"] * 2
    assert results[10].reason == f"same content as {asked[0][1]}, which is person-00's"
    assert "control or broken" in results[11].reason
    assert [(person.name, person.faces) for person in gallery.people()] == [
        ("person-00", 5),
        ("person-01", 5),
    ]
    assert gallery.info().index == "current"


def test_the_largest_usable_face_is_enrolled(
    gallery: Gallery, embedder: Embedder, hopper: Path, tmp_path: Path
) -> None:
    """A small face in the middle does not win against a large one at the side."""
    portrait = Image.open(hopper).convert("RGB")
    scene = Image.new("RGB", (1400, 700), "grey")
    scene.paste(portrait.resize((307, 360)), (546, 170))
    scene.paste(portrait, (0, 50))
    scene.save(tmp_path / "scene.png")
    faces = embedder.read(tmp_path / "scene.png").faces
    assert [face.box.left < 500 for face in faces] == [True, False]
    (result,) = enrol(gallery, embedder, "Grace", tmp_path / "scene.png", which="largest")
    assert (result.status, result.reason) == ("enrolled", "the largest of 2 faces")
    assert gallery.faces_of("Grace")[0].box == faces[0].box


def test_an_index_that_cannot_be_kept_is_no_error(
    gallery: Gallery, embedder: Embedder, calibration: Calibration, hopper: Path
) -> None:
    (gallery.folder / "vectors.faiss").mkdir()
    enrol(gallery, embedder, "Grace", hopper)
    assert name(gallery, embedder, calibration, hopper)[0].decision.name == "Grace"
    assert sorted(path.name for path in gallery.folder.iterdir() if path.suffix == ".new") == []
