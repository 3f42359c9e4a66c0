"""Several processes and one database: nothing is lost, doubled or half, and readers go on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from facesearch.gallery import doctor
from facesearch.gallery.gallery import Gallery
from facesearch.storage.store import Store
from robustness.flips import MODEL, photo
from tests.support.postgres_server import Server

ROOT = Path(__file__).parents[2]
SETUP = """
import sys
from robustness.flips import MODEL, photo
from facesearch.gallery.gallery_index import GalleryIndex
from facesearch.storage.store import Store
url, who = sys.argv[1], int(sys.argv[2])
store = Store(url, create=True)
index = GalleryIndex(store, None)
def say(word):
    print(word, flush=True)
def wait():
    sys.stdin.readline()
"""
ENROL = """
wait()
for person in range(who, 24, 2):  # alone; and person 99 like everybody else
    store.add([photo(person, number) for number in range(3)], MODEL)
    store.add([photo(99, person // 2)], MODEL)
    index.prepare()
say("done")
"""
READ = """
wait()
seen = set()
while len(seen) < 8:
    current = index.current()
    if not len(current):
        continue
    seen.add(index.state.revision)
    numbers = current.numbers
    samples = store.person_faces(numbers.tolist())
    assert samples.keys() >= set(numbers.tolist())  # nobody vanishes
    for sample in samples.values():
        assert sample.name == "Person 99" or len(sample.photos) == 3  # all or nothing
say("done")
"""
HANG = """
with store.database.write("test", {}) as connection:
    connection.exec_driver_sql("DELETE FROM faces WHERE photo = 1")
    connection.exec_driver_sql("UPDATE people SET name = 'Nobody' WHERE id = 1")
    say("written")
    wait()
"""
FOLLOW = """
while True:
    wait()
    index.prepare()
    say(f"{len(index.current())} {store.database.folder}")
"""


def worker(program: str, url: str, number: int, home: Path) -> "subprocess.Popen[str]":
    """A process of its own, with caches of its own."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-c", SETUP + program, url, str(number)],
        env={**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def heard(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline().rstrip()
    if not line:
        pytest.fail(process.communicate()[1])
    return line


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.database("gallery")


def sound(url: str) -> None:
    kinds = {f.kind for f in doctor.examine(url) if f.severity != "note"}
    assert kinds == set()


@pytest.mark.parametrize("search", ["local", "pgvector"])
@pytest.mark.slow
def test_two_enrol_and_one_reads_at_once(url: str, search: str, tmp_path: Path) -> None:
    with Gallery(url) as gallery:
        gallery.set_preference("search", search)
        workers = [worker(ENROL, url, who, tmp_path / str(who)) for who in (0, 1)]
        workers.append(worker(READ, url, 2, tmp_path / "2"))
        for each in workers:
            tell(each)
        assert [heard(each) for each in workers] == ["done"] * 3
        for each in workers:
            assert each.communicate()[1] == ""
            assert each.returncode == 0
        people = {person.name: person.faces for person in gallery.people()}
        # both gave photos 0 to 11 of person 99
        assert people == {f"Person {p}": 3 for p in range(24)} | {"Person 99": 12}
    sound(url)
    homes = [(tmp_path / str(who) / "facesearch") for who in (0, 1)]
    kept = {path.name for home in homes for path in home.rglob("*") if path.is_file()}
    # a cache that was late already when it was made is not left behind
    assert kept <= ({"vectors.faiss"} if search == "local" else set())


@pytest.mark.slow
def test_a_worker_that_is_killed_leaves_nothing_half(url: str, tmp_path: Path) -> None:
    with Gallery(url) as gallery:
        gallery.set_preference("search", "pgvector")
        store = Store(url, create=True)
        store.add([photo(1, 0), photo(1, 1), photo(2, 0)], MODEL)
        revision = store.revision()
        for _ in range(3):
            dying = worker(HANG, url, 0, tmp_path / "0")
            assert heard(dying) == "written"
            assert gallery.person("Person 1").faces == 2  # nobody sees it
            dying.kill()
            dying.communicate()
            assert store.revision() == revision
            assert gallery.person("Person 1").faces == 2
        assert store.add([photo(1, 2)], MODEL)  # nor does its lock stay
        assert gallery.person("Person 1").faces == 3
        store.close()
    sound(url)


def test_a_worker_follows_what_the_others_change(url: str, tmp_path: Path) -> None:
    with Gallery(url) as gallery:
        store = Store(url, create=True)
        store.add([photo(1, 0), photo(2, 0)], MODEL)
        following = [worker(FOLLOW, url, who, tmp_path / str(who)) for who in (0, 1)]

        def told() -> list[str]:
            for each in following:
                tell(each)
            return [heard(each) for each in following]

        folders = [tmp_path / str(who) / "facesearch" / gallery.folder.name for who in (0, 1)]
        assert told() == [f"2 {folder}" for folder in folders]
        assert all((folder / "vectors.faiss").exists() for folder in folders)
        store.add([photo(3, 0)], MODEL)
        store.close()
        assert [line.split()[0] for line in told()] == ["3", "3"]
        gallery.purge("Person 1")
        assert [line.split()[0] for line in told()] == ["2", "2"]
        gallery.set_preference("search", "pgvector")
        assert [line.split()[0] for line in told()] == ["2", "2"]
        for each in following:
            each.kill()
            each.communicate()
