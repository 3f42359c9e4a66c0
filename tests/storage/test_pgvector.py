"""The database searches: the same people as the local index, after everything that can be done."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import GalleryError
from facesearch.core.face import Box, Face
from facesearch.core.templates import templates
from facesearch.gallery import doctor
from facesearch.index.person_index import PersonIndex
from facesearch.matching.calibration import calibration_of
from facesearch.storage import pgvector
from facesearch.storage.pgvector import TemplateTable
from facesearch.storage.records import ModelStamp, NewPhoto
from facesearch.vision.embedder import EmbeddedFace, Embedder
from tests.support.inside_gallery import InsideGallery as Gallery
from tests.support.invented import faces_of
from tests.support.postgres_server import Server

MODEL = ModelStamp("default", "f" * 64, 128)
FACE = Face(Box(0, 0, 40, 40), ((10, 10), (30, 10), (20, 20), (12, 30), (28, 30)), 0.9)


def photos(person: int, count: int = 2, dimension: int = 128) -> list[NewPhoto]:
    """Invented photos of an invented person."""
    vectors = faces_of(person, count)[:, :dimension]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return [
        NewPhoto(
            f"person {person}",
            Path(f"/photos/{person}/{n}.jpg"),
            f"{person:060x}{n:04x}",
            640,
            480,
            [FACE],
            vectors[n][None],
            [0.95],
        )
        for n in range(count)
    ]


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.database("gallery")


@pytest.fixture
def gallery(url: str) -> Iterator[Gallery]:
    """60 people of two photos, searched in the database."""
    with Gallery(url) as gallery:
        gallery.store.add([photo for person in range(60) for photo in photos(person)], MODEL)
        gallery.set_preference("search", "pgvector")
        yield gallery


def table(gallery: Gallery) -> TemplateTable:
    found = gallery.index.current()
    assert isinstance(found, TemplateTable)
    return found


def local(gallery: Gallery) -> PersonIndex:
    """What the local index would be now."""
    _, owners, embeddings = gallery.store.vectors()
    people, rows = np.unique(owners, return_inverse=True)
    return PersonIndex(people, templates(embeddings, rows))


def queries(count: int) -> Embeddings:
    return np.concatenate([faces_of(person, 3)[2:] for person in range(count)])


def check_same(gallery: Gallery) -> None:
    there, wanted = table(gallery), local(gallery)
    assert len(there) == len(wanted)
    assert np.array_equal(there.numbers, wanted.numbers)
    assert np.array_equal(there.templates, wanted.templates)  # to the last bit
    some = wanted.numbers[::-7]
    assert np.array_equal(there.of(some), wanted.of(some))
    for count in (1, 10, 10_000):
        numbers, distances = there.search(queries(20), count)
        wanted_numbers, wanted_distances = wanted.search(queries(20), count)
        assert np.array_equal(numbers, wanted_numbers)
        assert np.allclose(distances, wanted_distances, atol=1e-5)
        assert distances.dtype == wanted_distances.dtype


def test_the_same_answers_after_every_change(gallery: Gallery) -> None:
    check_same(gallery)
    gallery.store.add([photo for person in (60, 61) for photo in photos(person, 3)], MODEL)
    for change in (
        lambda: None,
        lambda: gallery.remove("person 3"),
        lambda: gallery.merge("person 4", "person 5"),
        lambda: gallery.split("person 60", [gallery["person 60"].faces[0].number], "new"),
        lambda: gallery.rename("person 6", "renamed"),
        lambda: gallery.undo(),
        lambda: gallery.undo(),
        lambda: gallery.purge("person 7"),
        lambda: gallery.store.add(photos(7), MODEL),
        lambda: gallery.undo(),
    ):
        change()
        check_same(gallery)


def test_a_write_that_fails_leaves_the_templates(gallery: Gallery) -> None:
    def write() -> None:
        with gallery.store.database.write("test", {}) as connection:
            connection.exec_driver_sql("DELETE FROM faces WHERE person = 9")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    check_same(gallery)


def test_it_can_be_chosen_and_left_at_any_time(postgres: Server) -> None:
    with Gallery(postgres.database("gallery")) as gallery:
        gallery.set_preference("search", "pgvector")  # before the first face
        assert len(table(gallery)) == 0
        assert table(gallery).templates.shape == (0, 1)
        assert table(gallery).search(queries(2), 5)[0].shape == (2, 0)
        gallery.store.add(photos(0) + photos(1), MODEL)
        check_same(gallery)
        gallery.set_preference("search", "local")
        assert isinstance(gallery.index.current(), PersonIndex)
        assert gallery.info().index == "current"
        query = "SELECT count(*) FROM pg_class WHERE relname LIKE 'person\\_templates%%'"
        with gallery.store.database.read() as connection:
            assert connection.exec_driver_sql(query).scalar_one() == 0
        gallery.store.add(photos(2), MODEL)
        gallery.set_preference("search", "pgvector")
        assert not (gallery.folder / "vectors.faiss").exists()
        check_same(gallery)
        for person in range(3):
            gallery.purge(f"person {person}")
        assert len(table(gallery)) == 0
        gallery.store.add(photos(4, dimension=64), ModelStamp("small", "0" * 64, 64))
        assert table(gallery).templates.shape == (1, 64)


def test_a_large_gallery_is_searched_by_its_graph(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = [photo for person in range(60, 600) for photo in photos(person, 1)]
    gallery.store.add(new, MODEL)
    monkeypatch.setattr(pgvector, "EXACT", 0)
    plan = f"EXPLAIN SELECT person FROM {pgvector.TABLE} ORDER BY template <-> "
    plan += "(SELECT template FROM person_templates LIMIT 1) LIMIT 5"
    with gallery.store.database.read() as connection:
        for setting in pgvector._how(600, 5):
            connection.execute(sa.text(f"SET LOCAL {setting}"))
        lines = connection.execute(sa.text(plan)).scalars().all()
    assert any("person_templates_nearest" in line for line in lines)
    asked, wanted = queries(200), local(gallery)
    numbers, distances = table(gallery).search(asked, 10)
    right, right_distances = wanted.search(asked, 10)
    first = numbers[:, 0] == right[:, 0]
    assert first.mean() >= 0.97
    assert np.allclose(distances[first, 0], right_distances[first, 0], atol=1e-5)
    assert (np.diff(distances, axis=1) >= 0).all()
    with gallery.store.database.write("test", {}) as connection:
        connection.exec_driver_sql("UPDATE people SET removed = '2026' WHERE id %% 2 = 0")
    # what was removed is in nobody's way
    assert table(gallery).search(asked, 50)[0].shape == (200, 50)
    assert (table(gallery).search(asked, 50)[0] % 2 == 1).all()


def test_a_gallery_that_is_searched_while_it_changes(
    gallery: Gallery, url: str, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = calibration_of(embedder.model)
    seen = EmbeddedFace(FACE, faces_of(5, 3)[2], 0.95, "", None)
    near = gallery.near(seen, 5, calibration)
    assert near[0].name == "person 5"
    search = TemplateTable.search

    def late(self: TemplateTable, query: Embeddings, count: int, *, exact: bool) -> object:
        monkeypatch.setattr(TemplateTable, "search", search)
        found = search(self, query, count, exact=exact)
        with Gallery(url) as other:
            other.remove("person 5")
        return found

    monkeypatch.setattr(TemplateTable, "search", late)
    assert "person 5" not in [p.name for p in gallery.near(seen, 5, calibration)]
    with Gallery(url) as other:
        other.undo()
    assert gallery.near(seen, 5, calibration) == near


def test_damage_is_answered_with_an_error(gallery: Gallery, url: str, embedder: Embedder) -> None:
    calibration = calibration_of(embedder.model)
    seen = EmbeddedFace(FACE, faces_of(5, 3)[2], 0.95, "", None)

    def harm(statement: str) -> None:
        with gallery.store.database.engine.alone(1) as connection:
            connection.exec_driver_sql(statement)

    other = "(SELECT template FROM person_templates WHERE person = 9)"
    harm(f"UPDATE person_templates SET template = {other} WHERE person = 6")  # of person 5
    with pytest.raises(GalleryError, match="not those that the index was made from"):
        gallery.near(seen, 60, calibration)
    found = [f for f in doctor.examine(url) if f.kind != "photo gone"]
    assert [(f.kind, f.severity) for f in found] == [("index", "error")]
    assert [f.repaired for f in doctor.examine(url, repair=True) if f.kind == "index"] == [True]
    assert gallery.near(seen, 60, calibration)[0].name == "person 5"
    check_same(gallery)
    harm("UPDATE faces SET embedding = set_byte(embedding, 9, 77) WHERE id = 1")
    with pytest.raises(GalleryError, match="damaged: face 1 is not what was written"):
        gallery.store.add([photo for photo in photos(0, 3) if photo.sha256[-1] == "2"], MODEL)
    assert gallery.person("person 0").faces == 2


def test_without_the_extension(
    gallery: Gallery, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pgvector, "EXTENSION", "no_such_extension")
    with Gallery(postgres.database("gallery")) as other:
        other.store.add(photos(0), MODEL)
        with pytest.raises(GalleryError, match="has no pgvector and cannot create it"):
            other.set_preference("search", "pgvector")
        assert other.info().index == "to be rebuilt"
