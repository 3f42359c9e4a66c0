"""A client has the methods of a gallery, and answers as it does."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facesearch.client import Client
from facesearch.core.errors import (
    GalleryError,
    NotAnImage,
    PersonError,
    PhotoError,
    UnknownPerson,
)
from facesearch.gallery.change import Rejected
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.storage.records import Person
from facesearch.vision.embedder import Embedder
from facesearch.vision.images import read
from tests.support.serving import Running, running

DUNDERS = ("__len__", "__bool__", "__iter__", "__contains__", "__getitem__")
METHODS = sorted(
    name
    for name in dir(Gallery)
    if inspect.isfunction(inspect.getattr_static(Gallery, name))
    and (not name.startswith("_") or name in DUNDERS)
)
LOCAL = {
    "set_preference": ("audit", "off"),
    "photo_folders": (),
    "relink": (Path(),),
    "drop_chips": (),
    "reindex": (),
    "export": (Path("x"),),
    "import_archive": (Path("x"),),
    "encrypt": (None,),
    "decrypt": (),
    "rekey": (None,),
    "leave_milvus": (),
    "group_unknown": ([],),
    "enroll_group": ("Ada", []),
}


@pytest.fixture(scope="module")
def service(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Persons 0 and 3 are enrolled, as Ada and Bo, from files."""
    folder = tmp_path_factory.mktemp("client") / "gallery"
    with running(folder) as found:
        gallery = found.service.gallery
        for name, person in (("Ada", 0), ("Bo", 3)):
            shots = [people / f"person-{person:02}" / f"pose-{pose}.jpg" for pose in (0, 1, 4)]
            assert len(gallery.enroll(name, shots, include_doubtful=True).enrolled) == 3
        yield found


@pytest.fixture
def client(service: Running) -> Iterator[Client]:
    with Client(service.url) as found:
        yield found


@pytest.fixture
def library(service: Running, embedder: Embedder) -> Iterator[Gallery]:
    folder = service.service.gallery.folder
    with Gallery(folder, recognizer=Recognizer.of(embedder)) as gallery:
        yield gallery


def signature(owner: type, name: str) -> str:
    """Of a method, as it is written; whether a type is in quotes does not matter."""
    source = textwrap.dedent(inspect.getsource(inspect.getattr_static(owner, name)))
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    written = f"{ast.unparse(function.args)} -> {ast.unparse(function.returns or ast.Name('?'))}"
    return written.replace("'", "").replace("audit_log.", "")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_the_signature_of_the_gallerys(name: str) -> None:
    assert signature(Client, name) == signature(Gallery, name)


def test_nothing_is_missing_or_more() -> None:
    ours = {name for name in dir(Client) if not name.startswith("_")}
    assert set(METHODS) - set(DUNDERS) <= ours
    assert ours - set(METHODS) == set(), "the client has no methods of its own"
    assert set(LOCAL) < ours


@pytest.mark.parametrize("name", LOCAL)
def test_what_needs_the_gallerys_own_machine_says_so(client: Client, name: str) -> None:
    with pytest.raises(GalleryError, match=rf"{name} needs the gallery's own machine"):
        getattr(client, name)(*LOCAL[name])


def test_people_are_those_of_the_gallery(client: Client, library: Gallery) -> None:
    assert client.people() == library.people() == list(client)
    assert (len(client), "Ada" in client, "Nobody" in client, 3 in client) == (
        2,
        True,
        False,
        False,
    )
    assert client.person("Ada") == library.person("Ada")
    assert isinstance(client.person("Ada"), Person)
    ours, theirs = client["Ada"], library["Ada"]
    assert (ours.name, ours.photos, ours.first, ours.created) == (
        theirs.name,
        theirs.photos,
        theirs.first,
        theirs.created,
    )
    assert (ours.most_typical, ours.least_typical) == (theirs.most_typical, theirs.least_typical)
    assert client.typical_face("Ada") == library.typical_face("Ada")
    for mine, its in zip(ours.faces, theirs.faces, strict=True):
        assert (mine.number, mine.photo, mine.added) == (
            its.number,
            Path(its.photo.name),
            its.added,
        )
        assert mine.distance == pytest.approx(its.distance)
        assert mine.flip_consistency == pytest.approx(its.flip_consistency)
    sharp, sent = theirs.faces[0].picture(), ours.faces[0].picture()
    assert sent.shape == sharp.shape
    assert np.abs(sent.astype(int) - sharp).mean() < 5, "it was compressed"
    with pytest.raises(UnknownPerson):
        client["Nobody"]
    with pytest.raises(KeyError):
        client["Nobody"]
    with pytest.raises(PhotoError, match="no such face"):
        client.picture(999)


