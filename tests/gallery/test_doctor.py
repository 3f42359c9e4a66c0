"""The doctor finds what is wrong, says it, and puts it right without losing a sound face."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import GalleryError
from facesearch.core.face import Box
from facesearch.gallery import curation, rejections
from facesearch.gallery.doctor import Finding, examine
from facesearch.index.person_index import PersonIndex
from facesearch.storage import audit_log, preferences, recovery
from facesearch.storage.cache_file import INDEX, STRANGERS
from facesearch.storage.database import Database
from facesearch.storage.records import NewPhoto
from facesearch.storage.schema import SCHEMA
from facesearch.storage.store import Store
from robustness import flips
from tests.support.inside_gallery import InsideGallery as Gallery

PEOPLE, PHOTOS = 30, 3


@pytest.fixture(autouse=True)
def for_us_alone() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def new_photo(folder: Path, person: int, number: int) -> NewPhoto:
    """An invented photo that is there as a file."""
    path = folder / f"{person}-{number}.jpg"
    path.write_text(f"invented {person} {number}")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(flips.photo(person, number), path=path, sha256=sha256)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound gallery of 30 people with three photos each."""
    photos = tmp_path / "photos"
    photos.mkdir()
    with closing(Store(tmp_path / "gallery", create=True)) as store:
        asked = [new_photo(photos, who, number) for who in range(PEOPLE) for number in range(3)]
        store.add(asked, flips.MODEL)
    with Gallery(tmp_path / "gallery") as gallery:
        gallery.prepare()
    return tmp_path / "gallery"


def damage(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "gallery.db", isolation_level=None)) as raw:
        for statement in statements:
            raw.execute(statement)
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def counts(folder: Path) -> dict[str, int]:
    with Gallery(folder) as gallery:
        gallery.prepare()
        assert len(gallery.index.current()) <= len(gallery.people())
        return {person.name: person.faces for person in gallery.people()}


def kinds(found: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.kind, finding.severity) for finding in found]


def stale_index(finding: Finding) -> bool:
    return (finding.kind, finding.severity) == ("index", "note")


ALL = {f"Person {person}": PHOTOS for person in range(PEOPLE)}


def test_a_sound_gallery_has_no_findings(folder: Path) -> None:
    before = (folder / "gallery.db").read_bytes()
    assert examine(folder, hashes=True) == []
    assert examine(folder, hashes=True, repair=True) == []
    assert (folder / "gallery.db").read_bytes() == before


def test_an_empty_gallery_is_sound(tmp_path: Path) -> None:
    Store(tmp_path / "gallery", create=True).close()
    assert examine(tmp_path / "gallery") == []
    with pytest.raises(GalleryError, match="no gallery here yet"):
        examine(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("statement", "kind", "said", "after"),
    [
        (
            "UPDATE people SET name = 'Persom 3' WHERE id = 4",
            "damaged person",
            "not the name that was written",
            {"Person 3": 0, "Persom 3 (damaged 4)": 3},
        ),
        (
            "UPDATE people SET removed = 0 WHERE id = 4",
            "damaged person",
            "the name and the date of removal disagree",
            {},
        ),
        (
            "UPDATE photos SET sha256 = '0' || substr(sha256, 2) WHERE id = 2",
            "damaged photo",
            "not the path or the hash that was written",
            {},
        ),
        (
            "UPDATE photos SET checksum = 7 WHERE id = 2",
            "damaged photo",
            "not the path or the hash that was written",
            {},
        ),
        (
            "UPDATE faces SET person = 9 WHERE id = 2",
            "damaged face",
            "not what was written",
            {"Person 0": 2},
        ),
        (
            "UPDATE faces SET embedding = zeroblob(64) WHERE id = 2",
            "damaged face",
            "not what was written",
            {"Person 0": 2},
        ),
        (
            "UPDATE faces SET box = '[1.5, 2, 31, 40' WHERE id = 2",
            "damaged face",
            "not what was written",
            {"Person 0": 2},
        ),
        (
            "UPDATE faces SET agreement = 'much' WHERE id = 2",
            "damaged face",
            "not what was written",
            {"Person 0": 2},
        ),
        (
            "UPDATE settings SET value = '17' WHERE key = 'dimension'",
            "settings",
            "the embeddings have 16 numbers",
            {},
        ),
        (
            "DELETE FROM people WHERE id = 5",
            "face without a person",
            "person 5 is unknown",
            {"Person 4": 0, "recovered 5": 3},
        ),
        ("DELETE FROM photos WHERE id = 2", "damaged face", "is unknown", {"Person 0": 2}),
        ("INSERT INTO chips (face, image) VALUES (999, x'00')", "chip of nobody", "face 999", {}),
        (
            "INSERT INTO rejections (id, person, sha256, box, embedding, at) "
            "VALUES (1, 999, '', '[]', x'00', '')",
            "rejection of nobody",
            "person 999",
            {},
        ),
        ("DELETE FROM faces WHERE id = 2", "photo without faces", "no face", {"Person 0": 2}),
    ],
)
def test_each_kind_of_damage_is_said_and_put_right(
    folder: Path, statement: str, kind: str, said: str, after: dict[str, int]
) -> None:
    damage(folder, "PRAGMA foreign_keys = OFF", statement)
    found = [finding for finding in examine(folder) if finding.kind == kind]
    assert found
    assert said in found[0].what
    assert found[0].repair
    assert not found[0].repaired
    assert all(finding.repaired for finding in examine(folder, repair=True))
    assert examine(folder) == []
    assert counts(folder) == {name: faces for name, faces in (ALL | after).items() if faces}


