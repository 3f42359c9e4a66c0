"""`import facesearch`: few names, any kind of photo, one model for all threads, one interface."""

import asyncio
import inspect
import io
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import facesearch as fs
import facesearch.core.errors as core_errors
from facesearch.core.photos import Photo
from facesearch.vision import model as models

HEAVY = ("PIL", "dlib", "faiss", "fastapi", "httpx", "numpy", "onnxruntime", "sqlalchemy", "torch")


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[fs.Gallery]:
    with fs.Gallery(tmp_path / "gallery") as gallery:
        yield gallery


@pytest.fixture(scope="session")
def enrolled(tmp_path_factory: pytest.TempPathFactory, hopper: Path) -> Iterator[fs.Gallery]:
    """Grace alone; not to be changed."""
    with fs.Gallery(tmp_path_factory.mktemp("enrolled")) as gallery:
        gallery.enroll("Grace", hopper)
        yield gallery


# The example of the documentation


def test_the_example(
    tmp_path: Path,
    people: Path,
    hopper: Path,
    collins: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(people / "person-00", "people/A.")
    shutil.copytree(people / "person-01", "people/Bob")
    photos = [people / "person-02" / f"pose-{pose}.jpg" for pose in range(4)]
    photo = people / "person-02" / "pose-4.jpg"
    a, b = hopper, collins
    embedding = fs.faces(photo)[0].embedding

    with fs.open("gallery") as gallery:
        report = gallery.enroll("Ada", photos)
        assert (len(report.enrolled), report.held, report.skipped) == (4, [], [])
        assert isinstance(report.event, int)
        gallery.enroll_tree("people/")
        for face in gallery.identify(photo, fpir=0.01):
            assert (face.answer, face.name) == ("match", "Ada")
            assert face.probability is not None
            assert face.probability > 0.9
            assert face.box is not None
            assert face.candidates[0].name == "Ada"
        for photo, result in gallery.identify_each(photos):
            assert result.error is None
            assert [face.name for face in result.faces] == ["Ada"]
            assert result.photo is photo
        assert gallery.search(embedding).decision.name == "Ada"
        assert len(gallery) == 3
        assert "Ada" in gallery
        assert gallery["Ada"].faces[0].picture().shape[2] == 3
        event = gallery.merge("Ada", "A.")
        assert len(gallery) == 2
        gallery.undo(event)
        assert [person.name for person in gallery] == ["A.", "Ada", "Bob"]
    faces = fs.faces(photo)
    assert len(faces) == 1
    result = fs.compare(a, b, fmr=0.001)
    assert result.same is False


# Names


def test_import_is_light() -> None:
    code = (
        "import sys, facesearch as fs\n"
        f"print([name for name in {HEAVY} if name in sys.modules])\n"
        "print(all(hasattr(fs, name) for name in fs.__all__ if name != 'Client'))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # the arrays' type aliases need NumPy once a name is asked for, the package itself nothing
    assert found.stdout.splitlines() == ["[]", "True"]


def test_people_are_listed_without_the_networks(enrolled: fs.Gallery) -> None:
    code = (
        "import sys, facesearch as fs\n"
        f"gallery = fs.open({str(enrolled.folder)!r}, create=False)\n"
        "print(len(gallery), [each.name for each in gallery], 'Grace' in gallery)\n"
        "print([name for name in ('PIL', 'dlib', 'faiss', 'onnxruntime') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines() == ["1 ['Grace'] True", "[]"]


def test_every_name_is_what_it_says() -> None:
    for name in fs.__all__:
        found = getattr(fs, name)
        if inspect.isclass(found):
            assert found.__name__ == name
    assert set(fs.__all__) <= set(dir(fs))
    assert issubclass(fs.errors.UnknownPerson, KeyError)
    every = {name for name, found in vars(core_errors).items() if inspect.isclass(found)}
    assert every == {name for name, found in vars(fs.errors).items() if inspect.isclass(found)}
    assert fs.errors.PhotoError is core_errors.PhotoError
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = fs.nothing  # type: ignore[attr-defined]


# Photos of every kind


def kinds(path: Path, copy: Path) -> dict[str, Photo]:
    """One photo in every way in which it can be given."""
    picture = Image.open(path).convert("RGB")
    pixels = np.array(picture)
    turned = picture.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned back
    file = io.BytesIO()
    turned.save(file, "JPEG", quality=95, exif=exif.tobytes())
    read = io.BytesIO(path.read_bytes())
    read.read()  # at its end, as after writing
    return {
        "str": str(shutil.copy(path, copy)),
        "path": path,
        "bytes": path.read_bytes(),
        "file": path.open("rb"),
        "BytesIO": read,
        "RGB": picture,
        "RGBA": picture.convert("RGBA"),
        "L": picture.convert("L"),
        "P": picture.convert("P", palette=Image.Palette.ADAPTIVE),
        "CMYK": picture.convert("CMYK"),
        "EXIF": Image.open(io.BytesIO(file.getvalue())),
        "array": pixels,
        "bgr": fs.bgr(np.ascontiguousarray(pixels[..., ::-1])),
        "read-only": np.frombuffer(pixels.tobytes(), np.uint8).reshape(pixels.shape),
    }


def test_a_photo_of_any_kind(enrolled: fs.Gallery, hopper: Path, tmp_path: Path) -> None:
    photos = kinds(hopper, tmp_path / "copy.jpg")
    (whole,) = enrolled.identify(hopper)
    assert whole.box is not None
    found = list(enrolled.identify_each(list(photos.values())))
    photos["file"].close()  # type: ignore[union-attr]
    for kind, (photo, result) in zip(photos, found, strict=True):
        assert photo is photos[kind], kind
        assert result.photo is photo
        assert result.error is None, kind
        assert (result.width, result.height) == (512, 600), kind
        (face,) = result.faces
        assert face.photo is photo
        assert (face.answer, face.name) == ("match", "Grace"), kind
        assert face.box is not None
        assert face.box.overlap(whole.box) > 0.8, kind
    assert enrolled.identify(np.array(Image.open(hopper)))[0].distance == pytest.approx(
        whole.distance, abs=1e-3
    )


def test_colours_in_the_wrong_order_are_another_picture(hopper: Path) -> None:
    pixels = np.array(Image.open(hopper).convert("RGB"))
    frame = np.ascontiguousarray(pixels[..., ::-1])
    assert np.array_equal(fs.bgr(frame), pixels)
    assert np.shares_memory(fs.bgr(frame), frame)


@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (np.zeros((4, 4), np.uint8), r"shape \(4, 4\) and dtype uint8"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 3), np.float32), r"shape \(4, 4, 3\) and dtype float32"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        (io.StringIO("text"), "binary mode"),
        (3, "not int"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_photo(photo: Photo, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fs.faces(photo)
    if isinstance(photo, np.ndarray):
        with pytest.raises(ValueError, match=message):
            fs.bgr(photo)


def test_a_closed_file_is_no_photo(hopper: Path) -> None:
    with hopper.open("rb") as file:
        pass
    with pytest.raises(ValueError, match="closed"):
        fs.faces(file)


@pytest.mark.parametrize("photo", [b"", b"no photo", io.BytesIO(), "gone.jpg", Path("gone.jpg")])
def test_photos_that_cannot_be_read(photo: Photo) -> None:
    with pytest.raises(fs.errors.PhotoError) as error:
        fs.faces(photo)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(("photo: ", "gone.jpg: "))


def test_a_truncated_picture_is_an_error_of_one_line(hopper: Path) -> None:
    picture = Image.open(io.BytesIO(hopper.read_bytes()[:9000]))
    with pytest.raises(fs.errors.PhotoError, match="damaged image"):
        fs.faces(picture)


def test_one_bad_photo_does_not_stop_the_others(enrolled: fs.Gallery, hopper: Path) -> None:
    asked: list[Photo] = [hopper, b"", "gone.jpg", hopper.read_bytes()]
    found = list(enrolled.identify_each(asked))
    assert [photo for photo, _ in found] == asked
    errors = [result.error for _, result in found]
    assert [type(error) for error in errors] == [
        type(None),
        fs.errors.NotAnImage,
        fs.errors.PhotoError,
        type(None),
    ]
    assert str(errors[2]) == "gone.jpg: no such file"
    assert [len(result.faces) for _, result in found] == [1, 0, 0, 1]
    with pytest.raises(fs.errors.PhotoError, match=r"gone\.jpg: no such file"):
        enrolled.identify("gone.jpg")


def test_frames_are_taken_as_they_come(enrolled: fs.Gallery, hopper: Path) -> None:
    """A generator is not read to its end first, and may use one piece of memory for all frames."""
    frame = np.array(Image.open(hopper).convert("RGB"))
    whole, taken = frame.copy(), 0

    def camera() -> Iterator[Photo]:
        nonlocal taken
        for number in range(40):
            taken += 1
            frame[:] = whole if number % 2 == 0 else 0
            yield frame

    found = enrolled.identify_each(camera())
    answers = [next(found)[1].faces[0].answer for _ in range(4)]
    assert answers == ["match", "unusable"] * 2
    assert taken < 40
    found.close()  # type: ignore[attr-defined]


# Enrolling


def test_photos_without_a_file_are_enrolled(
    gallery: fs.Gallery, hopper: Path, collins: Path
) -> None:
    pixels = np.array(Image.open(hopper).convert("RGB"))
    report = gallery.enroll("Grace", pixels)
    assert [photo.status for photo in report] == ["enrolled"]
    assert report.photos[0].photo is pixels
    again = gallery.enroll("Grace", [pixels.copy(), Image.fromarray(pixels)])
    assert [photo.reason for photo in again] == ["enrolled before"] * 2
    assert len(again.duplicates) == 2
    assert again.event is None
    with pytest.raises(fs.errors.PhotoError, match="face 1: its photo was no file"):
        gallery["Grace"].faces[0].picture()
    gallery.enroll("Eileen", collins.read_bytes(), keep_chips=True)
    assert gallery["Eileen"].faces[0].picture().shape[2] == 3


def test_a_folder_and_a_path_that_is_repeated(gallery: fs.Gallery, people: Path) -> None:
    folder = people / "person-03"
    first = folder / "pose-0.jpg"
    report = gallery.enroll("Ann", [folder, first], dry_run=True)
    assert [photo.photo for photo in report] == [*sorted(folder.iterdir()), first]
    assert [photo.reason for photo in report.duplicates] == [f"same content as {first}"]
    assert (len(report.enrolled), report.event, len(gallery)) == (5, None, 0)
    assert len(gallery.enroll("Ann", str(folder)).enrolled) == 5
    assert [path for path, _ in gallery.identify_each([first, first])] == [first, first]


def test_doubtful_photos_are_held_back_unless_they_are_included(
    gallery: fs.Gallery, people: Path
) -> None:
    photos = [*(people / "person-00").iterdir(), people / "person-01" / "pose-0.jpg"]
    report = gallery.enroll("Ann", photos)
    assert [photo.photo for photo in report.held] == photos[5:]
    assert report.skipped == []
    assert len(gallery.enroll("Ann", photos, include_doubtful=True).enrolled) == 1


def test_bad_names(gallery: fs.Gallery, hopper: Path) -> None:
    with pytest.raises(fs.errors.BadName):
        gallery.enroll("", hopper)
    assert "" not in gallery
    assert 3 not in gallery
    with pytest.raises(KeyError) as error:
        gallery["Nobody"]
    assert str(error.value) == "Nobody: nobody of this name is enrolled"


def test_whatever_is_done_to_people_can_be_undone(gallery: fs.Gallery, people: Path) -> None:
    for name in ("person-00", "person-01"):
        gallery.enroll(name, people / name)
    done = [
        gallery.rename("person-00", "Ann"),
        gallery.merge("Ann", "person-01"),
        gallery.split("Ann", [1], "Eve"),
        gallery.reject_face("Ann", 2),
        gallery.remove("Eve"),
    ]
    assert [change.action for change in done] == ["rename", "merge", "split", "reject", "remove"]
    assert [change.faces for change in done] == [0, 5, 1, 1, 1]
    assert [change.event for change in gallery.changes()] == [each.event for each in done[::-1]]
    for change in done[::-1]:
        assert gallery.undo(change).event == change.event
    counts = {person.name: person.faces for person in gallery}
    assert counts == {"person-00": 5, "person-01": 5}


# Threads and models


def test_eight_threads_and_one_model(
    tmp_path: Path, people: Path, hopper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []
    session = models.session

    def counted(graph: Path, *, arena: bool = True) -> object:
        loaded.append(graph)
        return session(graph, arena=arena)

    monkeypatch.setattr(models, "session", counted)
    folder = shutil.copytree(models.shipped_models() / "default", tmp_path / "model")
    answers: dict[int, list[str | None]] = {}
    errors: list[BaseException] = []
    begin = threading.Barrier(8)
    with fs.Gallery(tmp_path / "gallery", model=folder) as gallery:

        def work(number: int) -> None:
            try:
                begin.wait()
                if number < 4:
                    name = f"person-{number:02}"
                    report = gallery.enroll(name, people / name)
                    assert len(report.enrolled) == 5
                answers[number] = [
                    face.name for _ in range(3) for face in gallery.identify(hopper, threshold=0.3)
                ]
            except BaseException as error:
                errors.append(error)

        fs.Gallery(tmp_path / "gallery", model=folder).enroll("Grace", hopper)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert answers == {number: ["Grace"] * 3 for number in range(8)}
        assert [(each.name, each.faces) for each in gallery] == [
            ("Grace", 1),
            *((f"person-{number:02}", 5) for number in range(4)),
        ]
    assert len(loaded) == 1


def test_options_that_exclude_each_other(enrolled: fs.Gallery, hopper: Path) -> None:
    with pytest.raises(ValueError, match="fpir and threshold"):
        enrolled.identify(hopper, fpir=0.01, threshold=0.3)
    with pytest.raises(ValueError, match="fmr and threshold"):
        fs.compare(hopper, hopper, fmr=0.001, threshold=0.3)
    with pytest.raises(ValueError, match="not a unit vector of 128 numbers"):
        enrolled.search([1.0, 2.0])
    with pytest.raises(fs.errors.GalleryError, match="token"):
        fs.open("gallery", token="secret")
    with pytest.raises(fs.errors.GalleryError, match="service's choice"):
        fs.open("http://localhost:1", model="default")
    with pytest.raises(fs.errors.ModelError, match="no such model"):
        fs.faces(hopper, model="nothing")


def test_what_a_face_tells(hopper: Path, no_face: Path) -> None:
    (face,) = fs.faces(hopper)
    assert np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-5)
    side = models.Model(models.shipped_models() / "default").preprocessing.size
    assert (face.chip.shape, face.chip.dtype) == ((side, side, 3), np.uint8)
    assert len(face.points) == 5
    assert face.reason == ""
    assert 60 < face.quality.eye_distance < 110
    assert face.quality.flip_consistency > 0.9
    assert fs.faces(no_face) == []


# Async


def test_async(tmp_path: Path, people: Path, hopper: Path) -> None:
    async def run() -> None:
        async with fs.open_async(tmp_path / "gallery") as gallery:
            await gallery.enroll("Grace", hopper)
            found = await asyncio.gather(*(gallery.identify(hopper) for _ in range(3)))
            assert [faces[0].name for faces in found] == ["Grace"] * 3
            results = [result async for _, result in gallery.identify_each([hopper, b""])]
            assert [result.error is None for result in results] == [True, False]
            change = await gallery.rename("Grace", "Admiral")
            assert await gallery.contains("Admiral")
            await gallery.undo(change)
            assert [person.name for person in await gallery.people()] == ["Grace"]
            assert (await gallery.profile("Grace")).faces[0].number == 1
            with pytest.raises(fs.errors.UnknownPerson):
                await gallery.person("Nobody")

    asyncio.run(run())


def parameters(function: object, *without: str) -> list[inspect.Parameter]:
    assert callable(function)
    found = inspect.signature(function).parameters.values()
    return [each.replace(annotation=None) for each in found if each.name not in without]


def test_async_methods_take_what_the_others_take() -> None:
    own = {"gallery", "profile", "contains"}
    for name, method in inspect.getmembers(fs.AsyncGallery, inspect.isfunction):
        if not name.startswith("_") and name not in own:
            assert parameters(method) == parameters(getattr(fs.Gallery, name), "reader"), name


# The same interface at a service

SPECIAL = {"__len__", "__iter__", "__contains__", "__getitem__", "__bool__"}
METHODS = [
    name
    for name, member in inspect.getmembers(fs.Gallery)
    if callable(member) and (not name.startswith("_") or name in SPECIAL)
]


def returned(function: object) -> str:
    """The annotation of what a function returns, however it is written."""
    assert callable(function)
    found = inspect.signature(function).return_annotation
    text = found.__name__ if inspect.isclass(found) else str(found)
    # at run time a Photo may be anything
    return re.sub(r"[\w.]+\.(?=\w)", "", text).replace("Any", "Photo")


@pytest.mark.parametrize("name", METHODS)
def test_a_client_has_the_methods_of_a_gallery(name: str) -> None:
    mine, theirs = getattr(fs.Gallery, name), getattr(fs.Client, name)
    assert parameters(theirs) == parameters(mine)
    assert returned(theirs) == returned(mine)


def test_a_detector_or_precision_that_there_is_not(hopper: Path) -> None:
    with pytest.raises(fs.errors.ModelError, match="detector 'mtcnn': not known; choose dlib or n"):
        fs.faces(hopper, detector="mtcnn")
    with pytest.raises(fs.errors.ModelError, match="precision 'fp16': not known; choose fp32 or i"):
        fs.faces(hopper, precision="fp16")


def test_paths_of_archives_and_folders_may_be_text(
    enrolled: fs.Gallery, gallery: fs.Gallery, hopper: Path, tmp_path: Path
) -> None:
    enrolled.export(str(tmp_path / "a.zip"))
    gallery.import_archive(str(tmp_path / "a.zip"))
    assert [person.name for person in gallery] == ["Grace"]
    assert [link.status for link in gallery.relink(str(hopper.parent))] == ["unchanged"]
