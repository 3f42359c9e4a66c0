"""People in Milvus: the answers of the local index, whatever became of the collection meanwhile."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facesearch.core.errors import GalleryError, MissingExtra
from facesearch.core.face import Box, Face
from facesearch.core.templates import templates
from facesearch.gallery.doctor import examine
from facesearch.index import milvus, milvus_sync
from facesearch.index.milvus import Catalogue, MilvusIndex, Server
from facesearch.index.milvus_sync import MilvusSync, name_of
from facesearch.index.person_index import PersonIndex
from facesearch.matching.calibration import Calibration, calibrate
from facesearch.matching.decision import Candidate
from facesearch.storage import vault
from facesearch.storage.records import ModelStamp, NewPhoto
from facesearch.storage.settings import MILVUS_PREFIX, set_setting
from facesearch.storage.store import Store
from facesearch.vision.embedder import EmbeddedFace
from tests.support.crowd import cohort, crowd
from tests.support.inside_gallery import InsideGallery as Gallery
from tests.support.milvus_server import MilvusServer

PEOPLE, PHOTOS = 300, 3
MODEL = ModelStamp("drawn", "d" * 64, 32)
FACE = Face(Box(0, 0, 100, 100), ((30, 40), (70, 40), (50, 60), (35, 80), (65, 80)), 0.9)
VECTORS, OWNERS = crowd(PEOPLE, PHOTOS, seed=1)


def photo(number: int, name: str | None = None, seed: int | None = None) -> NewPhoto:
    """One of the crowd's, or another one of somebody with this name."""
    vector = VECTORS[number % len(VECTORS)] if seed is None else crowd(1, 1, seed)[0][0]
    return NewPhoto(
        name=name or f"person {OWNERS[number]:03}",
        path=Path(f"/photos/{number}.jpg"),
        sha256=f"{number:064x}",
        width=640,
        height=480,
        faces=[FACE],
        embeddings=vector[None],
        flip_consistencies=[0.9],
    )