def test_a_damaged_face_is_noted_without_face_data(folder: Path) -> None:
    damage(folder, "UPDATE faces SET embedding = zeroblob(64) WHERE id = 5")
    photo = folder.with_name("photos") / "1-1.jpg"
    (finding,) = [one for one in examine(folder, repair=True) if one.severity == "error"]
    assert f"enrol {photo} again as 'Person 1'" in finding.repair
    (notes,) = folder.glob("doctor-*.jsonl")
    assert [json.loads(line) for line in notes.read_text().splitlines()] == [
        {
            "face": 5,
            "name": "Person 1",
            "photo": str(photo),
            "box": [1.5, 2, 30, 40],
            "reason": "not what was written",
        }
    ]
    assert notes.stat().st_mode & 0o777 == 0o600
    with closing(Store(folder, create=False)) as store:
        again = [new_photo(photo.parent, 1, 1)]
        assert len(store.add(again, flips.MODEL)) == 1
    assert counts(folder) == ALL


def test_the_last_face_of_a_person(folder: Path) -> None:
    damage(folder, "UPDATE faces SET embedding = zeroblob(64) WHERE person = 5")
    examine(folder, repair=True)
    left = examine(folder)
    assert kinds(left) == [("no faces", "warning")]  # somebody must enrol or remove them
    assert counts(folder) == ALL | {"Person 4": 0}


@pytest.mark.parametrize("vector", [np.zeros(16), np.full(16, np.nan), np.ones(16), np.ones(15)])
def test_an_embedding_that_is_none(folder: Path, vector: np.ndarray) -> None:
    """Even with the right checksum."""
    with closing(Store(folder, create=False)) as store:
        photo = new_photo(folder.with_name("photos"), 50, 0)
        bad = replace(photo, embeddings=vector.astype(np.float32)[None])
        store.add([bad], flips.MODEL)
    found = [finding for finding in examine(folder) if not stale_index(finding)]
    assert kinds(found) == [("damaged face", "error")]
    assert "its embedding is" in found[0].what
    examine(folder, repair=True)
    assert kinds(examine(folder)) == [("no faces", "warning")]
    assert counts(folder) == ALL | {"Person 50": 0}


def test_an_index_of_something_else(folder: Path) -> None:
    found = PersonIndex.load(folder / INDEX)
    assert found is not None
    index, state = found
    whole = (folder / INDEX).read_bytes()
    moved = np.roll(index.templates, 1, axis=0)
    for wrong in (
        PersonIndex(index.numbers, moved),
        PersonIndex(index.numbers[1:], index.templates[1:]),
        PersonIndex(np.empty(0, np.int64), index.templates[:0]),
    ):
        wrong.save(folder / INDEX, state)
        assert kinds(examine(folder)) == [("index", "error")]
        assert [finding.repaired for finding in examine(folder, repair=True)] == [True]
        assert (folder / INDEX).read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        (lambda whole: whole[:-1], "warning"),
        (lambda whole: whole[: len(whole) // 2], "warning"),
        (lambda whole: b"", "warning"),
        (lambda whole: bytes([whole[0] ^ 1]) + whole[1:], "warning"),
    ],
)
def test_a_file_of_the_index_that_is_none(folder: Path, change, severity: str) -> None:  # type: ignore[no-untyped-def]
    whole = (folder / INDEX).read_bytes()
    changed = change(whole)
    (folder / INDEX).unlink()
    (folder / INDEX).write_bytes(changed)
    assert kinds(examine(folder)) == [("index", severity)]
    assert [finding.repaired for finding in examine(folder, repair=True)] == [True]
    assert (folder / INDEX).read_bytes() == whole
    assert examine(folder) == []


