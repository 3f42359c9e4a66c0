"""Enrolment on a Ray cluster: a real one, of four actors on this machine."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import ClusterError, MissingExtra, ModelError, PhotoError
from facesearch.core.face import Box
from facesearch.core.progress import Silent
from facesearch.enrollment.ray_reader import (
    NotOnWorker,
    RayReader,
    ReaderConfig,
    Worker,
    _ahead,
    _as_here,
    _got,
    workers,
)
from facesearch.enrollment.results import EnrolledPhoto
from facesearch.gallery.gallery import Gallery
from facesearch.gallery.recognizer import Recognizer
from facesearch.storage.store import Store
from facesearch.vision.embedder import Embedder

DEADLY = "deadly.jpg"
# in every process that the cluster starts, but not in this one
KILLS = f"""
import os, signal, sys
def killed(event, args):
    if event == "open" and str(args[0]).endswith({DEADLY!r}):
        os.kill(os.getpid(), signal.SIGSEGV)
sys.addaudithook(killed)
"""
Asked = list[tuple[str, Path]]


@pytest.fixture(scope="module")
def cluster(embedder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayReader]:
    """Whose actors die when they open a photo called DEADLY."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(KILLS)
    with pytest.MonkeyPatch.context() as patch:
        root = Path(__file__).parents[2]
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(root)]))
        patch.setenv("RAY_AUTH_TOKEN", "t" * 64)  # else Ray keeps one in the home folder
        with workers("local", embedder, cpus=4) as found:
            yield found


@pytest.fixture
def many(people: Path, tmp_path: Path) -> Path:
    """Six people with nine photos each, of which no two have the same content."""
    root = tmp_path / "many"
    for person in people.iterdir():
        folder = root / person.name
        folder.mkdir(parents=True)
        for number in range(9):
            content = (person / f"pose-{number % 5}.jpg").read_bytes()
            (folder / f"{number}.jpg").write_bytes(content + bytes([number]))
    return root


@pytest.fixture
def tree(many: Path, group_photo: Path, no_face: Path) -> Path:
    """With what else folders hold."""
    first, second = many / "person-00", many / "person-01"
    (first / "copy.jpg").write_bytes((first / "0.jpg").read_bytes())
    (first / "cut.jpg").write_bytes((first / "1.jpg").read_bytes()[:2000])
    (first / "group.jpg").write_bytes(group_photo.read_bytes())
    (first / "wall.jpg").write_bytes(no_face.read_bytes())
    (first / "whose.jpg").write_bytes((second / "1.jpg").read_bytes())
    return many


def asked(tree: Path) -> Asked:
    return [(path.parent.name, path) for path in sorted(tree.rglob("*.jpg"))]


def stored(
    gallery: Gallery,
) -> tuple[list[tuple[str, int, Path, Box]], list[bytes], Embeddings]:
    """The faces in the order in which they were enrolled, their chips and embeddings."""
    faces = [
        (person.name, face.number, face.photo, face.box)
        for person in gallery
        for face in gallery[person.name].faces
    ]
    with (
        closing(Store(gallery.folder, create=False)) as store,
        store.database.read() as connection,
    ):
        chips = connection.exec_driver_sql("SELECT image FROM chips ORDER BY face").scalars()
        return faces, list(chips), store.vectors()[2]


def rounded(rows: list[EnrolledPhoto]) -> list[EnrolledPhoto]:
    return [replace(row, distance=row.distance and round(row.distance, 4)) for row in rows]