@pytest.fixture(scope="session")
def enrolled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gallery of 300 people, to be copied."""
    folder = tmp_path_factory.mktemp("drawn") / "gallery"
    store = Store(folder, create=True)
    store.add([photo(number) for number in range(len(VECTORS))], MODEL)
    store.close()
    return folder


@pytest.fixture
def folder(enrolled: Path, tmp_path: Path) -> Path:
    shutil.copytree(enrolled, tmp_path / "gallery")
    return tmp_path / "gallery"


@pytest.fixture
def server(milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setenv("MILVUS_URI", milvus_server.uri)
    found = milvus.chosen()
    assert found is not None
    return found


@pytest.fixture
def gallery(folder: Path, server: Server) -> Iterator[Gallery]:
    with Gallery(folder) as gallery:
        yield gallery
        MilvusSync(gallery.store, server).leave()


def index_of(gallery: Gallery) -> MilvusIndex:
    index = gallery.index.current()
    assert isinstance(index, MilvusIndex)
    return index


def local_index(gallery: Gallery) -> PersonIndex:
    """What the truth says."""
    _, faces, embeddings = gallery.store.vectors()
    people, owners = np.unique(faces, return_inverse=True)
    return PersonIndex(people, templates(embeddings, owners))


def check(gallery: Gallery) -> MilvusIndex:
    """Everybody is found as in the local index, and nobody else is there."""
    found, wanted = index_of(gallery), local_index(gallery)
    assert len(found) == found.count() == len(wanted)
    query = np.concatenate([crowd(30, 1, seed=2)[0], VECTORS[::20]])
    numbers, distances = found.search(query, 10)
    others, exact = wanted.search(query, 10)
    assert np.array_equal(numbers, others)
    assert np.allclose(distances, exact, atol=1e-5)
    assert np.allclose(found.of(wanted.numbers), wanted.templates, atol=1e-6)
    return found


def names(server: Server, gallery: Gallery) -> list[str]:
    """The collections of a gallery."""
    return Catalogue(server).collections(f"{name_of(gallery.store)}_")


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return calibrate(cohort(300, 3, seed=0))


def nearest(gallery: Gallery, calibration: Calibration) -> Candidate:
    """Whom a search for the first face finds."""
    seen = EmbeddedFace(FACE, VECTORS[0], 0.9, "")
    return gallery.near(seen, 1, calibration)[0]


# Searching


def test_search_agrees_with_the_local_index(gallery: Gallery) -> None:
    index = check(gallery)
    query = crowd(milvus.ROWS_PER_MESSAGE + 7, 1, seed=3)[0]
    numbers, distances = index.search(query, 1)
    wanted, exact = local_index(gallery).search(query, 1)
    assert np.array_equal(numbers, wanted)
    assert np.allclose(distances, exact, atol=1e-5)
    everybody, _ = index.search(query[:2], 10 * PEOPLE)
    assert [sorted(row) for row in everybody.tolist()] == [list(range(1, PEOPLE + 1))] * 2
    assert index.search(query[:2], 0)[0].shape == (2, 0)
    assert index.search(query[:0], 5)[0].shape == (0, 5)


def test_the_same_vector_is_at_no_distance(gallery: Gallery) -> None:
    index = index_of(gallery)
    numbers = np.arange(1, 51)
    found, distances = index.search(index.of(numbers), 1)
    assert np.array_equal(found[:, 0], numbers)
    assert np.abs(distances).max() < 1e-6
    with pytest.raises(KeyError):
        index.of(np.array([1, 9999]))


@pytest.mark.parametrize("kind", ["HNSW", "IVF_FLAT", "IVF_SQ8"])
@pytest.mark.slow
def test_other_indexes_find_nearly_everybody(
    kind: str, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_INDEX", kind)
    with Gallery(folder) as gallery:
        index, query = index_of(gallery), VECTORS[1::4]
        assert index.kind == kind
        numbers, distances = index.search(query, 3)
        wanted, exact = local_index(gallery).search(query, 3)
        same = numbers[:, 0] == wanted[:, 0]
        assert same.mean() >= 0.9
        # by the templates themselves, not by what the index keeps of them
        assert np.allclose(distances[same, 0], exact[same, 0], atol=1e-5)
        numbers, _ = index.search(query, 3, exact=True)
        assert (numbers[:, 0] == wanted[:, 0]).mean() >= 0.99
        monkeypatch.setenv("MILVUS_INDEX", "FLAT")
    with Gallery(folder) as gallery:
        assert check(gallery).kind == "FLAT"
        MilvusSync(gallery.store, server).leave()


# Following the truth


def test_changes_are_applied_to_the_collection_that_is_there(
    gallery: Gallery, folder: Path
) -> None:
    name = check(gallery).name
    gallery.store.add([photo(2000, "new", seed=11), photo(2001, "person 007", seed=12)], MODEL)
    assert check(gallery).name == name
    gallery.remove("person 008")
    assert check(gallery).name == name
    gallery.undo()
    assert check(gallery).name == name
    gallery.merge("person 010", "person 011", force=True)
    gallery.rename("person 012", "somebody")
    assert check(gallery).name == name
    gallery.undo()
    with Gallery(folder) as other:  # writes, and does not look
        faces = [face.number for face in other["person 013"].faces]
        other.split("person 013", faces[:1], "person 013 b", force=True)
    assert gallery.info().index == "current"
    assert check(gallery).name == name


def test_what_was_written_without_milvus_is_caught_up(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = check(gallery).name
    with monkeypatch.context() as away:
        away.delenv("MILVUS_URI")
        with Gallery(folder) as other:
            other.remove("person 020")
            other.store.add([photo(2000, "new", seed=11)], MODEL)
            assert isinstance(other.index.current(), PersonIndex)
    assert check(gallery).name == name


def test_a_gallery_without_people(tmp_path: Path, server: Server) -> None:
    with Gallery(tmp_path / "new") as gallery:
        assert len(index_of(gallery)) == 0
        assert names(server, gallery) == []
        gallery.store.add([photo(0)], MODEL)
        assert len(check_one(gallery)) == 1
        gallery.remove("person 000")
        assert len(index_of(gallery)) == index_of(gallery).count() == 0
        gallery.undo()
        assert len(check_one(gallery)) == 1
        MilvusSync(gallery.store, server).leave()


def check_one(gallery: Gallery) -> MilvusIndex:
    index = index_of(gallery)
    assert index.search(VECTORS[:1], 5)[0].tolist() == [[1]]
    return index


def test_a_database_that_was_put_back(gallery: Gallery, folder: Path, tmp_path: Path) -> None:
    check(gallery)
    with Gallery(folder) as other:
        shutil.copytree(folder, tmp_path / "backup")
        other.remove("person 001")
        other.store.add([photo(2000, "new", seed=11)], MODEL)
        check(other)
    gallery.store.close()
    for path in folder.glob("gallery.db*"):
        path.unlink()
    for path in (tmp_path / "backup").glob("gallery.db*"):
        shutil.copy(path, folder)
    with Gallery(folder) as back:
        assert back.person("person 001").faces == PHOTOS
        check(back)


def test_another_model_gets_another_collection(
    gallery: Gallery, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(gallery)
    (old,) = names(server, gallery)
    assert "dddddddddddd" in old
    with gallery.store.database.write("reindex", {}) as connection:
        set_setting(connection, "fingerprint", "e" * 64)
    check(gallery)
    (new,) = names(server, gallery)
    assert "eeeeeeeeeeee" in new


def test_a_folder_that_cannot_be_written_to(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as closed:
        closed.setattr(gallery.store.database.engine, "writable", False)
        with pytest.raises(GalleryError, match="cannot be written to"):
            index_of(gallery)
    check(gallery)
    gallery.index.follower._index = None
    with monkeypatch.context() as closed:
        closed.setattr(gallery.store.database.engine, "writable", False)
        check(gallery)


# What others do to it


def spoil_dropped(server: Server, name: str) -> None:
    Catalogue(server).drop_collection(name)


def spoil_forgotten(server: Server, name: str) -> None:
    Catalogue(server).drop_collection(milvus.STATES)


def spoil_deleted(server: Server, name: str) -> None:
    milvus.connect(server).delete(name, ids=[5])


def spoil_added(server: Server, name: str) -> None:
    milvus.connect(server).insert(name, [{"id": 9999, "template": VECTORS[0]}])


def spoil_truncated(server: Server, name: str) -> None:
    milvus.connect(server).delete(name, filter="id > 0")


SPOILT = [spoil_dropped, spoil_forgotten, spoil_deleted, spoil_added, spoil_truncated]


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_spoilt_collection_is_filled_anew(
    spoil: Callable[[Server, str], None], gallery: Gallery, folder: Path, server: Server
) -> None:
    name = check(gallery).name
    spoil(server, name)
    with Gallery(folder) as other:
        assert other.info().index == "to be rebuilt"
        assert check(other).name != name
        assert len(names(server, other)) == 1


def spoil_moved(server: Server, name: str) -> None:
    milvus.connect(server).upsert(name, [{"id": 200, "template": VECTORS[0]}])


@pytest.mark.parametrize("spoil", [spoil_dropped, spoil_added, spoil_truncated, spoil_moved])
def test_a_search_notices_what_was_done_since(
    spoil: Callable[[Server, str], None],
    gallery: Gallery,
    server: Server,
    calibration: Calibration,
) -> None:
    name = check(gallery).name
    before = nearest(gallery, calibration)
    assert before.name == "person 000"
    spoil(server, name)
    assert nearest(gallery, calibration) == before
    assert check(gallery).name != name


def test_damaged_faces_are_not_blamed_on_milvus(
    gallery: Gallery, folder: Path, calibration: Calibration
) -> None:
    check(gallery)
    with sqlite3.connect(folder / "gallery.db") as raw:
        raw.execute("DELETE FROM faces WHERE id = 1")
    raw.close()  # leaving what the collection holds as the only trace of it
    with pytest.raises(GalleryError, match="gallery doctor"):
        nearest(gallery, calibration)


def test_the_doctor_compares_every_template(gallery: Gallery, folder: Path, server: Server) -> None:
    def findings(repair: bool = False) -> list[tuple[str, str, bool]]:
        found = examine(folder, repair=repair)
        return [(each.kind, each.severity, each.repaired) for each in found if each.kind == "index"]

    name = check(gallery).name
    assert findings() == []
    spoil_moved(server, name)
    assert findings() == [("index", "error", False)]
    assert findings(repair=True) == [("index", "error", True)]
    with Gallery(folder) as again:
        repaired = check(again).name
    assert repaired != name
    spoil_dropped(server, repaired)
    assert findings() == [("index", "note", False)]
    assert findings(repair=True) == [("index", "note", True)]
    assert findings() == []


# Breaks, and several at once

FILLS = """
import os, sys
from pathlib import Path
from facesearch.gallery.gallery import Gallery
from facesearch.index.milvus import MilvusIndex
def killed(*arguments):
    os.kill(os.getpid(), 9)