def test_files_that_do_not_belong_there(folder: Path) -> None:
    (folder / f"{INDEX}.new").write_text("half")
    (folder / STRANGERS).write_text("damaged")
    (folder / recovery.WORK).mkdir()
    (folder / recovery.WORK / "gallery.db").touch()
    (folder / "notes.txt").write_text("the user's own")
    (folder / INDEX).chmod(0o644)
    (folder / "lock").touch()  # that nobody holds
    found = examine(folder)
    assert kinds(found) == [
        ("cache", "warning"),
        ("leftover", "note"),
        ("leftover", "note"),
        ("mode", "note"),
    ]
    assert all(finding.repaired for finding in examine(folder, repair=True))
    assert examine(folder) == []
    assert (folder / "notes.txt").exists()


def test_photos_that_are_gone_or_changed(folder: Path) -> None:
    photos = folder.with_name("photos")
    (photos / "3-1.jpg").unlink()
    (photos / "4-1.jpg").write_text("another picture")
    assert kinds(examine(folder)) == [("photo gone", "note")]
    found = examine(folder, hashes=True, repair=True)
    assert kinds(found) == [("photo gone", "note"), ("photo changed", "note")]
    assert not any(finding.repaired for finding in found)
    assert str(photos / "3-1.jpg") in found[0].what
    assert counts(folder) == ALL


def pages_of(folder: Path, table: str) -> tuple[int, list[int]]:
    """The size of a page, and the leaves of a table, whose first byte is 13."""
    content = (folder / "gallery.db").read_bytes()
    size = int.from_bytes(content[16:18], "big")
    with closing(sqlite3.connect(folder / "gallery.db")) as raw:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        ((root,),) = raw.execute(query, [table]).fetchall()
    at = (root - 1) * size
    if content[at] == 13:
        return size, [root]
    cells = int.from_bytes(content[at + 3 : at + 5], "big")
    pointers = [int.from_bytes(content[at + 12 + 2 * n :][:2], "big") for n in range(cells)]
    children = [int.from_bytes(content[at + pointer :][:4], "big") for pointer in pointers]
    return size, [*children, int.from_bytes(content[at + 8 : at + 12], "big")]


@pytest.mark.parametrize("which", ["first", "middle", "last", "two"])
def test_what_can_be_read_of_a_malformed_database_is_kept(folder: Path, which: str) -> None:
    size, leaves = pages_of(folder, "faces")
    assert len(leaves) > 4
    middle = len(leaves) // 2
    spoiled = {"first": [0], "middle": [middle], "last": [-1], "two": [1, middle]}[which]
    content = bytearray((folder / "gallery.db").read_bytes())
    lost = 0
    for place in spoiled:
        at = (leaves[place] - 1) * size
        lost += int.from_bytes(content[at + 3 : at + 5], "big")
        content[at : at + size] = b"?" * size
    (folder / "gallery.db").write_bytes(content)
    (folder / INDEX).unlink()
    with pytest.raises(GalleryError, match="damaged"), Gallery(folder) as gallery:
        gallery.prepare()
    found = examine(folder)
    assert found[0].kind == "malformed"
    assert (folder / "gallery.db").read_bytes() == content  # only looked at
    found = examine(folder, repair=True)
    assert all(finding.repaired for finding in found if finding.severity == "error"), found
    again = [finding for finding in found if finding.kind == "photo without faces"]
    assert len(again) == lost
    assert sum(counts(folder).values()) == PEOPLE * PHOTOS - lost
    assert all(finding.kind == "no faces" for finding in examine(folder))
    assert (folder / "gallery.db.damaged").read_bytes() == content
    assert not (folder / recovery.WORK).exists()


