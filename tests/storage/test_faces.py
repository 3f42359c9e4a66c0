"""Rows of faces are written and moved with their checksums; a damaged one stays where it is."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.storage.faces import (
    enrolled_faces,
    face_numbers,
    faces_of_person,
    move_faces,
)
from facesearch.storage.people import new_person
from facesearch.storage.schema import face_is_sound, face_rows, faces
from facesearch.storage.store import Store
from tests.support.new_photos import MODEL, photo


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    """Ann has faces 1 to 3, Bob has face 4."""
    with closing(Store(where, create=True)) as store:
        store.add([photo("ann", 1), photo("ann", 2, faces=2), photo("bob", 3)], MODEL)
        yield store


def test_faces_with_all_that_curation_asks(store: Store) -> None:
    with store.database.read() as connection:
        found = faces_of_person(store.database, connection, 1)
        assert [face.number for face in found] == face_numbers(connection, 1) == [1, 2, 3]
        every = enrolled_faces(store.database, connection)
        assert [face.number for face in every] == [1, 2, 3, 4]
    wanted = photo("ann", 2, faces=2)
    assert (found[1].path, found[1].sha256, found[1].person) == (wanted.path, wanted.sha256, 1)
    assert found[1].box == wanted.faces[0].box
    assert np.array_equal(found[1].embedding, wanted.embeddings[0])


def test_faces_move_to_another_person(store: Store) -> None:
    with store.database.write("test", {}) as connection:
        carl = new_person(connection, "carl")
        move_faces(connection, [1, 4], carl)
    with store.database.read() as connection:
        assert face_numbers(connection, carl) == [1, 4]
        assert all(face_is_sound(row) for row in connection.execute(face_rows()))
    assert [(person.name, person.faces) for person in store.people()] == [
        ("ann", 2),
        ("bob", 0),
        ("carl", 2),
    ]


def test_a_damaged_face_does_not_move(store: Store) -> None:
    def move() -> None:
        with store.database.write("test", {}) as connection:
            move_faces(connection, [1, 2], 2)

    with store.database.append() as connection:
        connection.execute(faces.update().where(faces.c.id == 2).values(agreement=0.5))
    with pytest.raises(GalleryError, match="damaged: face 2 is not what was written"):
        move()
    with store.database.read() as connection:
        assert face_numbers(connection, 1) == [1, 2, 3], "nor does the other one"
        with pytest.raises(GalleryError, match="damaged: face 2"):
            faces_of_person(store.database, connection, 1)
        found = faces_of_person(store.database, connection, 1, damaged=True)
        assert [len(face.embedding) for face in found] == [128, 0, 128]
        query = sa.select(faces.c.checksum).where(faces.c.id == 2)
        assert connection.execute(query).scalar_one() is not None
