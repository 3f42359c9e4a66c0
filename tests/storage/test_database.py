"""Transactions, revisions and events; errors that name the gallery."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.storage.schema import events
from facesearch.storage.store import Store
from tests.support.new_photos import MODEL, photo


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    """On either engine."""
    with closing(Store(where, create=True)) as store:
        yield store


@pytest.fixture
def file_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "gallery", create=True)


def test_every_write_has_a_revision_and_an_event(store: Store) -> None:
    seen = [store.revision()]
    for write in (
        lambda: store.add([photo("ann", 1)], MODEL),
        lambda: store.rename("ann", "anna"),
        lambda: store.remove("anna"),
    ):
        write()
        seen.append(store.revision())
    assert len(set(seen)) == 4
    with store.database.read() as connection:
        query = sa.select(events.c.action).order_by(events.c.id)
        actions = list(connection.execute(query).scalars())
    assert actions == ["enroll", "rename", "remove"]


def test_a_failed_write_changes_nothing(store: Store) -> None:
    store.add([photo("ann", 1)], MODEL)
    before = store.revision()
    bad = photo("bob", 2)
    bad.faces.append(bad.faces[0])  # more faces than embeddings
    with pytest.raises(ValueError, match="zip"):
        store.add([photo("bob", 3), bad], MODEL)
    assert store.revision() == before
    assert [person.name for person in store.people()] == ["ann"]


def test_no_gallery_and_no_database(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="no gallery here yet"):
        Store(tmp_path / "nowhere", create=False)
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "gallery.db").write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(GalleryError, match="not a gallery, or a damaged one"):
        Store(tmp_path, create=True)
    (tmp_path / "file").touch()
    with pytest.raises(GalleryError, match="no gallery can be made here"):
        Store(tmp_path / "file" / "gallery", create=True)


def test_a_database_that_was_put_back_is_another_state(file_store: Store, tmp_path: Path) -> None:
    """Two histories of the same length do not look alike."""
    database = tmp_path / "gallery" / "gallery.db"
    file_store.add([photo("ann", 1)], MODEL)
    with sqlite3.connect(database) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    before = database.read_bytes()
    file_store.add([photo("bob", 2)], MODEL)
    first = file_store.revision()
    database.write_bytes(before)
    for log in (tmp_path / "gallery").glob("gallery.db-*"):
        log.unlink()
    file_store.add([photo("eve", 3)], MODEL)
    assert file_store.revision() != first


@pytest.mark.parametrize(
    "job",
    [
        lambda store: store.people(),
        lambda store: store.vectors(),
        lambda store: store.revision(),
        lambda store: store.add([photo("bob", 2)], MODEL),
        lambda store: store.rename("ann", "anna"),
        lambda store: store.remove("ann"),
    ],
)
def test_damage_is_a_named_error(
    file_store: Store, tmp_path: Path, job: Callable[[Store], object]
) -> None:
    file_store.add([photo("ann", 1)], MODEL)
    database = tmp_path / "gallery" / "gallery.db"
    for log in database.parent.glob("gallery.db-*"):
        log.unlink()
    database.write_bytes(b"?" * 20_000)
    with pytest.raises(GalleryError, match="not a gallery, or a damaged one"):
        job(file_store)


def test_a_database_that_cannot_be_written_is_read_with_its_log(
    file_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another program wrote a moment ago, and what is only in the log yet, is seen."""
    keep = sqlite3.connect(tmp_path / "gallery" / "gallery.db")  # so that the log is not folded in
    keep.execute("SELECT count(*) FROM faces").fetchone()
    file_store.add([photo("ann", 1)], MODEL)
    assert (tmp_path / "gallery" / "gallery.db-wal").stat().st_size
    monkeypatch.setattr("os.access", lambda path, mode: False)
    reader = Store(tmp_path / "gallery", create=False)
    assert [person.name for person in reader.people()] == ["ann"]
    with pytest.raises(GalleryError, match="cannot be written to"):
        reader.add([photo("bob", 2)], MODEL)
    keep.close()