def test_damaged_indexes_of_tables_lose_nothing(folder: Path) -> None:
    content = bytearray((folder / "gallery.db").read_bytes())
    for name in ("faces_by_person", "sqlite_autoindex_people_1", "sqlite_autoindex_photos_1"):
        size, leaves = pages_of(folder, name)
        at = (leaves[0] - 1) * size
        content[at + 8 : at + 200] = bytes(192)
    (folder / "gallery.db").write_bytes(content)
    assert examine(folder)[0].kind == "malformed"
    examine(folder, repair=True)
    assert counts(folder) == ALL
    assert examine(folder) == []


def test_a_database_cut_short(folder: Path) -> None:
    """Whatever is left of it: repaired, or refused and unharmed."""
    whole = (folder / "gallery.db").read_bytes()
    ends = set()
    for share in (0, 0.05, 0.5, 0.95):
        cut = whole[: int(len(whole) * share)]
        (folder / "gallery.db").write_bytes(cut)
        for left in ("gallery.db-wal", "gallery.db-shm", "gallery.db.damaged"):
            (folder / left).unlink(missing_ok=True)
        first, *_ = examine(folder, repair=True)
        ends.add(first.repaired)
        assert first.kind == "malformed"
        if first.repaired:
            for name, faces in counts(folder).items():
                assert faces <= (3 if name.startswith("recovered") else ALL[name])
        else:
            assert (folder / "gallery.db").read_bytes() == cut
            assert "put back a copy" in first.what
    assert ends == {True, False}


def test_nonsense_is_left_alone(folder: Path) -> None:
    (folder / "gallery.db").write_bytes(b"?" * 20_000)
    first, *_ = examine(folder, repair=True)
    assert (first.kind, first.repaired) == ("malformed", False)
    assert (folder / "gallery.db").read_bytes() == b"?" * 20_000


def test_a_version_that_was_damaged(folder: Path) -> None:
    damage(folder, "UPDATE alembic_version SET version_num = '0002'")
    with pytest.raises(GalleryError, match="duplicate column"):
        Database(folder, create=False)
    first, *_ = examine(folder, repair=True)
    assert (first.kind, first.repaired) == ("malformed", True)
    assert counts(folder) == ALL


def test_a_newer_gallery_is_not_repaired(folder: Path) -> None:
    newer = f"{int(SCHEMA) + 1:04}"
    damage(folder, f"UPDATE alembic_version SET version_num = '{newer}'")
    before = (folder / "gallery.db").read_bytes()
    with pytest.raises(GalleryError, match="newer facesearch"):
        examine(folder, repair=True)
    assert (folder / "gallery.db").read_bytes() == before


