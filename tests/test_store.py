"""The database keeps what it was given, through crashes, other writers, and its own upgrades."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from facesearch.errors import GalleryError, PersonError
from facesearch.face import Box, Face
from facesearch.store import SCHEMA, NewPhoto, Store


def photo(number: int, faces: int = 1) -> NewPhoto:
    rng = np.random.default_rng(number)
    points = tuple((float(x), float(y)) for x, y in rng.uniform(0, 100, (5, 2)))
    return NewPhoto(
        path=Path(f"/photos/{number}.jpg"),
        sha256=f"{number:064}",
        width=640,
        height=480,
        faces=[Face(Box(1.5, 2, 30, 40), points, 0.5)] * faces,
        embeddings=rng.normal(size=(faces, 128)).astype(np.float32),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "gallery", create=True)
    store.bind_model("default", "f" * 64, 128)
    return store


def test_what_goes_in_comes_out(store: Store) -> None:
    store.add("ann", [photo(1), photo(2, faces=2)])
    store.add("bob", [photo(3)])
    people = [(person.name, person.faces, person.photos) for person in store.people()]
    assert people == [("ann", 3, 2), ("bob", 1, 1)]
    _, numbers, vectors = store.vectors()
    assert numbers.tolist() == [1, 2, 3, 4]
    assert np.array_equal(vectors[0], photo(1).embeddings[0])
    assert np.array_equal(vectors[3], photo(3).embeddings[0])
    face = store.faces([4])[4]
    assert (face.name, face.photo, face.box) == ("bob", Path("/photos/3.jpg"), Box(1.5, 2, 30, 40))
    assert store.known([photo(2).sha256, "0"]) == {photo(2).sha256: {"ann"}}
    assert [face.number for face in store.faces_of("ann")] == [1, 2, 3]


def test_every_write_has_a_revision_and_an_event(store: Store, tmp_path: Path) -> None:
    seen = [store.revision()]
    for write in (
        lambda: store.add("ann", [photo(1)]),
        lambda: store.rename("ann", "anna"),
        lambda: store.remove("anna"),
    ):
        write()
        seen.append(store.revision())
    assert len(set(seen)) == 4
    with sqlite3.connect(tmp_path / "gallery" / "gallery.db") as raw:
        actions = [row[0] for row in raw.execute("SELECT action FROM events ORDER BY id")]
    raw.close()
    assert actions == ["model", "enroll", "rename", "remove"]


def test_a_photo_is_enrolled_once(store: Store) -> None:
    store.add("ann", [photo(1)])
    assert store.add("bob", [photo(1)]) == []
    assert [new.sha256 for new in store.add("ann", [photo(1), photo(2)])] == [photo(2).sha256]
    assert [person.name for person in store.people()] == ["ann"]


def test_removal_leaves_nothing_behind(store: Store, tmp_path: Path) -> None:
    store.add("Zaphod Beeblebrox", [photo(1)])
    store.add("bob", [photo(2)])
    assert store.remove("Zaphod Beeblebrox") == 1
    secret = photo(1).embeddings.tobytes()
    for path in (tmp_path / "gallery").iterdir():
        content = path.read_bytes()
        assert secret[:64] not in content
        assert b"Zaphod" not in content
        assert b"/photos/1.jpg" not in content
    assert store.vectors()[1].tolist() == [2]


def test_names_are_kept_apart(store: Store) -> None:
    store.add("ann", [photo(1)])
    store.add("bob", [photo(2)])
    with pytest.raises(PersonError, match="bob: this name is taken"):
        store.rename("ann", "bob")
    with pytest.raises(PersonError, match="carl: nobody of this name"):
        store.rename("carl", "dora")
    with pytest.raises(PersonError, match="carl: nobody"):
        store.remove("carl")
    with pytest.raises(PersonError, match="carl: nobody"):
        store.faces_of("carl")
    assert [person.name for person in store.people()] == ["ann", "bob"]


def test_a_failed_write_changes_nothing(store: Store) -> None:
    store.add("ann", [photo(1)])
    before = store.revision()
    bad = photo(2)
    bad.faces.append(bad.faces[0])  # more faces than embeddings
    with pytest.raises(ValueError, match="zip"):
        store.add("bob", [photo(3), bad])
    assert store.revision() == before
    assert [person.name for person in store.people()] == ["ann"]


def test_paths_need_not_be_utf8(store: Store) -> None:
    odd = Path("/photos/caf\udce9.jpg")
    original = photo(1)
    changed = NewPhoto(odd, original.sha256, 1, 1, original.faces, original.embeddings)
    store.add("ann", [changed])
    assert store.faces_of("ann")[0].photo == odd


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


def test_a_gallery_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    Store(tmp_path, create=True).close()
    with sqlite3.connect(tmp_path / "gallery.db") as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(GalleryError, match="newer facesearch"):
        Store(tmp_path, create=False)
