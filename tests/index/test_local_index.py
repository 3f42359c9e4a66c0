"""The index follows the database by what changed, and begins anew where that cannot be told."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from facesearch.core.templates import templates
from facesearch.gallery.purge import purge
from facesearch.index import faiss_index as index_module
from facesearch.index import local_index
from facesearch.index.local_index import LocalIndex
from facesearch.index.person_index import PersonIndex
from facesearch.storage import change_log
from facesearch.storage.cache_file import CODES, INDEX
from facesearch.storage.schema import faces
from facesearch.storage.state import State
from facesearch.storage.store import Store
from robustness.flips import MODEL, photo
from tests.support.inside_gallery import InsideGallery as Gallery


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with closing(Store(tmp_path / "gallery", create=True)) as store:
        store.add([photo(person, number) for person in range(6) for number in range(2)], MODEL)
        LocalIndex(store).current()
    return tmp_path / "gallery"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with closing(Store(folder, create=False)) as opened:
        yield opened


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even a small file is kept while others change a little."""
    monkeypatch.setattr(local_index, "SMALL_FILE", 0)


def raw(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "gallery.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def triggers(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "gallery.db")) as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        return [f"DROP TRIGGER {name}" for (name,) in connection.execute(query)]


def check(store: Store, *, anew: bool = False) -> None:
    """The index is the database's; and whether every face was read for it."""
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "vectors", lambda self: asked.append(1) or vectors(self))
        index = LocalIndex(store).current()
    assert bool(asked) == anew
    _, owners, embeddings = store.vectors()
    people, numbers = np.unique(owners, return_inverse=True)
    assert index.numbers.tolist() == people.tolist()
    assert np.allclose(index.templates, templates(embeddings, numbers), atol=1e-6)


vectors = Store.vectors


def test_every_kind_of_change_is_followed(folder: Path, store: Store) -> None:
    before = (folder / INDEX).stat().st_ino
    check(store)
    with Gallery(folder) as gallery:
        gallery.index.follower.current()  # one that stays open, too
        for job in (
            lambda: store.add([photo(7, 0), photo(1, 2)], MODEL),
            lambda: store.rename("Person 1", "another"),
            lambda: gallery.split("another", [4], "Person 2"),
            lambda: gallery.merge("Person 5", "Person 2"),
            gallery.undo,
            lambda: store.remove("Person 3"),
            gallery.undo,
            lambda: purge(store.database, "Person 4"),
            lambda: store.add([photo(8, 0)], MODEL),
        ):
            job()
            check(store)
            index = gallery.index.follower.current()
            assert index.numbers.tolist() == np.unique(store.vectors()[1]).tolist()
    assert (folder / INDEX).stat().st_ino != before  # written anew for those who are gone


def test_a_file_is_kept_while_few_differ(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_index, "CHANGES_IN_MEMORY", 3)
    whole = (folder / INDEX).read_bytes()
    for person in (10, 11, 12):
        store.add([photo(person, 0)], MODEL)
        check(store)
        assert (folder / INDEX).read_bytes() == whole
        assert LocalIndex(store).is_kept()
    store.add([photo(13, 0)], MODEL)
    assert not LocalIndex(store).is_kept()
    check(store)
    assert (folder / INDEX).read_bytes() != whole
    assert LocalIndex(store).is_kept()


def test_whoever_is_gone_is_not_in_the_file(folder: Path, store: Store) -> None:
    template = LocalIndex(store).current().of(np.array([3])).tobytes()
    assert template in (folder / INDEX).read_bytes()
    store.remove("Person 2")
    check(store)
    assert template not in (folder / INDEX).read_bytes()