def test_an_older_gallery_is_upgraded_and_examined(tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    folder.mkdir()
    shutil.copyfile(Path(__file__).parents[1] / "galleries" / "0001.db", folder / "gallery.db")
    found = examine(folder)
    assert {finding.kind for finding in found} == {"photo gone"}


def test_a_gallery_that_cannot_be_written_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(folder, "UPDATE faces SET embedding = zeroblob(64) WHERE id = 5")
    before = (folder / "gallery.db").read_bytes()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    assert kinds(examine(folder)) == [("damaged face", "error")]
    with pytest.raises(GalleryError, match="cannot be written to"):
        examine(folder, repair=True)
    assert (folder / "gallery.db").read_bytes() == before


def test_an_index_that_is_behind_is_nothing_wrong(folder: Path) -> None:
    with Gallery(folder) as gallery:
        gallery.merge("Person 0", "Person 1")
    assert examine(folder) == []
    (folder / INDEX).unlink()
    assert examine(folder) == []


def flip(folder: Path, table: str, column: str, key: str, found: bytes, changed: bytes) -> None:
    """Damage one field of one row in the file itself, as a disk does: no trigger sees it."""
    assert len(found) == len(changed)
    assert bin(int.from_bytes(found) ^ int.from_bytes(changed)).count("1") == 1
    with closing(sqlite3.connect(folder / "gallery.db")) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((value,),) = raw.execute(f"SELECT {column} FROM {table} WHERE {key}").fetchall()
    stored = value if isinstance(value, bytes) else value.encode()
    content = (folder / "gallery.db").read_bytes()
    assert content.count(stored) == 1
    assert stored.count(found) == 1
    (folder / "gallery.db").write_bytes(content.replace(stored, stored.replace(found, changed)))


@pytest.fixture
def told(folder: Path) -> Path:
    """The same with a rejection, a chip, terms, a change, a setting and a search."""
    face = flips.photo(1, 0)
    with closing(Store(folder, create=False)) as store:
        database = store.database
        box = Box(1.5, 2, 30, 41)
        rejections.reject(database, "Person 0", face.sha256, box, face.embeddings[0])
        curation.set_terms(database, "Person 2", expires="2130-01-01", consent="by letter")
        store.rename("Person 3", "Renamed")
        preferences.prefer(database, "audit", "on")
        audit_log.record(database, "identify", 1, ["Person 4"])
        new = replace(flips.photo(50, 0), chips=[b"RIFF a chip, but not a picture"])
        store.add([new], flips.MODEL)
    assert kinds(examine(folder)) == [("photo gone", "note")]  # an invented one
    return folder


DAMAGE = {
    "rejections": ("box", "person = 1", b"[1.5", b"[5.5"),
    "people": ("expires", "expires IS NOT NULL", b"2130", b"2030"),
    "events": ("detail", "action = 'rename'", b'"old"', b'"ol$"'),
    "searches": ("detail", "1", b"identify", b"idenuify"),
    "settings": ("value", "key = 'fingerprint'", b"f" * 64, b"f" * 63 + b"g"),
    "chips": ("image", "1", b"RIFF a", b"RIFF c"),
}


def asked(folder: Path, what: str) -> object:
    """What the damaged row would have told."""
    with Gallery(folder) as gallery:
        number = gallery["Person 50"].faces[0].number if what == "chips" else 0
        return {
            "rejections": gallery.rejections,
            "people": lambda: gallery.expired(date(2100, 1, 1)),
            "events": gallery.undo,
            "searches": gallery.searches,
            "settings": gallery.info,
            "chips": lambda: gallery.picture(number),
        }[what]()


@pytest.mark.parametrize("table", DAMAGE)
def test_a_flipped_bit_beside_the_faces_is_said_and_put_right(told: Path, table: str) -> None:
    flip(told, table, *DAMAGE[table])
    with pytest.raises(GalleryError, match=r"damaged: .* is not what was written"):
        asked(told, table)
    if table in ("events", "searches"):  # a name that may be in them would stay
        with Gallery(told) as gallery, pytest.raises(GalleryError, match="not what was written"):
            gallery.purge("Person 9")
    first, *_ = examine(told)
    assert (first.kind, first.severity) == (f"damaged {table}", "error")
    assert examine(told, repair=True)[0].repaired
    assert [finding.kind for finding in examine(told)] == ["photo gone"]
    with Gallery(told) as gallery:
        known = {"rejections": gallery.rejections(), "people": gallery.expired(date(2200, 1, 1))}
        assert [len(each) for each in known.values()] == [table != "rejections", table != "people"]
        undoable = {change.action for change in gallery.changes()}
        gone = {"events": {"rename"}, "rejections": {"reject"}}.get(table, set())
        assert undoable == {"rename", "reject"} - gone
        assert [search.names for search in gallery.searches()] == [
            ["Person 4"] if table != "searches" else []
        ]
        assert gallery.info().fingerprint == ("(damaged)" if table == "settings" else "f" * 64)
        assert gallery.info().chips == (table != "chips")
        assert gallery.purge("Person 9") == 3


def test_a_setting_whose_key_was_damaged_is_missed(told: Path) -> None:
    with closing(sqlite3.connect(told / "gallery.db")) as raw:
        raw.execute("UPDATE settings SET key = 'audiu' WHERE key = 'audit'")
        raw.commit()
    with Gallery(told) as gallery, pytest.raises(GalleryError, match="the setting audiu"):
        gallery.info()


def test_a_box_that_is_none_is_said_everywhere(folder: Path) -> None:
    damage(folder, "UPDATE faces SET box = '{1.5, 2, 30, 40]' WHERE id = 1")
    with Gallery(folder) as gallery:
        for ask in (
            lambda: gallery["Person 0"],
            lambda: gallery["Person 0"].faces,
            lambda: gallery.merge("Person 1", "Person 0"),
        ):
            with pytest.raises(GalleryError, match="face 1 is not what was written"):
                ask()
        assert gallery.purge("Person 0") == 3
