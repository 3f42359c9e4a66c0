"""What the tables hold comes back as it was given: odd paths, removed names."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from facesearch.core.uploads import Upload
from facesearch.storage.schema import (
    face_checksum,
    people,
    person_checksum,
    photo_checksum,
    removed_name,
)
from facesearch.storage.store import Store
from tests.support.new_photos import MODEL, photo


@pytest.fixture
def store(where: Path | str) -> Iterator[Store]:
    with closing(Store(where, create=True)) as store:
        yield store


@pytest.mark.parametrize("path", ["/photos/caf\udce9.jpg", "/photos/Zoë 1.jpg"])
def test_a_path_is_bytes(store: Store, path: str) -> None:
    store.add([replace(photo("ann", 1), path=Path(path))], MODEL)
    assert store.faces_of("ann")[0].photo == Path(path)


def test_a_photo_without_a_file_stays_an_upload(store: Store) -> None:
    store.add([replace(photo("ann", 1), path=Path("sent.jpg"))], MODEL)
    found = store.faces_of("ann")[0].photo
    assert isinstance(found, Upload)
    assert str(found) == "sent.jpg"


def test_the_name_of_a_removed_person(store: Store) -> None:
    store.add([photo("ann", 1)], MODEL)
    store.remove("ann")
    with store.database.read() as connection:
        assert connection.execute(sa.select(people.c.name)).scalar_one() == removed_name("ann", 1)


def test_each_field_changes_the_checksum() -> None:
    names = {person_checksum(1, "ann"), person_checksum(2, "ann"), person_checksum(1, "anm")}
    assert len(names) == 3
    photos = [
        (1, Path("/a"), "0"),
        (2, Path("/a"), "0"),
        (1, Path("/b"), "0"),
        (1, Path("/a"), "1"),
    ]
    assert len({photo_checksum(*fields) for fields in photos}) == 4
    face = (1, 2, "[0]", "[1]", 0.5, b"embedding")
    others = [(9, 2, "[0]", "[1]", 0.5, b"embedding"), (1, 9, "[0]", "[1]", 0.5, b"embedding")]
    others += [(1, 2, "[9]", "[1]", 0.5, b"embedding"), (1, 2, "[0]", "[9]", 0.5, b"embedding")]
    others += [(1, 2, "[0]", "[1]", 0.9, b"embedding"), (1, 2, "[0]", "[1]", 0.5, b"embeddinf")]
    assert len({face_checksum(*fields) for fields in [face, *others]}) == 7


def test_a_field_of_another_type_has_no_checksum() -> None:
    whole = face_checksum(1, 2, "[0]", "[1]", 0.5, b"embedding")
    text: object = "text"
    assert face_checksum(1, 2, "[0]", "[1]", text, b"embedding") == -1  # type: ignore[arg-type]
    assert face_checksum(1, 2, "[0]", "[1]", 0.5, text) == -1  # type: ignore[arg-type]
    assert whole != -1
