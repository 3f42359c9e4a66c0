"""Files are the owner's alone, searches can be recorded, and errors tell nobody's name."""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from facesearch.core import secure_files
from facesearch.core.errors import GalleryError, PhotoError
from facesearch.gallery.search_results import IdentifyResult
from facesearch.storage import preferences
from facesearch.storage.schema import faces, searches
from facesearch.storage.store import Store
from tests.support.inside_gallery import InsideGallery as Gallery
from tests.support.new_photos import MODEL, photo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def loose() -> Iterator[None]:
    """Nothing is taken from new files by the umask."""
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


# Files


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
@pytest.mark.usefixtures("loose")
def test_files_are_the_owners_alone(folder: Path) -> None:
    gallery = Gallery(folder / "deep")
    keep = sqlite3.connect(folder / "deep" / "gallery.db")
    keep.execute("SELECT count(*) FROM faces").fetchone()
    gallery.store.add([photo("ann", 1)], MODEL)
    gallery.index.current()
    found = modes(folder / "deep")
    assert found.keys() >= {"gallery.db", "gallery.db-wal", "gallery.db-shm", "vectors.faiss"}
    assert set(found.values()) == {0o600}
    assert stat.S_IMODE((folder / "deep").stat().st_mode) == 0o700
    keep.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
@pytest.mark.usefixtures("loose")
def test_an_earlier_gallery_is_closed_to_others(folder: Path) -> None:
    gallery = Gallery(folder)
    gallery.store.add([photo("ann", 1)], MODEL)
    gallery.index.current()
    keep = sqlite3.connect(folder / "gallery.db")
    keep.execute("SELECT count(*) FROM faces").fetchone()
    mine = folder / "notes.txt"
    mine.touch()
    for path in folder.iterdir():
        path.chmod(0o664)
    folder.chmod(0o755)
    assert "gallery.db-wal" in modes(folder)
    Gallery(folder)
    found = modes(folder)
    assert found.pop("notes.txt") == 0o666 & 0o664  # not ours
    assert set(found.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755  # it may be somebody's project
    keep.close()


@pytest.mark.usefixtures("loose")
def test_a_private_file_replaces_one_that_was_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("longer than what follows")
    with secure_files.opened(path) as file:
        file.write(b"content")
    assert path.read_bytes() == b"content"
    assert modes(tmp_path) == {"file": 0o600}
    secure_files.make(path)
    assert path.read_bytes() == b"content"
    path.chmod(0o444)
    secure_files.tighten(path)
    assert modes(tmp_path) == {"file": 0o400}
    secure_files.tighten(tmp_path / "missing")


# The audit log


def identify(gallery: Gallery, *photos: Path) -> list[IdentifyResult]:
    return [result for _, result in gallery.identify_each(photos, threshold=0.3)]


def test_searches_are_recorded_where_they_should_be(
    folder: Path, hopper: Path, collins: Path, no_face: Path, tmp_path: Path
) -> None:
    gallery = Gallery(folder)
    list(gallery.enroll_each([("Grace Hopper", hopper)]))
    identify(gallery, hopper)
    assert gallery.searches() == []
    assert gallery.info().audit == "off"
    gallery.set_preference("audit", "on")
    assert gallery.info().audit == "on"
    revision = gallery.store.revision()
    answers = identify(gallery, hopper, collins, no_face, tmp_path / "missing.jpg")
    assert isinstance(answers[3].error, PhotoError)
    found = [(search.command, search.faces, search.names) for search in gallery.searches()]
    assert found == [("identify", 1, ["Grace Hopper"]), ("identify", 1, []), ("identify", 0, [])]
    assert gallery.store.revision() == revision  # the index is not made anew for it
    with gallery.store.database.read() as connection:
        (detail, *_) = connection.execute(sa.select(searches.c.detail)).scalars()
    assert detail.keys() == {"command", "faces", "names"}
    assert gallery.searches(datetime(2000, 1, 1)) == gallery.searches()
    assert gallery.searches(datetime(2999, 1, 1)) == []


def test_a_search_that_cannot_be_recorded_is_not_made(
    folder: Path, hopper: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = Gallery(folder)
    list(gallery.enroll_each([("Grace Hopper", hopper)]))
    gallery.set_preference("audit", "on")
    with closing(sqlite3.connect(folder / "gallery.db", isolation_level=None)) as raw:
        raw.execute(
            "CREATE TRIGGER full BEFORE INSERT ON searches BEGIN SELECT raise(FAIL, 'full'); END"
        )
    with pytest.raises(GalleryError, match="full"):
        identify(gallery, hopper)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    reader = Gallery(folder)
    with pytest.raises(GalleryError, match="cannot be written to; nothing was searched"):
        identify(reader, hopper)
    monkeypatch.undo()
    gallery.set_preference("audit", "off")
    assert len(identify(gallery, hopper)) == 1


def test_settings_are_checked(folder: Path) -> None:
    store = Store(folder, create=True)
    with pytest.raises(GalleryError, match="colour: no such setting; there are audit"):
        preferences.prefer(store.database, "colour", "red")
    with pytest.raises(GalleryError, match="'maybe' is not one of off, on"):
        preferences.prefer(store.database, "audit", "maybe")


# What errors tell


def test_an_error_of_the_database_holds_no_values(folder: Path) -> None:
    store = Store(folder, create=True)
    store.add([photo("Zaphod Beeblebrox", 1)], MODEL)
    secret = photo("Zaphod Beeblebrox", 1).embeddings.tobytes()
    bad = {"photo": 99, "person": 99, "box": ["Zaphod"], "points": [], "score": 1, "agreement": 1}
    with (
        pytest.raises(GalleryError) as caught,
        store.database.write("test", {}) as connection,
    ):
        connection.execute(faces.insert(), [{**bad, "embedding": secret, "checksum": 0}] * 3)
    texts = []
    error: BaseException | None = caught.value
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    assert "FOREIGN KEY constraint failed" in texts[0]
    everything = " ".join(texts)
    assert len(texts) > 1
    for value in ("Zaphod", repr(secret[:16])[2:-1], f"{np.frombuffer(secret, '<f4')[0]:.4f}"):
        assert value not in everything
