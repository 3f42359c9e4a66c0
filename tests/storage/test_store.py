"""The database keeps what it was given, through crashes, other writers, and its own upgrades."""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import sqlalchemy as sa

from facesearch.core.errors import GalleryError, PersonError
from facesearch.core.face import Box, Face
from facesearch.gallery.purge import purge
from facesearch.storage.records import ModelStamp, NewPhoto
from facesearch.storage.schema import events
from facesearch.storage.store import Store

MODEL = ModelStamp("default", "f" * 64, 128)


def photo(name: str, number: int, faces: int = 1) -> NewPhoto:
    rng = np.random.default_rng(number)
    points = tuple((float(x), float(y)) for x, y in rng.uniform(0, 100, (5, 2)))
    return NewPhoto(
        name=name,
        path=Path(f"/photos/{number}.jpg"),
        sha256=f"{number:064}",
        width=640,
        height=480,
        faces=[Face(Box(1.5, 2, 30, 40), points, 0.5)] * faces,
        embeddings=rng.normal(size=(faces, 128)).astype(np.float32),
        flip_consistencies=[0.9 + number / 100] * faces,
    )


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    """On either engine."""
    with closing(Store(where, create=True)) as store:
        yield store


@pytest.fixture
def file_store(tmp_path: Path) -> Store:
    return Store(tmp_path / "gallery", create=True)


def test_what_goes_in_comes_out(store: Store) -> None:
    assert store.model() is None
    store.add([photo("ann", 1), photo("ann", 2, faces=2), photo("bob", 3)], MODEL)
    assert store.model() == MODEL
    people = [(person.name, person.faces, person.photos) for person in store.people()]
    assert people == [("ann", 3, 2), ("bob", 1, 1)]
    _, people_of, vectors = store.vectors()
    assert people_of.tolist() == [1, 1, 1, 2]
    assert np.array_equal(vectors[0], photo("ann", 1).embeddings[0])
    assert np.array_equal(vectors[3], photo("bob", 3).embeddings[0])
    samples = store.person_faces([1, 2, 99])
    assert samples.keys() == {1, 2}
    assert samples[1].photos == [Path("/photos/1.jpg"), *[Path("/photos/2.jpg")] * 2]
    assert np.array_equal(samples[1].embeddings, vectors[:3])
    assert (samples[1].name, samples[1].flip_consistency) == ("ann", pytest.approx(0.92))
    (face,) = store.faces_of("bob")
    assert (face.name, face.photo, face.box) == ("bob", Path("/photos/3.jpg"), Box(1.5, 2, 30, 40))
    second = photo("ann", 2).sha256
    assert store.known([second, "0"]) == {second: {"ann"}}
    assert [face.number for face in store.faces_of("ann")] == [1, 2, 3]


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


def test_a_photo_is_enrolled_once(store: Store) -> None:
    store.add([photo("ann", 1)], MODEL)
    assert store.add([photo("bob", 1)], MODEL) == []
    fresh = store.add([photo("ann", 1), photo("ann", 2)], MODEL)
    assert [new.sha256 for new in fresh] == [photo("ann", 2).sha256]
    assert [person.name for person in store.people()] == ["ann"]


def test_faces_of_one_photo_are_enrolled_one_by_one(store: Store) -> None:
    first = photo("ann", 1)
    more = photo("bob", 1, faces=2)
    there, other = Face(Box(4, 3, 31, 40), (), 0.5), Face(Box(60, 2, 90, 40), (), 0.5)
    store.add([first], MODEL)
    (added,) = store.add([replace(more, faces=[there, other], chips=[b"a", b"b"])], MODEL)
    assert (added.faces, added.chips) == ([other], [b"b"])
    assert np.array_equal(added.embeddings, more.embeddings[1:])
    assert [face.box for face in store.faces_of("bob")] == [other.box]
    assert store.known([first.sha256]) == {first.sha256: {"ann", "bob"}}
    assert store.photo_count() == 1


def test_writers_who_race_for_a_face_enrol_it_once(where: Path | str) -> None:
    Store(where, create=True).close()
    together = Barrier(4)

    def enrol(name: str) -> int:
        with closing(Store(where, create=False)) as store:
            together.wait()
            return len(store.add([photo(name, number) for number in range(5)], MODEL))

    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(enrol, ("ann", "bob", "carl", "dora")))
    assert sorted(counts) == [0, 0, 0, 5]
    with closing(Store(where, create=False)) as store:
        assert [person.faces for person in store.people()] == [5]


def test_removed_people_are_in_no_answer_and_their_photos_are_free(store: Store) -> None:
    store.add([photo("ann", 1), photo("bob", 2)], MODEL)
    assert store.remove("ann").faces == 1
    assert store.vectors()[1].tolist() == [2]
    assert [person.name for person in store.people()] == ["bob"]
    assert store.enrolled_content_keys(np.zeros(1, np.uint64)).tolist() == [
        0
    ]  # the photo of one, not of both
    fresh = store.add([photo("ann", 1), photo("carl", 2)], MODEL)
    assert [new.sha256 for new in fresh] == [photo("ann", 1).sha256]
    assert store.person_faces([1, 2, 3]).keys() == {2, 3}


def test_names_are_kept_apart(store: Store) -> None:
    store.add([photo("ann", 1), photo("bob", 2)], MODEL)
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
    store.add([photo("ann", 1)], MODEL)
    before = store.revision()
    bad = photo("bob", 2)
    bad.faces.append(bad.faces[0])  # more faces than embeddings
    with pytest.raises(ValueError, match="zip"):
        store.add([photo("bob", 3), bad], MODEL)
    assert store.revision() == before
    assert [person.name for person in store.people()] == ["ann"]


def test_paths_need_not_be_utf8(store: Store) -> None:
    odd = Path("/photos/caf\udce9.jpg")
    store.add([replace(photo("ann", 1), path=odd)], MODEL)
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


def test_two_models_do_not_mix(store: Store) -> None:
    store.add([photo("ann", 1)], MODEL)
    other = ModelStamp("other", "0" * 64, 64)
    with pytest.raises(GalleryError, match="another model, 'default'"):
        store.add([photo("bob", 2)], other)
    assert store.model() == MODEL
    store.remove("ann")
    assert store.model() == MODEL  # she can be brought back
    purge(store.database, "ann")
    assert store.model() is None
    store.add([photo("bob", 2)], other)  # nobody is left whose faces could be mixed up
    assert store.model() == other


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