@pytest.mark.parametrize("doubtful", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_gallery_is_the_same_with_a_cluster(
    cluster: RayReader, embedder: Embedder, tree: Path, tmp_path: Path, doubtful: bool
) -> None:
    photos = [*asked(tree), ("person-00", tmp_path / "missing.jpg"), ("\n", tree / "a.jpg")]
    with Gallery(tmp_path / "plain", recognizer=Recognizer.of(embedder)) as plain:
        plain.set_preference("keep-chips", "on")
        rows = list(plain.enroll_each(photos, include_doubtful=doubtful))
        faces, chips, vectors = stored(plain)
    with Gallery(tmp_path / "ray", recognizer=Recognizer.of(embedder)) as other:
        other.set_preference("keep-chips", "on")
        found = list(other.enroll_each(photos, include_doubtful=doubtful, reader=cluster))
        same_faces, same_chips, near = stored(other)
    assert rounded(found) == rounded(rows)
    assert {row.status for row in rows} == {"enrolled", "duplicate", "skipped"}
    assert same_faces == faces
    assert same_chips == chips
    assert len(chips) == len(faces)
    np.testing.assert_allclose(near, vectors, atol=1e-5)


def pids(cluster: RayReader) -> list[int]:
    import ray

    actors = [next(cluster._turn) for _ in range(4)]
    return [ray.get(actor.__ray_call__.remote(lambda worker: os.getpid())) for actor in actors]


class KillsAfter(Silent):
    """A process, after so many photos."""

    def __init__(self, photos: int, victim: int) -> None:
        self.left, self.victim = photos, victim

    def advance(self, note: str = "") -> None:
        self.left -= 1
        if not self.left:
            os.kill(self.victim, signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_photo(
    cluster: RayReader,
    embedder: Embedder,
    many: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = pids(cluster)
    assert len(set(before)) == 4
    photos = asked(many)
    with Gallery(tmp_path / "gallery", recognizer=Recognizer.of(embedder)) as gallery:
        killing = KillsAfter(8, before[1])
        rows = list(
            gallery.enroll_each(photos, include_doubtful=True, reader=cluster, progress=killing)
        )
        assert [row.photo for row in rows] == [path for _, path in photos]
        assert [row.status for row in rows] == ["enrolled"] * len(photos)
        assert gallery.info().photos == len(photos)
        after = pids(cluster)
        assert before[1] not in after
        assert len(set(before) & set(after)) == 3

        looked: list[object] = []
        monkeypatch.setattr(
            cluster, "scans", lambda photos, keep: iter(looked.extend(photos) or [])
        )
        again = list(gallery.enroll_each(photos, include_doubtful=True, reader=cluster))
        assert {(row.status, row.reason) for row in again} == {("duplicate", "enrolled before")}
        assert looked == []
        assert gallery.info().photos == len(photos)
    assert capfd.readouterr() == ("", ""), "what Ray tells of it is kept off"


@pytest.mark.slow
def test_a_photo_that_kills_whoever_looks_is_reported(
    cluster: RayReader, embedder: Embedder, people: Path, tmp_path: Path
) -> None:
    photos = [("ann", path) for path in sorted((people / "person-01").iterdir())]
    deadly = tmp_path / DEADLY
    deadly.write_bytes(photos[0][1].read_bytes() + b"!")
    photos.insert(2, ("ann", deadly))
    with Gallery(tmp_path / "gallery", recognizer=Recognizer.of(embedder)) as gallery:
        rows = list(gallery.enroll_each(photos, include_doubtful=True, reader=cluster))
    reasons = {row.photo: (row.status, row.reason, row.error) for row in rows}
    expected = {path: ("enrolled", "", False) for _, path in photos}
    expected[deadly] = ("skipped", "every process that reads it dies", True)
    assert reasons == expected


@pytest.mark.slow
def test_another_model_or_facesearch_on_the_workers_is_one_line(
    cluster: RayReader, embedder: Embedder
) -> None:
    import ray

    sight = ReaderConfig.of(embedder)
    actor = ray.remote(num_cpus=0)(Worker).remote(replace(sight, fingerprint="0" * 64))
    with pytest.raises(ModelError, match=r"^\S+: \S+default is another model there than here; "):
        _got(actor.check.remote())
    with pytest.raises(ClusterError, match=r"^\S+: facesearch \S+ there and 0\.0 here; "):
        Worker(replace(sight, version="0.0")).check()
    with pytest.raises(ModelError, match=r"^\S+: nowhere: no such model; "):
        Worker(replace(sight, model=Path("/there/nowhere"))).check()
    Worker(replace(sight, model=Path("/there/default"))).check()


def program(*arguments: object, before: str = "") -> list[str]:
    code = f"{before}\nfrom facesearch.cli import main\nmain()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def address_of(cluster: RayReader) -> str:
    import ray

    return ray.get_runtime_context().gcs_address


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_told_and_a_second_run_does_the_rest(
    cluster: RayReader, many: Path, tmp_path: Path
) -> None:
    arguments = ["enroll", "--tree", many, "--include-doubtful", "--json"]
    arguments += ["--ray", address_of(cluster)]
    arguments += ["--gallery", tmp_path / "gallery"]
    process = subprocess.Popen(
        program(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = [process.stdout.readline()]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    told += out.splitlines()
    assert (process.returncode, err) == (130, "interrupted; everything written so far is kept\n")
    with Gallery(tmp_path / "gallery") as gallery:
        kept = gallery.info().photos
    enrolled = [json.loads(line)["status"] for line in told].count("enrolled")
    assert enrolled <= kept < 54
    done = subprocess.run(program(*arguments), capture_output=True, text=True, check=True)
    statuses = [json.loads(line)["status"] for line in done.stdout.splitlines()]
    assert (statuses.count("enrolled"), statuses.count("duplicate")) == (54 - kept, kept)
    summary = f"6 people: {54 - kept} enrolled, {kept} known already, 0 skipped, 0 held back\n"
    assert done.stderr == summary


@pytest.mark.slow
def test_a_ray_of_another_version_is_one_line(
    cluster: RayReader, people: Path, tmp_path: Path
) -> None:
    other = "import ray\nray.__version__ = '1.0'"
    arguments = ["enroll", "--tree", people, "--ray", address_of(cluster)]
    arguments += ["--gallery", tmp_path / "gallery"]
    done = subprocess.run(program(*arguments, before=other), capture_output=True, text=True)
    assert done.returncode == 3
    assert "Version mismatch" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:10001", "there", "a:99999"])
@pytest.mark.slow
def test_a_cluster_that_cannot_be_reached_is_one_line(address: str, embedder: Embedder) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with pytest.raises(ClusterError, match=rf"^{address}: [^\n]+$"), workers(address, embedder):
        pass


def test_without_ray_the_extra_is_named(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(MissingExtra, match=r"pip install 'facesearch\[ray\]'"),
        workers("local", embedder),
    ):
        pass


@pytest.mark.slow
def test_a_photo_that_only_this_machine_can_open_says_so(
    hopper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(hopper.parent)
    path = Path(hopper.name)
    there = NotOnWorker(f"{hopper}: cannot be opened on node-7")
    assert str(_as_here(path, there)) == (
        f"{path}: cannot be opened on node-7; "
        "every machine must have the photos under the same path"
    )
    gone = Path("gone.jpg")
    assert str(_as_here(gone, NotOnWorker("x"))) == "gone.jpg: no such file"
    damaged = PhotoError(f"{hopper}: damaged image (cut)")
    assert str(_as_here(path, damaged)) == f"{path}: damaged image (cut)"


def test_as_many_are_made_ahead_as_asked_for_and_no_more() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(6):
            made.append(number)
            yield number

    ahead = _ahead(numbers(), 2)
    assert (next(ahead), made) == (0, [0, 1, 2])
    assert (next(ahead), made) == (1, [0, 1, 2, 3])
    assert list(ahead) == [2, 3, 4, 5]
    assert list(_ahead(iter(()), 2)) == []
