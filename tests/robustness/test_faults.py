"""What happens to a gallery when the disk, the file system, the clock or the user interferes."""

import ctypes
import errno
import itertools
import json
import os
import platform
import resource
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facesearch.core.errors import GalleryError
from facesearch.gallery.doctor import examine
from facesearch.index import local_index
from facesearch.matching.calibration import Calibration, calibration_of
from facesearch.storage import database as module
from facesearch.storage import settings
from facesearch.storage.cache_file import INDEX
from facesearch.storage.folder_lock import locked
from facesearch.storage.store import Store
from facesearch.vision.embedder import Embedder
from robustness import flips
from robustness.flips import MODEL, PEOPLE, ask, photo
from tests.support.inside_gallery import InsideGallery as Gallery

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def calibration(embedder: Embedder) -> Calibration:
    return calibration_of(embedder.model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A gallery of invented people, with the file of its index."""
    flips.make(tmp_path / "gallery")
    return tmp_path / "gallery"


def python(program: str, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """A process of ours that can import the scripts."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def sound(folder: Path) -> None:
    """The doctor finds nothing but photos that were never there and files that others may read."""
    found = {finding.kind for finding in examine(folder)}
    assert found <= {"photo gone", "mode", "index"}, examine(folder)


# Damage


@pytest.mark.slow
def test_no_flipped_bit_changes_an_answer(calibration: Calibration) -> None:
    done = list(flips.flips(200, seed=3, calibration=calibration))
    assert [flip for flip in done if "right" != flip.outcome != "refused"] == []
    assert [flip for flip in done if flip.repaired == "wrong"] == []
    outcomes = {(flip.file, flip.outcome) for flip in done}
    assert outcomes == {("gallery.db", "right"), ("gallery.db", "refused"), (INDEX, "right")}


@pytest.mark.slow
def test_no_flipped_bit_of_what_changed_since_changes_an_answer(
    calibration: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_index, "SMALL_FILE", 0)
    done = list(flips.flips(100, seed=4, calibration=calibration, late=True))
    assert [flip for flip in done if "right" != flip.outcome != "refused"] == []
    assert [flip for flip in done if flip.repaired == "wrong"] == []


def test_rows_that_vanish_are_missed(folder: Path, calibration: Calibration) -> None:
    """Not even a sound database makes fewer faces or people look right."""
    right = ask(folder, calibration)
    whole = (folder / "gallery.db").read_bytes()
    for statement in (
        "DELETE FROM faces WHERE id = 2",
        "DELETE FROM people WHERE id = 2",
        "UPDATE people SET removed = '' WHERE id = 2",
    ):
        with closing(sqlite3.connect(folder / "gallery.db")) as raw:
            for (name,) in raw.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                raw.execute(f"DROP TRIGGER {name}")  # a fault leaves no note
            raw.execute(statement)
            raw.commit()
        with pytest.raises(GalleryError, match="damaged"):
            ask(folder, calibration)
        (folder / "gallery.db").write_bytes(whole)
        assert ask(folder, calibration) == right


@pytest.mark.slow
def test_a_database_cut_short_gives_no_wrong_answer(folder: Path, calibration: Calibration) -> None:
    right = ask(folder, calibration)
    whole = (folder / "gallery.db").read_bytes()
    rng = np.random.default_rng(5)
    for length in [0, 1, 100, 4096, *rng.integers(len(whole), size=20), len(whole) - 1]:
        for with_index in (True, False):
            shutil.copytree(folder, folder.with_name("cut"), dirs_exist_ok=True)
            cut = folder.with_name("cut")
            (cut / "gallery.db").write_bytes(whole[:length])
            if not with_index:
                (cut / INDEX).unlink()
            try:
                answers = ask(cut, calibration)
            except GalleryError:
                pass
            else:  # all of it; or nothing, as of a gallery that has just been made
                assert answers == right or (answers == ([], []) and not length and not with_index)
            shutil.rmtree(cut)


def test_an_index_cut_short_is_made_anew(folder: Path, calibration: Calibration) -> None:
    right = ask(folder, calibration)
    whole = (folder / INDEX).read_bytes()
    for length in (0, 1, 511, 512, 513, len(whole) // 2, len(whole) - 1):
        (folder / INDEX).write_bytes(whole[:length])
        assert ask(folder, calibration) == right
        assert (folder / INDEX).read_bytes() == whole


# Disks and folders


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system of 2 MB of its own."""
    place = Path(tempfile.mkdtemp())
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True, check=False
    )
    try:
        if mounted.returncode:
            pytest.skip("no file system can be mounted here")
        yield place
    finally:
        subprocess.run(["umount", place], capture_output=True, check=False)
        place.rmdir()


def test_a_full_disk_is_no_damage(calibration: Calibration) -> None:
    with small_disk() as disk:
        folder = disk / "gallery"
        flips.make(folder)
        right = ask(folder, calibration)
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(bytes(2 << 20))
        before = (folder / "gallery.db").read_bytes()
        with pytest.raises(GalleryError, match="says nothing about what is in it"):
            examine(folder, repair=True)
        assert (folder / "gallery.db").read_bytes() == before
        filler.unlink()
        sound(folder)
        assert ask(folder, calibration) == right


def test_a_full_disk_keeps_what_was_acknowledged(calibration: Calibration) -> None:
    with small_disk() as disk:
        folder = disk / "gallery"
        flips.make(folder)
        right = ask(folder, calibration)
        filler = disk / "filler"
        filler.write_bytes(bytes(500_000))
        told: list[int] = []
        with closing(Store(folder, create=False)) as store:

            def fill() -> None:
                for person in itertools.count(100 + len(told)):
                    store.add([photo(person, number) for number in range(50)], MODEL)
                    told.append(person)

            with pytest.raises(GalleryError) as error:
                fill()
            assert str(error.value) == (
                f"{folder}/gallery.db: cannot be read or written (database or disk is full)"
            )
            assert len(told) > 2
            with pytest.raises(GalleryError, match="full"):  # and again, no other error
                fill()
        everybody = {f"Person {person}": 50 for person in told}
        people, answers = ask(folder, calibration)  # the index cannot be written
        assert answers[0] == right[1][0]
        assert dict(people) == dict(right[0]) | everybody
        sound(folder)
        filler.unlink()
        with Gallery(folder) as gallery:
            gallery.store.add([photo(99, 0)], MODEL)
            gallery.remove("Person 99")
        assert dict(ask(folder, calibration)[0]) == dict(right[0]) | everybody
        sound(folder)


FULL_FILE = """
import sys
from pathlib import Path
from robustness.flips import MODEL, photo
from facesearch.core.errors import GalleryError
from facesearch.storage.store import Store
store = Store(Path(sys.argv[1]), create=False)
try:
    for person in range(100, 10_000):
        store.add([photo(person, number) for number in range(50)], MODEL)
        print(person, flush=True)
except GalleryError as error:
    sys.exit(str(error))
"""


def test_a_file_that_must_not_grow(folder: Path) -> None:
    limit = 600_000
    child = python(
        FULL_FILE,
        folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    out, said = child.communicate()
    assert child.returncode == 1
    assert "cannot be read or written" in said
    assert len(said.splitlines()) == 1
    told = [int(line) for line in out.splitlines()]
    assert told
    with closing(Store(folder, create=False)) as store:
        people = {person.name: person.faces for person in store.people()}
    assert {f"Person {person}": 50 for person in told}.items() <= people.items()
    assert len(people) == PEOPLE + len(told)
    sound(folder)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the rights of root, if we are root."""
    root = os.getuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """A copy of the gallery that can be read, and that is all."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        copy = Path(place) / "gallery"
        shutil.copytree(folder, copy)
        for path in copy.iterdir():
            path.chmod(0o444)
        copy.chmod(0o555)
        with as_nobody():
            yield copy
        copy.chmod(0o755)


def test_a_read_only_folder_is_searched_and_not_changed(
    folder: Path, calibration: Calibration
) -> None:
    right = ask(folder, calibration)
    for with_index in (True, False):
        if not with_index:
            (folder / INDEX).unlink()
        with read_only(folder) as copy:
            before = {path.name: path.read_bytes() for path in copy.iterdir()}
            assert ask(copy, calibration) == right
            with Gallery(copy) as gallery:
                for job in (
                    lambda gallery=gallery: gallery.remove("Person 1"),
                    lambda gallery=gallery: gallery.rename("Person 1", "Person 0.5"),
                    lambda gallery=gallery: gallery.store.add([photo(99, 0)], MODEL),
                    lambda copy=copy: examine(copy, repair=True),
                ):
                    with pytest.raises(GalleryError, match="cannot be written to"):
                        job()
            assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
            with pytest.raises(GalleryError, match="no gallery can be made here"):
                Store(copy / "another", create=True)


# The clock


def test_a_clock_set_back_changes_nothing(
    folder: Path, calibration: Calibration, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Past(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Past":
            return cls(1999, 1, 1, tzinfo=UTC)

    right = ask(folder, calibration)
    os.utime(folder / INDEX, (4e9, 4e9))  # written in the future
    with monkeypatch.context() as patch, Gallery(folder) as gallery:
        patch.setattr(settings, "datetime", Past)
        revisions = [gallery.store.revision()]
        for job in (
            lambda: gallery.store.add([photo(99, 0)], MODEL),
            lambda: gallery.rename("Person 99", "Person 98"),
            lambda: gallery.remove("Person 98"),
        ):
            job()
            revisions.append(gallery.store.revision())
        assert len(set(revisions)) == 4
        assert ask(folder, calibration) == right
    with closing(sqlite3.connect(folder / "gallery.db")) as raw:
        events = raw.execute("SELECT action, at FROM events ORDER BY id DESC LIMIT 4").fetchall()
    assert [action for action, _ in events] == ["remove", "rename", "enroll", "remove"]
    assert [at[:4] == "1999" for _, at in events] == [True, True, True, False]
    sound(folder)


# Several at once

WRITER = """
import sys
from pathlib import Path
from robustness.flips import MODEL, photo
from tests.support.inside_gallery import InsideGallery as Gallery
with Gallery(Path(sys.argv[1])) as gallery:
    for person in range(int(sys.argv[2]), int(sys.argv[2]) + 6):
        gallery.store.add([photo(person, number) for number in range(2)], MODEL)
        gallery.store.add([photo(person, 2)], MODEL)
        gallery.prepare()
        if person % 4 == 0:
            gallery.remove(f"Person {person}")
        elif person % 4 == 1:
            gallery.rename(f"Person {person}", f"Renamed {person}")
        print(person, flush=True)
"""
READER = """
import sys
import time
from pathlib import Path
from facesearch.core import paths
from facesearch.matching.calibration import calibration_of
from facesearch.vision.model import Model
from robustness.flips import ask
calibration = calibration_of(Model(paths.shipped_models() / "default"))
folder, asked = Path(sys.argv[1]), 0
print("ready", flush=True)
while not (folder.parent / "stop").exists():
    people, answers = ask(folder, calibration)
    assert len(people) >= 12, people
    assert [answer[0] for answer in answers[::3]] == [f"Person {n}" for n in range(12)], answers
    asked += 1
    time.sleep(0.1)
print(asked)
"""


@pytest.mark.slow
def test_two_writers_and_eight_readers(folder: Path, calibration: Calibration) -> None:
    readers = [python(READER, folder) for _ in range(8)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
    writers = [python(WRITER, folder, start) for start in (100, 200)]
    ended = [writer.communicate() for writer in writers]
    (folder.parent / "stop").touch()
    asked = [reader.communicate() for reader in readers]
    assert [writer.returncode for writer in writers] == [0, 0], ended
    assert [reader.returncode for reader in readers] == [0] * 8, asked
    assert all(int(out) > 0 and not said for out, said in asked)
    wanted = {f"Person {person}": 3 for person in range(PEOPLE)}
    for start in (100, 200):
        for person in range(start, start + 6):
            if person % 4:
                wanted[f"{'Renamed' if person % 4 == 1 else 'Person'} {person}"] = 3
    assert dict(ask(folder, calibration)[0]) == wanted
    sound(folder)


def test_a_reader_does_not_wait_for_a_writer(folder: Path, calibration: Calibration) -> None:
    """The writer has the lock and has written, and goes on only when the reader has its answer."""
    right = ask(folder, calibration)

    def write(store: Store) -> None:
        with store.database.write("test", {}) as connection:
            connection.exec_driver_sql("DELETE FROM faces")
            assert ask(folder, calibration) == right
            raise KeyboardInterrupt

    with closing(Store(folder, create=False)) as store, pytest.raises(KeyboardInterrupt):
        write(store)
    assert ask(folder, calibration) == right


def test_a_second_writer_says_that_it_waited(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.2)
    with closing(Store(folder, create=False)) as store, locked(folder, 0):
        child = (
            "import sys; from pathlib import Path; from facesearch.storage import database as d\n"
        )
        child += "from robustness.flips import photo, MODEL\n"
        child += "from facesearch.storage.store import Store\n"
        child += "d.LOCK_SECONDS = 0.2\nStore(Path(sys.argv[1]), create=False).add("
        child += "[photo(99, 0)], MODEL)"
        other = python(child, folder)
        said = other.communicate()[1]
        assert other.returncode == 1
        assert said.splitlines()[-1].endswith(
            "another facesearch has been writing for 0.2 seconds; try again when it is done"
        )
        assert len(store.people()) == PEOPLE


# Signals

ENROLL = "from facesearch.cli import main; main()"


def copies(tmp_path: Path, people: Path, count: int) -> Path:
    """One picture with many contents, eight of a person."""
    photos = tmp_path / "photos"
    source = (people / "person-00" / "pose-0.jpg").read_bytes()
    for number in range(count):
        folder = photos / f"{number // 8:02}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03}.jpg").write_bytes(source + bytes([number]))
    return photos


def faces_in(folder: Path) -> set[str]:
    """The photos of all that is enrolled."""
    with Gallery(folder) as gallery:
        names = [person.name for person in gallery.people()]
        return {str(face.photo) for name in names for face in gallery[name].faces}


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
@pytest.mark.slow
def test_signals_end_orderly(tmp_path: Path, people: Path, number: int, code: int) -> None:
    folder, photos = tmp_path / "gallery", copies(tmp_path, people, 200)
    asked = ["enroll", "--json", "--gallery", folder, "--tree", photos, "--include-doubtful"]
    child = python(ENROLL, *asked)
    assert child.stdout is not None
    first = child.stdout.readline()  # a person is in, and the next one is being read
    child.send_signal(number)
    out, said = child.communicate()
    assert (child.returncode, said) == (code, "interrupted; everything written so far is kept\n")
    lines = [first, *out.splitlines()]
    rows = [json.loads(line) for line in lines if line.endswith(("}", "}\n"))]
    told = {row["photo"] for row in rows if row["status"] == "enrolled"}
    assert told
    kept = faces_in(folder)
    assert told <= kept
    assert len(kept) < 200
    sound(folder)
    assert not list(folder.glob("*.new"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.slow
def test_signals_at_any_time(tmp_path: Path, people: Path, number: int) -> None:
    folder, photos = tmp_path / "gallery", copies(tmp_path, people, 70)
    kept: set[str] = set()
    codes = []
    for wait in np.random.default_rng(number).uniform(0, 4, 4):
        asked = ["enroll", "--json", "--gallery", folder, "--tree", photos, "--include-doubtful"]
        child = python(ENROLL, *asked)
        time.sleep(wait)
        child.send_signal(number)
        out, said = child.communicate()
        codes.append(child.returncode)
        # before the program has come to its first line Python itself ends it
        assert child.returncode in (128 + number, -number, 0), said
        if child.returncode == 128 + number:
            assert said in ("", "interrupted; everything written so far is kept\n")
        rows = [json.loads(line) for line in out.splitlines() if line.endswith("}")]
        kept |= {row["photo"] for row in rows if row["status"] == "enrolled"}
        if (folder / "gallery.db").exists():
            assert kept <= faces_in(folder)
            sound(folder)
    assert len(codes) == 4


# File systems without locks


def refuse(call: int, error: int, second: int | None = None) -> None:
    """From here on the kernel answers this system call with an error; for good.

    second: only if the call's second argument is this.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def line(code: int, yes: int, no: int, value: int) -> bytes:
        return struct.pack("HBBI", code, yes, no, value)

    load, equal, answer = 0x20, 0x15, 0x06
    program = [line(load, 0, 0, 0), line(equal, 0, 1 if second is None else 3, call)]
    if second is not None:
        program += [line(load, 0, 0, 24), line(equal, 0, 1, second)]
    program += [line(answer, 0, 0, 0x00050000 | error), line(answer, 0, 0, 0x7FFF0000)]
    content = ctypes.create_string_buffer(b"".join(program))
    head = struct.pack("HxxxxxxP", len(program), ctypes.addressof(content))
    assert libc.prctl(38, 1, 0, 0, 0) == 0  # PR_SET_NO_NEW_PRIVS
    assert libc.prctl(22, 2, head, 0, 0) == 0  # PR_SET_SECCOMP, filter


def in_child(job: Any) -> str:
    """What a forked child's GalleryError says, or what else became of it."""
    out, into = os.pipe()
    number = os.fork()
    if not number:
        try:
            job()
            said = "done"
        except GalleryError as error:
            said = f"GalleryError: {error}"
        except BaseException as error:
            said = repr(error)
        os.write(into, said.encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as pipe:
        said = pipe.read()
    os.waitpid(number, 0)
    return said


FLOCK, FCNTL, SETLK = 73, 72, 6  # of Linux on x86-64


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64",
    reason="refuses system calls as Linux on x86-64 numbers them",
)
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_not_written_to(folder: Path, number: int) -> None:
    before = (folder / "gallery.db").read_bytes()

    def enrol() -> None:
        refuse(FLOCK, number)
        Store(folder, create=False).add([photo(99, 0)], MODEL)

    def make() -> None:
        refuse(FLOCK, number)
        Store(folder.with_name("new"), create=True)

    for job in (enrol, make):
        said = in_child(job)
        assert said.startswith("GalleryError: "), said
        assert "this file system does not lock files" in said
        assert "keep the gallery on a local disk" in said

    def sqlite_locks() -> None:
        module.LOCK_SECONDS = 0.1  # SQLite takes it for a lock of another program
        refuse(FCNTL, number, SETLK)
        Store(folder, create=False).add([photo(99, 0)], MODEL)

    said = in_child(sqlite_locks)
    assert said.startswith(f"GalleryError: {folder}/gallery.db: cannot be read or written"), said
    assert (folder / "gallery.db").read_bytes() == before
    sound(folder)


# Kills


@pytest.mark.slow
def test_a_short_torture(tmp_path: Path) -> None:
    told = tmp_path / "torture.json"
    asked = ["-m", "robustness.torture", "--kills", "20", "--seed", "11", "--json", str(told)]
    done = subprocess.run([sys.executable, *asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(told.read_text())
    assert sum(row["kills"] for row in rows) >= 20
    for row in rows:
        assert row["kills"] == row["clean"] + row["repaired"]
        assert (row["lost"], row["doubled"], row["came_back"], row["broken"]) == (0, 0, 0, 0)