def test_a_database_that_was_put_back(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows nothing of what came after, though the numbers of its changes are the same."""
    backup = folder.with_name("backup")
    shutil.copytree(folder, backup)
    monkeypatch.setattr(local_index, "CHANGES_IN_MEMORY", 0)
    store.add([photo(7, 0)], MODEL)
    check(store)
    with closing(Store(backup, create=False)) as other:
        other.add([photo(9, 0)], MODEL)
        assert state_of(other).change == state_of(store).change
        shutil.copy(folder / INDEX, backup / INDEX)
        check(other, anew=True)


def state_of(store: Store) -> State:
    with store.database.read() as connection:
        return change_log.state(connection)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE changes SET person = person + 4 WHERE id = (SELECT max(id) FROM changes)",
        "UPDATE changes SET checksum = checksum + 1 WHERE id = (SELECT max(id) FROM changes)",
        "DELETE FROM changes WHERE id = (SELECT max(id) - 1 FROM changes)",
        "DELETE FROM changes",
        "DELETE FROM revisions",
        "DELETE FROM revisions WHERE id = (SELECT max(id) FROM revisions)",
        "UPDATE revisions SET change = change + 1",
        "UPDATE settings SET value = 'x' || value WHERE key = 'revision'",
        "UPDATE totals SET faces = faces + 1",
        "UPDATE totals SET numbers = numbers + 1",
        "DELETE FROM totals",
    ],
)
def test_what_does_not_fit_is_read_anew(folder: Path, store: Store, damage: str) -> None:
    store.add([photo(7, 0), photo(8, 0)], MODEL)
    raw(folder, damage)
    check(store, anew=True)


def test_a_writer_that_tells_nobody(folder: Path, store: Store) -> None:
    raw(folder, "PRAGMA foreign_keys = ON", "DELETE FROM people WHERE id = 5")
    check(store, anew=True)


def test_faces_that_an_index_of_the_database_hides(folder: Path, store: Store) -> None:
    """They are counted: a template of some of them is no answer."""
    store.add([photo(1, 7)], MODEL)
    raw(folder, *triggers(folder), "DELETE FROM faces WHERE id = 3")
    assert store.changes_since(PersonIndex.load(folder / INDEX)[1]) is None  # type: ignore[index]


def test_who_is_too_far_behind_begins_anew(
    folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_log, "KEPT", 5)
    store.add([photo(7, 0)], MODEL)
    check(store)
    for number in range(7):
        store.add([photo(8, number)], MODEL)
        with closing(sqlite3.connect(folder / "gallery.db")) as connection:
            for table in ("changes", "revisions"):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] <= 5
    check(store, anew=True)
    check(store)


def test_what_is_written_after_a_refusal_is_noted_without_a_gap(folder: Path, store: Store) -> None:
    with suppress(RuntimeError), store.database.write("enroll", {}) as connection:
        connection.execute(faces.delete())
        raise RuntimeError
    store.add([photo(7, 0)], MODEL)
    check(store)


def test_two_that_keep_the_file_at_once(folder: Path, store: Store) -> None:
    store.add([photo(person, 0) for person in range(20, 40)], MODEL)
    index = LocalIndex(store).current()
    state = state_of(store)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: index.save(folder / INDEX, state), range(20)))
    check(store)
    assert [path.name for path in folder.glob(f"{INDEX}*")] == [INDEX]


def test_what_a_killed_program_left_is_removed(folder: Path, store: Store) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    left, ours = (folder / f"{INDEX}.{pid}-00.new" for pid in (child.pid, os.getpid()))
    left.write_text("half")
    ours.write_text("being written")
    LocalIndex(store)._save(LocalIndex(store).current())
    assert not left.exists()
    assert ours.exists()


@pytest.fixture
def crowded(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A gallery that counts as very large."""
    monkeypatch.setattr(local_index, "CODES_FROM", 100)
    monkeypatch.setattr(index_module, "CELLS", 8)
    monkeypatch.setattr(index_module, "CANDIDATES", 48)
    store.add([photo(person, 0) for person in range(100, 800)], MODEL)
    LocalIndex(store).prepare()
    return store


def queries() -> NDArray[np.float32]:
    return np.concatenate([photo(person, 9).embeddings for person in range(100, 300)])


def recall(following_: LocalIndex) -> float:
    index = following_.current()
    exact, found = index.search(queries(), 1, exact=True), index.search(queries(), 1)
    same = exact[0] == found[0]
    assert np.allclose(exact[1][same], found[1][same], atol=1e-5)
    return float(same.mean())


def test_codes_find_nearly_everybody(crowded: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0.7 < recall(LocalIndex(crowded)) < 1  # of eight cells one is looked into
    assert LocalIndex(crowded).current().search(queries()[:2], 13)[0].shape == (2, 13)
    monkeypatch.setattr(index_module, "CELLS_SHARE", 1)
    assert recall(LocalIndex(crowded)) == 1


def test_codes_and_what_changed_since(
    folder: Path, crowded: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "CELLS_SHARE", 1)
    codes = (folder / CODES).read_bytes()
    open_ = LocalIndex(crowded)
    open_.current()
    crowded.add([photo(person, number) for person in range(100, 120) for number in (4, 5)], MODEL)
    crowded.add([photo(person, 0) for person in range(900, 920)], MODEL)
    for one in (open_, LocalIndex(crowded)):
        assert recall(one) == 1
    assert (folder / CODES).read_bytes() == codes
    crowded.remove("Person 130")
    for one in (open_, LocalIndex(crowded)):
        assert recall(one) == 1
    assert (folder / CODES).read_bytes() != codes  # without who is gone
    monkeypatch.setattr(local_index, "MOST_UNCODED", 3)
    last = LocalIndex(crowded)
    assert recall(last) == 1
    assert not (folder / CODES).exists()  # too many changed since
    last.prepare()
    assert (folder / CODES).exists()
    assert recall(last) == 1


@pytest.mark.parametrize("damage", [b"", b"nonsense" * 300, None])
def test_codes_that_are_none(folder: Path, crowded: Store, damage: bytes | None) -> None:
    """The search is exact then."""
    (folder / CODES).unlink()
    if damage is not None:
        (folder / CODES).write_bytes(damage)
    assert recall(LocalIndex(crowded)) == 1
