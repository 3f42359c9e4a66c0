"""What can be read of a malformed database goes into a new one; the old one stays beside it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from facesearch.core.errors import GalleryError
from facesearch.storage import recovery
from facesearch.storage.folder_lock import locked
from facesearch.storage.job_spool import Job, JobSpool, NewJobPhoto
from facesearch.storage.recovery import is_newer, problems, recover
from facesearch.storage.store import Store
from tests.support.new_photos import MODEL, photo

PEOPLE = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database of forty people and a job, all in one file."""
    with closing(Store(tmp_path, create=True)) as store:
        store.add([photo(f"person {n}", n) for n in range(PEOPLE)], MODEL)
        job = Job("", "2026-01-01T00:00:00+00:00", "only", False)
        JobSpool(store.database).add(job, [NewJobPhoto("Ada", "a.jpg", b"a photo")])
    with closing(sqlite3.connect(tmp_path / "gallery.db")) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return tmp_path / "gallery.db"


def spoil(path: Path, table: str) -> None:
    """A page in the middle of a table becomes nonsense."""
    with closing(sqlite3.connect(path)) as raw:
        size = raw.execute("PRAGMA page_size").fetchone()[0]
        pages = raw.execute(
            "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno",
            [table],
        ).fetchall()
    page = pages[len(pages) // 2][0]
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"?" * size)


def has_dbstat() -> bool:
    with closing(sqlite3.connect(":memory:")) as raw:
        try:
            raw.execute("SELECT * FROM dbstat").fetchall()
        except sqlite3.OperationalError:
            return False
    return True


def test_a_sound_database_has_no_problems(path: Path) -> None:
    assert problems(path) == []
    assert not is_newer(path)


@pytest.mark.skipif(not has_dbstat(), reason="SQLite cannot say where a table lies")
def test_the_rows_around_a_broken_page_are_kept(path: Path) -> None:
    before = path.read_bytes()
    spoil(path, "faces")
    assert problems(path)
    broken = path.read_bytes()
    assert broken != before
    found = recover(path)
    assert found.kept.name == "gallery.db.damaged"
    assert found.kept.read_bytes() == broken
    assert problems(path) == []
    assert found.rows["people"] == PEOPLE
    assert 0 < found.rows["faces"] < PEOPLE
    assert not (path.parent / recovery.WORK).exists()
    with closing(Store(path.parent, create=False)) as store:
        assert sum(person.faces for person in store.people()) == found.rows["faces"]
        spool = JobSpool(store.database)
        (job,) = spool.jobs()
        assert spool.content(job.number, "000000") == b"a photo"


def test_nothing_is_touched_where_nothing_can_be_read(path: Path) -> None:
    path.write_bytes(b"?" * 20_000)
    with pytest.raises(GalleryError, match="cannot be recovered"):
        recover(path)
    assert path.read_bytes() == b"?" * 20_000
    assert not (path.parent / "gallery.db.damaged").exists()


def test_it_waits_for_whoever_writes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "LOCK_SECONDS", 0.1)
    with locked(path.parent, 1), pytest.raises(GalleryError, match="another facesearch has been"):
        recover(path)


def test_a_newer_database_is_known(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()
    assert is_newer(path)
    path.write_bytes(b"?" * 20_000)
    assert not is_newer(path)