setattr(MilvusIndex, sys.argv[2], killed)
with Gallery(Path(sys.argv[1])) as gallery:
    gallery.prepare()
"""


def killed(folder: Path, at: str) -> None:
    """A process brings the collection up to date and is killed at this method."""
    found = subprocess.run([sys.executable, "-c", FILLS, folder, at], check=False, timeout=60)
    assert found.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_killed_while_it_was_filled(gallery: Gallery, folder: Path, server: Server) -> None:
    killed(folder, "flush")
    (half,) = names(server, gallery)
    assert gallery.info().index == "to be rebuilt"
    assert check(gallery).name != half
    assert names(server, gallery) == [index_of(gallery).name]


@pytest.mark.slow
def test_killed_while_it_was_changed(gallery: Gallery, folder: Path) -> None:
    name = check(gallery).name
    gallery.store.remove("person 001")
    gallery.store.add([photo(2000, "new", seed=11)], MODEL)
    killed(folder, "put")
    assert gallery.info().index == "current"  # what was begun is done again
    gallery.store.remove("person 002")
    assert check(gallery).name == name


@pytest.mark.slow
def test_killed_while_it_was_changed_and_the_database_put_back(
    gallery: Gallery, folder: Path, tmp_path: Path
) -> None:
    check(gallery)
    gallery.store.close()
    shutil.copytree(folder, tmp_path / "backup")
    with Gallery(folder) as other:
        other.store.remove("person 001")
    killed(folder, "put")
    for path in folder.glob("gallery.db*"):
        path.unlink()
    for path in (tmp_path / "backup").glob("gallery.db*"):
        shutil.copy(path, folder)
    with Gallery(folder) as back:
        check(back)


def test_somebody_else_changes_it_at_the_same_time(
    gallery: Gallery, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of the folder shares the collection, and not the lock."""
    name = check(gallery).name
    gallery.store.close()
    shutil.copytree(folder, tmp_path / "copy")
    with Gallery(folder) as one, Gallery(tmp_path / "copy") as other:
        one.store.remove("person 001")
        other.store.remove("person 002")
        put = MilvusIndex.put

        def meanwhile(index: MilvusIndex, *rows: Any) -> None:
            monkeypatch.setattr(MilvusIndex, "put", put)
            assert len(check(other)) == PEOPLE - 1
            put(index, *rows)

        monkeypatch.setattr(MilvusIndex, "put", meanwhile)
        assert check(one).name != name
    for _ in range(2):  # each fills it again: two galleries are not one
        for place in (tmp_path / "copy", folder):
            with Gallery(place) as again:
                check(again)


