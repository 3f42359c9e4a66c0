"""The file of a gallery: who may read it, what its errors say, and what its size becomes."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.storage.sqlite import Sqlite, is_file_there, is_outside
from facesearch.storage.store import Store
from tests.support.new_photos import MODEL, photo


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    with closing(Store(tmp_path / "gallery", create=True)) as store:
        store.add([photo("ann", 1)], MODEL)
        keep = sqlite3.connect(tmp_path / "gallery" / "gallery.db")
        keep.execute("SELECT count(*) FROM faces").fetchone()
        for path in [tmp_path / "gallery", *(tmp_path / "gallery").iterdir()]:
            assert path.stat().st_mode & 0o077 == 0, path
        keep.close()


def test_an_error_names_the_file(tmp_path: Path) -> None:
    engine = Sqlite(tmp_path, create=True, seconds=1)
    with (
        pytest.raises(
            GalleryError, match=r"gallery\.db: cannot be read or written \(no such table"
        ),
        engine.translate_errors(),
        engine.reading() as connection,
    ):
        connection.execute(sa.text("SELECT * FROM recipes"))
    with (
        pytest.raises(GalleryError, match=r"gallery\.db: not a gallery, or a damaged one"),
        engine.translate_errors(),
    ):
        raise sqlite3.DatabaseError("malformed")


@pytest.mark.parametrize(
    ("code", "outside"),
    [
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_IOERR_WRITE, True),
        (sqlite3.SQLITE_IOERR_SHORT_READ, False),
        (sqlite3.SQLITE_CORRUPT, False),
        (None, False),
    ],
)
def test_an_error_may_say_nothing_about_the_content(code: int | None, outside: bool) -> None:
    error = sqlite3.DatabaseError("an error")
    if code is not None:
        error.sqlite_errorcode = code
    assert is_outside(error) == outside


def test_many_transactions_share_connections(tmp_path: Path) -> None:
    with closing(Store(tmp_path, create=True)) as store:
        opened: list[object] = []
        engine = store.database.engine
        with engine.busy():
            for _ in range(3):
                with engine.reading() as connection:
                    opened.append(connection.connection.driver_connection)
        assert len(set(map(id, opened))) == 1


def test_unused_space_is_told_of_and_given_back(tmp_path: Path) -> None:
    with closing(Store(tmp_path, create=True)) as store:
        with store.database.append() as connection:
            connection.exec_driver_sql("CREATE TABLE large (content BLOB)")
            connection.exec_driver_sql("INSERT INTO large VALUES (zeroblob(2000000))")
        with store.database.append() as connection:
            connection.exec_driver_sql("DROP TABLE large")
        with store.database.read() as connection:
            unused, share = store.database.engine.unused_share(connection)
        assert unused > 1_900_000
        assert 0.5 < share < 1
        store.database.compact()
        with store.database.read() as connection:
            assert store.database.engine.unused_share(connection)[0] == 0
        assert (tmp_path / "gallery.db").stat().st_size < 1_000_000
        free = store.database.engine.free_bytes()
        assert free is not None
        assert free > 0


def test_whether_there_is_a_gallery(tmp_path: Path) -> None:
    assert not is_file_there(tmp_path)
    Store(tmp_path, create=True).close()
    assert is_file_there(tmp_path)