def test_identify_answers_as_the_gallery(
    client: Client, library: Gallery, group_photo: Path, no_face: Path
) -> None:
    for given in (group_photo, str(group_photo), group_photo.read_bytes(), read(group_photo)):
        ours, theirs = client.identify(given, fpir=0.05), library.identify(given, fpir=0.05)
        assert [(each.answer, each.name, each.face) for each in ours] == [
            (each.answer, each.name, each.face) for each in theirs
        ]
        assert all(each.photo is given for each in ours)
        for mine, its in zip(ours, theirs, strict=True):
            assert mine.distance == pytest.approx(its.distance, abs=1e-4)
            assert [each.face for each in mine.candidates] == [each.face for each in its.candidates]
    (face,) = client.identify(no_face)
    assert (face.answer, face.box, face.reason) == ("unusable", None, "no face found")
    with pytest.raises(ValueError, match="fpir and threshold exclude each other"):
        client.identify(group_photo, fpir=0.1, threshold=0.3)


def test_identify_each_goes_on_after_a_bad_photo(
    client: Client, people: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    asked = [text, people / "person-00" / "pose-2.jpg", tmp_path / "none.jpg"]
    found = list(client.identify_each(asked))
    assert [photo for photo, _ in found] == asked
    assert isinstance(found[0][1].error, NotAnImage)
    assert str(found[0][1].error) == "text.jpg: not an image that can be read"
    assert [face.name for face in found[1][1].faces] == ["Ada"]
    assert (found[1][1].width, found[1][1].error) == (300, None)
    assert isinstance(found[2][1].error, PhotoError)


def test_search_compare_and_thresholds(
    client: Client, library: Gallery, people: Path, no_face: Path
) -> None:
    (seen,) = library.recognizer.detect(people / "person-03" / "pose-2.jpg")
    ours, theirs = client.search(seen.embedding, top=1), library.search(seen.embedding, top=1)
    assert ours.decision.name == theirs.decision.name == "Bo"
    assert ours.decision.distance == pytest.approx(theirs.decision.distance, abs=1e-6)
    assert (ours.threshold, ours.warning) == (theirs.threshold, theirs.warning)
    assert [each.name for each in ours.candidates] == ["Bo"]
    assert client.search_threshold(0.05) == library.search_threshold(0.05)
    assert client.search_threshold(threshold=0.3).distance == 0.3
    a, b = people / "person-00" / "pose-0.jpg", people / "person-00" / "pose-2.jpg"
    mine, its = client.compare(a, b, fmr=0.01), library.compare(a, b, fmr=0.01)
    assert (mine.a, mine.b, mine.same, mine.threshold) == (a, b, True, its.threshold)
    assert mine.distance == pytest.approx(its.distance, abs=1e-5)
    assert client.compare(a, no_face).same is None


def test_photos_of_every_kind_are_enrolled(client: Client, people: Path) -> None:
    folder = people / "person-05"
    report = client.enroll("Cy", folder / "pose-0.jpg")
    assert report.enrolled[0].photo == folder / "pose-0.jpg"
    assert report.event is not None
    again = client.enroll("Cy", folder / "pose-0.jpg")
    assert (len(again.duplicates), again.event) == (1, None)
    pixels = read(folder / "pose-1.jpg")
    with Image.open(folder / "pose-2.jpg") as picture, (folder / "pose-3.jpg").open("rb") as file:
        given = [pixels, picture, file, (folder / "pose-4.jpg").read_bytes(), folder / "none.jpg"]
        report = client.enroll("Cy", given, include_doubtful=True)
        assert len(report.photos) == 5
        assert all(any(each.photo is one for one in given) for each in report.photos)
    assert [each.reason for each in report.skipped] == ["no such file"]
    assert client.person("Cy").faces == 1 + len(report.enrolled)
    assert client.purge("Cy") == 1 + len(report.enrolled)
    assert client.enroll("Cy", folder, dry_run=True).enrolled
    assert "Cy" not in client


def test_a_tree_becomes_a_job(client: Client, people: Path, tmp_path: Path) -> None:
    for person in (1, 2):
        folder = tmp_path / f"Person {person}"
        folder.mkdir()
        for pose in (0, 1):
            content = (people / f"person-{person:02}" / f"pose-{pose}.jpg").read_bytes()
            (folder / f"{person}-{pose}.jpg").write_bytes(content)
    report = client.enroll_tree(tmp_path, include_doubtful=True)
    assert sorted(each.photo for each in report.enrolled) == sorted(tmp_path.glob("*/*.jpg"))
    for person in (1, 2):
        assert client.purge(f"Person {person}") == 2


def test_changes_are_undone_by_what_they_return(client: Client, people: Path) -> None:
    shots = sorted((people / "person-04").glob("*.jpg"))[:3]
    client.enroll("Dee", shots, include_doubtful=True)
    numbers = [face.number for face in client["Dee"].faces]
    parted = client.split("Dee", numbers[:1], "Di")
    merged = client.merge("Dee", "Di")
    assert (parted.line, merged.line) == (
        "1 face of Dee became Di's",
        "Di was merged into Dee (1 face)",
    )
    assert client.undo(merged) == merged
    assert client.undo(parted.event).action == "split"
    renamed = client.rename("Dee", "Dora")
    assert (renamed.action, renamed.line) == ("rename", "Dee became Dora")
    assert client.set_terms("Dora", expires="2001-02-03", consent="told").action == "terms"
    assert client.person("Dora").expires == "2001-02-03"
    rejected = client.reject_face("Dora", numbers[0])
    assert isinstance(rejected, Rejected)
    assert (rejected.taken_out, rejected.face) == (1, numbers[0])
    assert client.rejections()[0].name == "Dora"
    assert list(client.photos_of_rejections().values()) == [Path(shots[0].name)]
    assert client.rejected_pairs() == []
    client.undo(rejected)
    by_photo = client.reject("Dora", shots[1])
    assert (by_photo.face, by_photo.taken_out) == (0, 1)
    client.forget(by_photo.number)
    removed = client.remove("Dora")
    assert [each.event for each in client.changes()].count(removed.event) == 1
    assert [each.removed for each in client.kept_of("Dora")].count(True) >= 1
    client.undo(removed)
    due = {each.name for each in client.expired(date(2020, 1, 1))}
    assert due == {"Di", "Dora"}, "those who were removed, too"
    assert {each.name for each in client.purge_expired(date(2020, 1, 1))} == due
    with pytest.raises(PersonError, match="nothing to undo"):
        client.undo(12345)
    with pytest.raises(PersonError, match="must not be empty"):
        client.rename("Ada", " ")


def test_the_gallery_as_a_whole(client: Client, library: Gallery) -> None:
    info = client.info()
    assert (info.folder, info.people, info.model) == (client.url, len(library), "default")
    rows, expected = list(client.review()), list(library.review())
    assert [row["kind"] for row in rows] == [row["kind"] for row in expected]
    assert rows[-1]["rates"] == expected[-1]["rates"]
    assert client.searches() == library.searches()
    client.check_model()
    client.prepare()
    client.unlock()