ENROLS = """
import sys
from pathlib import Path
from tests.support.inside_gallery import InsideGallery as Gallery
from tests.index.test_milvus import MODEL, check, photo
folder, worker = Path(sys.argv[1]), int(sys.argv[2])
with Gallery(folder) as gallery:
    gallery.prepare()
    for number in range(3):
        seed = 100 * worker + number
        gallery.store.add([photo(3000 + seed, f"worker {worker} {number}", seed=seed)], MODEL)
        if number % 2:
            gallery.store.remove(f"worker {worker} {number - 1}")
        gallery.prepare()
"""


@pytest.mark.slow
def test_several_processes_at_once(gallery: Gallery, folder: Path, server: Server) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    workers = [
        subprocess.Popen([sys.executable, "-c", ENROLS, folder, str(worker)], env=environment)
        for worker in range(1, 4)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0, 0]
    assert len(check(gallery)) == PEOPLE + 3 * 2
    assert len(names(server, gallery)) == 1


# Leaving nothing


def test_a_purge_leaves_nothing(
    gallery: Gallery, server: Server, milvus_server: MilvusServer
) -> None:
    def files_with(content: bytes) -> list[Path]:
        files = [path for path in milvus_server.data.rglob("*") if path.is_file()]
        return [path for path in files if content in path.read_bytes()]

    index = check(gallery)
    (number,) = index.search(VECTORS[:1], 1)[0][0].tolist()
    template = index.of(np.array([number]))[0]
    assert files_with(template.tobytes())
    gallery.remove("person 000")
    client = milvus.connect(server)
    assert client.get(index_of(gallery).name, ids=[number]) == []
    assert files_with(template.tobytes())  # Milvus notes that the row is gone, no more
    gallery.purge("person 000")
    assert client.get(index_of(gallery).name, ids=[number]) == []
    assert len(check(gallery)) == PEOPLE - 1
    assert names(server, gallery) == [index_of(gallery).name]
    assert files_with(template.tobytes()) == []


