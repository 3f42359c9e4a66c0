"""Enrolling and naming: right people, honest refusals, and a state that survives what happens."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from facesearch.core.errors import GalleryError, PersonError, PhotoError
from facesearch.core.names import clean_name
from facesearch.core.templates import templates
from facesearch.enrollment.enroller import PHOTOS_PER_TRANSACTION
from facesearch.enrollment.results import EnrolledPhoto, WhichFaces
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.matching.identification import IdentifiedFace
from facesearch.storage.store import Store
from facesearch.vision.embedder import Embedder


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery") as gallery:
        yield gallery


def revision(gallery: Gallery) -> str:
    with closing(Store(gallery.folder, create=False)) as store:
        return store.revision()


def enroll(
    gallery: Gallery, name: str, *photos: Path, faces: WhichFaces = "only"
) -> list[EnrolledPhoto]:
    return list(gallery.enroll_each([(name, photo) for photo in photos], faces=faces))


def named(
    gallery: Gallery, photo: Path, threshold: float = 0.3, top: int = 5
) -> list[IdentifiedFace]:
    return gallery.identify(photo, threshold=threshold, top=top)


def darker(photo: Path, to: Path, light: float = 0.85) -> Path:
    """The same picture a little darker: another file of the same person."""
    ImageEnhance.Brightness(Image.open(photo).convert("RGB")).enhance(light).save(to, quality=95)
    return to


def test_people_are_named_and_strangers_are_not(
    gallery: Gallery,
    hopper: Path,
    collins: Path,
    people: Path,
    tmp_path: Path,
) -> None:
    assert enroll(gallery, "Grace Hopper", hopper)[0].status == "enrolled"
    enroll(gallery, "person-00", *sorted((people / "person-00").iterdir()))
    (match,) = named(gallery, darker(hopper, tmp_path / "dark.jpg", 0.9))
    assert match.answer == "match"
    assert match.name == "Grace Hopper"
    assert match.distance is not None
    assert match.distance < 0.3
    assert [near.name for near in match.candidates] == ["Grace Hopper", "person-00"]
    assert match.candidates[0].photo == hopper
    (stranger,) = named(gallery, collins)
    assert stranger.answer == "unknown"
    assert stranger.name is None
    assert "beyond 0.300" in stranger.reason


def test_candidates_are_people_nearest_first(
    gallery: Gallery, embedder: Embedder, people: Path
) -> None:
    for folder in sorted(people.iterdir()):
        enroll(gallery, folder.name, *sorted(folder.iterdir()))
    photo = people / "person-03" / "pose-2.jpg"
    (answer,) = named(gallery, photo, top=6)
    query = embedder.embed(embedder.read(photo).chips)[0]
    slow = {}
    for folder in people.iterdir():
        vectors = [embedder.embed(embedder.read(path).chips)[0] for path in folder.iterdir()]
        mean = np.mean(vectors, axis=0)
        slow[folder.name] = float(np.linalg.norm(query - mean / np.linalg.norm(mean)))
    assert [near.name for near in answer.candidates] == sorted(slow, key=lambda n: slow[n])
    for near in answer.candidates:
        assert near.distance == pytest.approx(slow[near.name], abs=2e-3)
    assert len(named(gallery, photo, top=2)[0].candidates) == 2


def test_enrolling_again_changes_nothing(gallery: Gallery, people: Path, tmp_path: Path) -> None:
    photos = sorted((people / "person-01").iterdir())
    copy = tmp_path / "copy.jpg"
    shutil.copy(photos[0], copy)
    first = enroll(gallery, "ann", *photos, copy)
    assert [result.status for result in first] == ["enrolled"] * 5 + ["duplicate"]
    assert first[5].reason == f"same content as {photos[0]}"
    before = revision(gallery)
    again = enroll(gallery, "ann", *photos, copy)
    assert [result.status for result in again] == ["duplicate"] * 6
    assert revision(gallery) == before
    other = enroll(gallery, "bob", photos[0])
    assert (other[0].status, other[0].reason) == ("skipped", "this photo is enrolled as ann")


def test_bad_photos_do_not_stop_the_rest(
    gallery: Gallery, people: Path, no_face: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    good = sorted((people / "person-02").iterdir())
    results = enroll(gallery, "ann", good[0], text, no_face, tmp_path / "gone", good[1])
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
def test_group_photos(gallery: Gallery, group_photo: Path, which: WhichFaces, faces: int) -> None:
    (result,) = enroll(gallery, "ann", group_photo, faces=which)
    assert result.faces == faces
    assert result.status == ("enrolled" if faces else "skipped")
    if not faces:
        assert result.reason.startswith("3 faces found")
    assert sum(person.faces for person in gallery.people()) == faces


def test_every_face_of_a_group_is_answered_and_nobody_twice(
    gallery: Gallery,
    group_photo: Path,
    people: Path,
) -> None:
    enroll(gallery, "ann", *sorted((people / "person-00").iterdir()))
    answers = named(gallery, group_photo, threshold=2)
    assert [answer.face for answer in answers] == [0, 1, 2]
    anns = [answer for answer in answers if answer.name == "ann"]
    assert len(anns) == 1
    nearest = min(answer.candidates[0].distance for answer in answers)
    assert anns[0].distance == nearest
    for answer in answers:
        if answer is not anns[0]:
            assert answer.answer == "unknown"
            assert f"already face {anns[0].face} of this photo" in answer.reason


def test_two_people_alike_are_ambiguous(gallery: Gallery, hopper: Path, tmp_path: Path) -> None:
    enroll(gallery, "Grace", darker(hopper, tmp_path / "dark.jpg", 0.9))
    enroll(gallery, "Grace again", darker(hopper, tmp_path / "light.jpg", 1.1))
    (answer,) = named(gallery, hopper)
    assert answer.answer == "ambiguous"
    assert answer.name is None


def test_a_photo_without_a_face_is_unusable(gallery: Gallery, hopper: Path, no_face: Path) -> None:
    enroll(gallery, "Grace", hopper)
    (answer,) = named(gallery, no_face)
    assert (answer.answer, answer.face, answer.box) == ("unusable", None, None)
    assert answer.reason == "no face found"


def test_one_bad_query_does_not_stop_the_others(
    gallery: Gallery, hopper: Path, tmp_path: Path
) -> None:
    enroll(gallery, "Grace", hopper)
    paths = [hopper, tmp_path / "gone.jpg", hopper]
    found = list(gallery.identify_each(paths, threshold=0.3))
    assert [path for path, _ in found] == paths
    assert isinstance(found[1][1].error, PhotoError)
    assert [face.name for face in found[2][1].faces] == ["Grace"]


def test_an_empty_gallery_says_so(gallery: Gallery, hopper: Path) -> None:
    with pytest.raises(GalleryError, match="nobody is enrolled yet"):
        named(gallery, hopper)
    enroll(gallery, "Grace", hopper)
    gallery.remove("Grace")
    with pytest.raises(GalleryError, match="nobody is enrolled yet"):
        named(gallery, hopper)


def test_strangers_are_counted_again_when_the_gallery_changes(
    tmp_path: Path, hopper: Path, collins: Path
) -> None:
    with Gallery(tmp_path / "gallery") as gallery:
        with pytest.raises(GalleryError, match="nobody is enrolled yet"):
            gallery.search_threshold()
        enroll(gallery, "Grace", hopper)
        one = gallery.search_threshold(0.5).distance
        kept = gallery.folder / "strangers.bin"
        assert kept.exists()
        assert gallery.search_threshold(0.5).distance == one
        enroll(gallery, "Eileen", collins)
        both = gallery.search_threshold(0.5).distance
        assert both < one
    kept.write_bytes(b"damaged")
    with Gallery(tmp_path / "gallery") as gallery:
        assert gallery.search_threshold(0.5).distance == pytest.approx(both, abs=1e-6)


def test_more_photos_of_a_person_are_one_comparison(gallery: Gallery, people: Path) -> None:
    photos = sorted((people / "person-01").iterdir())
    enroll(gallery, "one", *photos)
    (answer,) = named(gallery, photos[0], threshold=1)
    assert len(answer.candidates) == 1
    assert answer.candidates[0].photo == photos[0]  # the supporting photo is the nearest
    assert 0 < answer.candidates[0].distance < 0.3


def test_removed_and_renamed_people(
    gallery: Gallery,
    embedder: Embedder,
    hopper: Path,
    collins: Path,
) -> None:
    enroll(gallery, "Grace", hopper)
    enroll(gallery, "Eileen", collins)
    gallery.rename("Grace", "Amazing Grace")
    assert named(gallery, hopper)[0].name == "Amazing Grace"
    vector = embedder.embed(embedder.read(hopper).chips)[0]
    template = templates(vector[None], np.zeros(1, np.int64))
    assert template.tobytes()[:64] in (gallery.folder / "vectors.faiss").read_bytes()
    assert gallery.remove("Amazing Grace").faces == 1
    assert template.tobytes()[:64] not in (gallery.folder / "vectors.faiss").read_bytes()
    assert gallery.purge("Amazing Grace") == 1
    assert named(gallery, hopper)[0].candidates[0].name == "Eileen"
    for path in gallery.folder.iterdir():
        assert vector.tobytes()[:64] not in path.read_bytes()
        assert template.tobytes()[:64] not in path.read_bytes()
    assert enroll(gallery, "Grace", hopper)[0].status == "enrolled"


def test_another_model_is_refused(gallery: Gallery, embedder: Embedder, hopper: Path) -> None:
    enroll(gallery, "Grace", hopper)
    other = Embedder(type(embedder.model)(embedder.model.folder))
    other.model.__dict__["fingerprint"] = "0" * 64
    with Gallery(gallery.folder, recognizer=Recognizer.of(other)) as stranger:
        for job in (
            lambda: enroll(stranger, "Grace", hopper),
            lambda: named(stranger, hopper),
            lambda: stranger.search_threshold(),
            lambda: stranger.reject("Grace", hopper),
            lambda: stranger.check_model(),
        ):
            with pytest.raises(GalleryError, match="enrolled with --model default"):
                job()


@pytest.mark.parametrize("damage", ["missing", "cut", "nonsense", "old"])
def test_the_index_file_is_only_a_cache(
    tmp_path: Path,
    hopper: Path,
    collins: Path,
    damage: str,
) -> None:
    folder = tmp_path / "gallery"
    with Gallery(folder) as gallery:
        enroll(gallery, "Grace", hopper)
        old = (folder / "vectors.faiss").read_bytes()
        enroll(gallery, "Eileen", collins)
    index = folder / "vectors.faiss"
    whole = index.read_bytes()
    index.unlink()
    content = {"cut": whole[: len(whole) // 2], "nonsense": b"?" * 5000, "old": old}.get(damage)
    if content is not None:
        index.write_bytes(content)
    with Gallery(folder) as gallery:
        assert gallery.info().index == "to be rebuilt"
        (answer,) = named(gallery, collins)
        assert answer.name == "Eileen"
        assert gallery.info().index == "current"
    assert index.read_bytes() == whole


def test_a_stop_in_the_middle_loses_only_the_batch_in_flight(tmp_path: Path, people: Path) -> None:
    photos = []
    for number in range(PHOTOS_PER_TRANSACTION + 3):  # one picture, many contents
        path = tmp_path / f"{number:03}.jpg"
        source = (people / "person-00" / "pose-0.jpg").read_bytes()
        path.write_bytes(source + bytes([number]))
        photos.append(path)
    with Gallery(tmp_path / "gallery") as gallery:
        asked = [("ann", photo) for photo in photos]
        results = gallery.enroll_each(asked, include_doubtful=True)
        told = [next(results) for _ in range(PHOTOS_PER_TRANSACTION)]
        results.close()  # as Ctrl-C would
    assert {result.status for result in told} == {"enrolled"}
    with Gallery(tmp_path / "gallery") as gallery:
        assert gallery.info().faces == PHOTOS_PER_TRANSACTION
        again = list(gallery.enroll_each(asked, include_doubtful=True))
        assert [result.status for result in again] == ["duplicate"] * PHOTOS_PER_TRANSACTION + [
            "enrolled"
        ] * 3
        assert gallery.info().faces == PHOTOS_PER_TRANSACTION + 3


def test_two_writers_at_once_lose_nothing(tmp_path: Path, people: Path) -> None:
    folder = tmp_path / "gallery"
    Gallery(folder).close()
    found: dict[str, list[EnrolledPhoto]] = {}

    def work(who: str, photos: list[Path]) -> None:
        with Gallery(folder) as gallery:
            found[who] = enroll(gallery, who, *photos)

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
    hopper: Path,
    collins: Path,
) -> None:
    with (
        Gallery(tmp_path / "gallery") as writer,
        Gallery(tmp_path / "gallery") as reader,
    ):
        enroll(writer, "Grace", hopper)
        assert named(reader, hopper)[0].name == "Grace"
        enroll(writer, "Eileen", collins)
        assert named(reader, collins)[0].name == "Eileen"
        writer.remove("Grace")
        assert named(reader, hopper)[0].candidates[0].name == "Eileen"


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
    gallery: Gallery, hopper: Path, given: str, kept: str
) -> None:
    assert clean_name(given) == kept
    enroll(gallery, given, hopper)
    assert [person.name for person in gallery.people()] == [kept]
    assert len(gallery[given].faces) == 1


@pytest.mark.parametrize("bad", ["", "   ", "x" * 300, "two\nlines", "nul\0", "broken\udce9"])
def test_names_that_are_none(gallery: Gallery, hopper: Path, bad: str) -> None:
    with pytest.raises(PersonError) as error:
        clean_name(bad)
    assert "\n" not in str(error.value)
    (result,) = enroll(gallery, bad, hopper)
    assert (result.status, result.reason) == ("skipped", str(error.value))
    assert gallery.people() == []


def test_all_jobs_see_the_same_pixels(gallery: Gallery, embedder: Embedder, people: Path) -> None:
    """One photo has one embedding, whichever job looks at it."""
    photo, other = (people / "person-04" / f"pose-{pose}.jpg" for pose in (1, 2))
    enroll(gallery, "ann", photo)
    with closing(Store(gallery.folder, create=False)) as store:
        _, _, stored = store.vectors()
    assert np.array_equal(stored, embedder.embed(embedder.read(photo).chips))
    assert np.array_equal(embedder.read_principal(photo), embedder.read(photo).chips[0])
    (answer,) = named(gallery, other)
    compared = gallery.compare(photo, other, threshold=0.3)
    assert answer.candidates[0].distance == pytest.approx(compared.distance, abs=2e-3)


def test_a_tree_is_enrolled_in_one_go(gallery: Gallery, people: Path) -> None:
    """A batch spans people; a photo that two of them claim goes to the first."""
    first, second = sorted(people.glob("person-0[01]"))
    asked = [(folder.name, path) for folder in (first, second) for path in sorted(folder.iterdir())]
    asked.append((second.name, asked[0][1]))
    asked.append(("broken\udce9", asked[0][1]))
    results = list(gallery.enroll_each(asked))
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
    (result,) = enroll(gallery, "Grace", tmp_path / "scene.png", faces="largest")
    assert (result.status, result.reason) == ("enrolled", "the largest of 2 faces")
    assert gallery["Grace"].faces[0].box == faces[0].box


def test_an_index_that_cannot_be_kept_is_no_error(gallery: Gallery, hopper: Path) -> None:
    (gallery.folder / "vectors.faiss").mkdir()
    enroll(gallery, "Grace", hopper)
    assert named(gallery, hopper)[0].name == "Grace"
    assert sorted(path.name for path in gallery.folder.iterdir() if path.suffix == ".new") == []