def test_a_purge_says_what_it_could_not_reach(
    gallery: Gallery, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(gallery)
    with monkeypatch.context() as away:
        away.setenv("MILVUS_URI", "http://127.0.0.1:1")
        with Gallery(folder) as other, pytest.raises(GalleryError, match="Milvus at http"):
            other.purge("person 000")
        away.delenv("MILVUS_URI")
        with Gallery(folder) as other, pytest.raises(GalleryError, match="set MILVUS_URI"):
            other.purge("person 001")
    assert len(check(gallery)) == PEOPLE - 2


def test_leaving(gallery: Gallery, folder: Path, server: Server) -> None:
    check(gallery)
    name = name_of(gallery.store)
    assert name is not None
    gallery.leave_milvus()
    assert Catalogue(server).collections(name) == []
    assert Catalogue(server).get(name) is None
    with pytest.raises(GalleryError, match="nothing in Milvus"):
        gallery.leave_milvus()


@pytest.mark.slow
def test_a_server_that_is_lost_is_left_without_it(
    gallery: Gallery, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(gallery)
    monkeypatch.delenv("MILVUS_URI")
    with Gallery(folder) as other:
        with pytest.raises(GalleryError, match="set MILVUS_URI"):
            other.leave_milvus()
        drawn = name_of(other.store)
        other.leave_milvus(lost=True)
        other.purge("person 000")
        with other.store.database.append() as connection:
            set_setting(connection, MILVUS_PREFIX, str(drawn))


def test_no_face_data_of_an_encrypted_gallery(
    gallery: Gallery, folder: Path, server: Server
) -> None:
    secret = vault.new_passphrase("correct horse battery staple")
    check(gallery)
    with pytest.raises(GalleryError, match="leave-milvus"):
        gallery.encrypt(secret)
    gallery.leave_milvus()
    gallery.encrypt(secret)
    with (
        Gallery(folder, keys=lambda kind: secret.content) as locked,
        pytest.raises(GalleryError, match="unencrypted; unset MILVUS_URI"),
    ):
        locked.prepare()
    assert names(server, gallery) == []


# The server


def test_a_server_that_is_not_there(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    gallery.store.close()
    for uri, said in (
        ("http://somebody:secret@127.0.0.1:1", r"Milvus at http://127\.0\.0\.1:1: "),
        ("nonsense", "Milvus at nonsense: "),
        ("/nowhere/at/all.db", r"Milvus at /nowhere/at/all\.db: "),
    ):
        monkeypatch.setenv("MILVUS_URI", uri)
        with Gallery(gallery.folder) as other, pytest.raises(GalleryError, match=said) as raised:
            other.prepare()
        assert "\n" not in str(raised.value)
        assert "secret" not in str(raised.value)
    monkeypatch.setenv("MILVUS_INDEX", "DISKANN")
    with pytest.raises(GalleryError, match="MILVUS_INDEX: 'DISKANN' is not one of FLAT, HNSW"):
        Gallery(gallery.folder)


def test_a_package_that_is_missing(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    milvus._connected.cache_clear()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "pymilvus", None)
        with pytest.raises(MissingExtra, match=r"pip install 'facesearch\[milvus\]'"):
            index_of(gallery)
    check(gallery)
    assert os.environ["MILVUS_URI"]


@pytest.mark.slow
def test_a_file_of_milvus_lite(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("milvus_lite")
    monkeypatch.setenv("MILVUS_URI", str(tmp_path / "own.db"))
    with Gallery(folder) as gallery:
        check(gallery)
        command = [sys.executable, "-c", FILLS, folder, "leave"]
        other = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert "GalleryError: Milvus at" in other.stderr  # one process at a time
    server = milvus.chosen()
    assert server is not None
    milvus.connect(server).close()
    milvus._connected.cache_clear()


@pytest.mark.slow
def test_a_server_that_hangs(
    gallery: Gallery, milvus_server: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = check(gallery)
    os.kill(milvus_server.pid, signal.SIGSTOP)
    try:
        with monkeypatch.context() as hasty:
            hasty.setattr(milvus, "SECONDS", 0.5)
            with pytest.raises(GalleryError, match=r"^Milvus at http\S+: [^\n]+$"):
                index.search(VECTORS[:1], 1)
    finally:
        os.kill(milvus_server.pid, signal.SIGCONT)
    check(gallery)


@pytest.mark.slow
def test_others_write_while_it_is_filled(
    gallery: Gallery, folder: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus_sync, "PEOPLE_IN_PAGE", 40)  # people in a page
    add, pages = MilvusIndex.add, []

    def meanwhile(index: MilvusIndex, numbers: Any, vectors: Any) -> None:
        add(index, numbers, vectors)
        pages.append(len(numbers))
        if len(pages) == 3:
            with Gallery(folder) as other:
                for name in ("person 000", "person 299"):  # in a page before, and one to come
                    other.store.remove(name)
                other.store.add([photo(2000, "person 001", seed=5), photo(2001, "new")], MODEL)

    monkeypatch.setattr(MilvusIndex, "add", meanwhile)
    gallery.prepare()
    assert len(pages) == 8
    name = names(server, gallery)
    assert len(check(gallery)) == PEOPLE - 1
    assert names(server, gallery) == name  # what changed meanwhile is changed, not filled


def test_faces_that_are_missing_are_not_left_out(gallery: Gallery, folder: Path) -> None:
    with sqlite3.connect(folder / "gallery.db") as raw:
        raw.execute("UPDATE totals SET faces = faces + 1 WHERE person = 7")
    raw.close()
    with pytest.raises(GalleryError, match="damaged: faces are missing"):
        gallery.prepare()
