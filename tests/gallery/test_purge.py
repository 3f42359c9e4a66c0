"""After a purge no byte of the person is in the gallery's folder."""

import json
import sqlite3
import unicodedata
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import GalleryError, PersonError
from facesearch.core.templates import templates
from facesearch.gallery import purge
from facesearch.gallery.rejections import reject
from facesearch.storage import database as module
from tests.support.inside_gallery import InsideGallery as Gallery
from tests.support.invented_photos import MODEL, photo

NAME = "Zaphod Beeblebrox"


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(tmp_path / "gallery") as gallery:
        yield gallery


def enrol(gallery: Gallery, name: str, *numbers: int) -> None:
    gallery.store.add([photo(name, number) for number in numbers], MODEL)
    gallery.index.current()


def written(name: str) -> list[bytes]:
    """A name as it may be in a file: UTF-8, composed or not, UTF-16, and escaped as JSON."""
    forms = {unicodedata.normalize(form, name) for form in ("NFC", "NFD")}
    return [
        how
        for form in forms
        for how in (form.encode(), form.encode("utf-16-le"), json.dumps(form).strip('"').encode())
    ]


def secrets(*numbers: int) -> list[bytes]:
    """Of invented photos the embeddings, also in parts, the paths, the hashes and the chips."""
    found = []
    for number in numbers:
        seen = photo("", number)
        raw = seen.embeddings[0].tobytes()
        found += [raw[at : at + 16] for at in range(0, len(raw), 64)]
        found += [str(seen.path).encode(), seen.sha256.encode(), chip(number)[:32]]
    return found


def chip(number: int) -> bytes:
    return np.random.default_rng([number, 7]).bytes(9000)


def keep_chips(gallery: Gallery) -> None:
    with closing(sqlite3.connect(gallery.folder / "gallery.db", isolation_level=None)) as raw:
        query = "SELECT faces.id, sha256 FROM faces JOIN photos ON photos.id = faces.photo"
        for face, sha256 in raw.execute(query).fetchall():
            raw.execute(
                "INSERT OR IGNORE INTO chips (face, image) VALUES (?, ?)",
                (face, chip(int(sha256, 16))),
            )


def log_search(gallery: Gallery, *names: str) -> None:
    with closing(sqlite3.connect(gallery.folder / "gallery.db", isolation_level=None)) as raw:
        detail = json.dumps({"command": "identify", "names": names})
        raw.execute("INSERT INTO searches (at, detail) VALUES ('2026-01-01', ?)", (detail,))


def asked(gallery: Gallery, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(gallery.folder / "gallery.db")) as raw:
        return raw.execute(query).fetchall()


def check_nothing_is_left(gallery: Gallery, needles: list[bytes]) -> None:
    files = [path for path in gallery.folder.rglob("*") if path.is_file()]
    assert gallery.folder / "gallery.db" in files
    for path in files:
        content = path.read_bytes()
        for needle in needles:
            assert needle not in content, (path.name, needle)


def there(gallery: Gallery, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in gallery.folder.iterdir())


@pytest.mark.parametrize("name", [NAME, "Zoë Ångström-Łukasz", "王小明 😀", 'O"Neil\\ {x}'])
@pytest.mark.parametrize("before", ["nothing", "removed", "removed and undone"])
def test_no_byte_is_left(gallery: Gallery, name: str, before: str) -> None:
    enrol(gallery, "bob", 4, 5)
    enrol(gallery, name, 1, 2, 3)
    keep_chips(gallery)
    log_search(gallery, "bob", name)
    gallery.set_terms(name, consent=f"asked {name} on paper")
    if before != "nothing":
        gallery.remove(name)
    if before == "removed and undone":
        gallery.undo()
    needles = written(name) + secrets(1, 2, 3)
    for needle in (name.encode(), *secrets(1)):
        assert there(gallery, needle)  # else this test could not fail
    assert gallery.purge(name) == 3
    check_nothing_is_left(gallery, needles)
    assert [(person.name, person.faces) for person in gallery.people()] == [("bob", 2)]
    assert asked(gallery, "SELECT count(*) FROM chips") == [(2,)]
    assert asked(gallery, "PRAGMA integrity_check") == [("ok",)]
    (detail,) = (json.loads(str(row[0])) for row in asked(gallery, "SELECT detail FROM searches"))
    assert detail == {"command": "identify", "names": ["bob", "(purged)"]}
    assert gallery.store.person_faces([1])[1].name == "bob"
    assert gallery.info().index == "current"


def test_the_template_in_the_caches_goes_too(gallery: Gallery) -> None:
    enrol(gallery, "bob", 4)
    enrol(gallery, NAME, 1, 2)
    vectors = np.concatenate([photo("", n).embeddings for n in (1, 2)])
    template = templates(vectors, np.zeros(2, np.int64)).tobytes()[:64]
    index = gallery.folder / "vectors.faiss"
    assert template in index.read_bytes()
    for name in ("vectors.faiss.new", "strangers.bin", "strangers.bin.new"):
        (gallery.folder / name).write_bytes(template)
    gallery.remove(NAME)
    check_nothing_is_left(gallery, [template])
    assert index.exists()
    gallery.undo()
    assert template in index.read_bytes()
    gallery.purge(NAME)
    check_nothing_is_left(gallery, [template])


def test_nothing_is_left_of_a_long_history(gallery: Gallery) -> None:
    """Former names, whom they were merged from, faces that went out and came back."""
    enrol(gallery, "bob", 4, 5)
    enrol(gallery, "Trillian McMillan", 1, 2, 3)
    enrol(gallery, "Tricia MacMillian", 6, 7)
    keep_chips(gallery)
    log_search(gallery, "Trillian McMillan", "bob")
    log_search(gallery, "Tricia MacMillian")
    gallery.rename("Trillian McMillan", NAME)
    gallery.merge(NAME, "Tricia MacMillian")
    gallery.undo()
    gallery.merge(NAME, "Tricia MacMillian")
    gallery.split(NAME, [3, 6], "Marvin Android")
    gallery.undo()
    for name, number in ((NAME, 2), ("bob", 1), (NAME, 99)):
        seen = photo("", number)
        reject(gallery.store.database, name, seen.sha256, seen.faces[0].box, seen.embeddings[0])
    gallery.remove(NAME)
    gallery.undo()
    assert gallery.purge(NAME) == 5
    names = ["Trillian McMillan", "Tricia MacMillian", "Marvin Android", NAME]
    needles = [form for name in names for form in written(name)]
    check_nothing_is_left(gallery, needles + secrets(1, 2, 3, 6, 7, 99))
    assert asked(gallery, "SELECT count(*) FROM people") == [(1,)]
    assert asked(gallery, "SELECT count(*) FROM rejections") == [(0,)]
    assert gallery.changes() == []
    with pytest.raises(PersonError, match="nothing to undo"):
        gallery.undo()


def test_who_was_merged_into_somebody_is_not_purged_alone(gallery: Gallery) -> None:
    enrol(gallery, "Hugh", 1, 2)
    enrol(gallery, NAME, 3)
    gallery.set_terms(NAME, expires="2030-01-01")
    gallery.merge("Hugh", NAME)
    gallery.set_terms("Hugh", expires="2040-01-01")
    for holder in ("Hugh", "carl", "dora"):
        if holder == "carl":
            enrol(gallery, "carl", 4)
            gallery.merge("carl", "Hugh")
        if holder == "dora":
            gallery.rename("carl", "dora")
            gallery.remove("dora")
        revision = gallery.store.revision()
        assert gallery.kept_of(NAME) == []
        with pytest.raises(PersonError, match=f"{NAME}: was merged into {holder}; undo the merge"):
            gallery.purge(NAME)
        assert gallery.purge_expired(date(2035, 1, 1)) == []
        assert gallery.store.revision() == revision
    for _ in range(4):  # dora comes back, is carl, and has nobody's faces
        gallery.undo()
    assert gallery.person(NAME).faces == 1
    assert [each.name for each in gallery.kept_of(NAME)] == [NAME]
    assert gallery.purge(NAME) == 1
    check_nothing_is_left(gallery, written(NAME) + secrets(3))


def test_another_of_a_merged_name_is_purged_alone(gallery: Gallery) -> None:
    enrol(gallery, "Hugh", 1)
    enrol(gallery, NAME, 3)
    gallery.merge("Hugh", NAME)
    enrol(gallery, NAME, 5)
    assert [(each.faces, each.removed) for each in gallery.kept_of(NAME)] == [(1, False)]
    assert gallery.purge(NAME) == 1
    check_nothing_is_left(gallery, secrets(5))
    gallery.undo()
    assert gallery.person(NAME).faces == 1
    gallery.merge("Hugh", NAME)
    gallery.rename("Hugh", NAME)
    assert gallery.purge(NAME) == 2  # with whom was merged into them
    check_nothing_is_left(gallery, written(NAME) + written("Hugh") + secrets(1, 3))


def test_others_keep_what_is_theirs(gallery: Gallery) -> None:
    """A photo of two people, a face that was given away, another person of the same name."""
    enrol(gallery, "bob", 4, 5)
    enrol(gallery, NAME, 1, 2, 3)
    gallery.split(NAME, [3], "bob")
    gallery.rename("bob", "robert")
    gallery.remove(NAME)
    enrol(gallery, "carl", 2)  # one of the same photos
    assert gallery.purge(NAME) == 2
    check_nothing_is_left(gallery, written(NAME) + secrets(3))
    assert {person.name: person.faces for person in gallery.people()} == {"carl": 1, "robert": 3}
    assert gallery["carl"].faces[0].photo == Path("/photos/2.jpg")
    assert [change.line for change in gallery.changes()] == ["bob became robert"]
    gallery.undo()
    enrol(gallery, NAME, 8)  # another of the same name may come, and has nothing of the former
    assert gallery.person(NAME).faces == 1


def test_numbers_that_are_given_again_undo_nothing_of_others(gallery: Gallery) -> None:
    enrol(gallery, "bob", 4)
    enrol(gallery, NAME, 1, 2)
    gallery.split(NAME, [3], "carl")
    gallery.merge("bob", "carl")
    gallery.remove(NAME)
    gallery.purge(NAME)
    enrol(gallery, "dora", 8, 9)
    assert [change.line for change in gallery.changes()] == ["carl was merged into bob (1 face)"]
    gallery.undo()
    assert {person.name: person.faces for person in gallery.people()} == {
        "bob": 1,
        "carl": 1,
        "dora": 2,
    }


def test_who_was_removed_and_who_bears_the_name_now_go_together(gallery: Gallery) -> None:
    enrol(gallery, NAME, 1)
    gallery.remove(NAME)
    enrol(gallery, NAME, 2)
    enrol(gallery, "bob", 4)
    kept = gallery.kept_of(NAME)
    assert [(each.name, each.faces, each.removed) for each in kept] == [
        (NAME, 1, False),
        (NAME, 1, True),
    ]
    assert gallery.purge(NAME) == 2
    check_nothing_is_left(gallery, written(NAME) + secrets(1, 2))
    with pytest.raises(PersonError, match="nobody of this name is enrolled or removed"):
        gallery.purge(NAME)


def test_one_of_many_leaves_nothing_between_the_rows(gallery: Gallery) -> None:
    """Pages are full here, split and joined; rows were moved, and their copies must go."""
    for at in range(0, 400, 40):
        new = [photo(f"person {n % 7}" if n % 8 else NAME, n) for n in range(at, at + 40)]
        gallery.store.add(new, MODEL)
    keep_chips(gallery)
    gallery.rename("person 1", "person 11")
    gallery.merge("person 11", "person 2")
    gallery.undo()
    assert gallery.purge(NAME) == 50
    check_nothing_is_left(gallery, written(NAME) + secrets(*range(0, 400, 8)))
    assert asked(gallery, "PRAGMA freelist_count") == [(0,)]
    assert sum(person.faces for person in gallery.people()) == 350
    assert len(gallery.store.vectors()[1]) == 350


def test_a_purge_while_somebody_reads_says_what_is_left(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    enrol(gallery, NAME, 1)
    enrol(gallery, "bob", 4)
    reader = sqlite3.connect(gallery.folder / "gallery.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM faces").fetchone()
    with pytest.raises(GalleryError, match="the purge is done, but another program is reading"):
        gallery.purge(NAME)
    assert [person.name for person in gallery.people()] == ["bob"]
    assert purge.unfinished(gallery.store.database)
    with Gallery(gallery.folder) as another:  # still disturbed, and no error for who only asks
        assert [person.name for person in another.people()] == ["bob"]
    assert there(gallery, NAME.encode())
    reader.close()
    with Gallery(gallery.folder) as another:
        assert not purge.unfinished(another.store.database)
    check_nothing_is_left(gallery, written(NAME) + secrets(1))


def test_a_purge_that_was_killed_is_finished_by_the_next_start(gallery: Gallery) -> None:
    enrol(gallery, NAME, 1)
    enrol(gallery, "bob", 4)
    purge.purge(gallery.store.database, NAME)  # the transaction alone
    assert there(gallery, photo("", 1).embeddings.tobytes()[:16])  # in the index at least
    with Gallery(gallery.folder) as next_start:
        check_nothing_is_left(gallery, written(NAME) + secrets(1))
        assert next_start.info().index == "to be rebuilt"
        assert next_start.changes() == []


def test_a_damaged_face_can_be_purged(gallery: Gallery) -> None:
    enrol(gallery, NAME, 1, 2)
    with closing(sqlite3.connect(gallery.folder / "gallery.db", isolation_level=None)) as raw:
        raw.execute("UPDATE faces SET embedding = zeroblob(9) WHERE id = 1")
    assert gallery.purge(NAME) == 2
    check_nothing_is_left(gallery, written(NAME) + secrets(1, 2))


@pytest.mark.parametrize("purged", [True, False])
def test_damage_of_another_is_said_by_the_next_search(gallery: Gallery, purged: bool) -> None:
    enrol(gallery, "bob", 4)
    enrol(gallery, NAME, 1, 2)
    with closing(sqlite3.connect(gallery.folder / "gallery.db", isolation_level=None)) as raw:
        raw.execute("UPDATE faces SET embedding = zeroblob(9) WHERE id = 1")
    if purged:
        assert gallery.purge(NAME) == 2
        check_nothing_is_left(gallery, written(NAME) + secrets(1, 2))
    else:
        (gallery.folder / "vectors.faiss").unlink()
        gallery.index.follower.forget()
        assert gallery.remove(NAME).faces == 2
        gallery.undo()
        gallery.remove(NAME)
    assert [person.name for person in gallery.people()] == ["bob"]
    with pytest.raises(GalleryError, match="damaged: face 1 is not what was written"):
        gallery.index.current()


def test_what_the_doctor_laid_aside_goes_too(gallery: Gallery) -> None:
    enrol(gallery, NAME, 1)
    enrol(gallery, "bob", 4)
    notes = gallery.folder / "doctor-2026-01-01T000000.jsonl"
    notes.write_text("".join(f"{json.dumps({'face': 7, 'name': n})}\n" for n in (NAME, "bob")))
    (gallery.folder / "recovery").mkdir()  # a repair was killed
    for name in ("gallery.db.damaged", "gallery.db.damaged-2", "recovery/gallery.db"):
        (gallery.folder / name).write_bytes(NAME.encode() + photo("", 1).embeddings.tobytes())
    gallery.purge(NAME)
    check_nothing_is_left(gallery, written(NAME) + secrets(1))
    assert [json.loads(line)["name"] for line in notes.read_text().splitlines()] == ["bob"]


def test_expired_people(gallery: Gallery) -> None:
    for number, (name, last) in enumerate(
        [(NAME, "2030-05-31"), ("today", "2030-06-01"), ("later", "2031-01-01"), ("bob", "")], 1
    ):
        enrol(gallery, name, number)
        gallery.set_terms(name, expires=last)
    on = date(2030, 6, 1)
    assert gallery.expired(date(2026, 1, 1)) == []
    assert gallery.purge_expired(date(2026, 1, 1)) == []  # the clock was set back
    assert [(kept.name, kept.faces, kept.expires) for kept in gallery.expired(on)] == [
        (NAME, 1, "2030-05-31")
    ]
    assert len(gallery.people()) == 4
    assert gallery.purge_expired(on) == [purge.PurgeTarget(NAME, 1, "2030-05-31", False)]
    check_nothing_is_left(gallery, written(NAME) + secrets(1))
    assert [person.name for person in gallery.people()] == ["bob", "later", "today"]
    revision = gallery.store.revision()
    assert gallery.purge_expired(on) == []
    assert gallery.store.revision() == revision


def test_removed_and_rejected_faces_expire_too(gallery: Gallery) -> None:
    enrol(gallery, NAME, 1, 2)
    gallery.set_terms(NAME, expires="2030-05-31")
    seen = photo("", 2)
    reject(gallery.store.database, NAME, seen.sha256, seen.faces[0].box, seen.embeddings[0])
    gallery.set_terms(NAME, expires="2040-01-01")
    gallery.remove(NAME)
    enrol(gallery, "bob", 4)
    (held,) = gallery.purge_expired(date(2030, 6, 1))  # the face that was taken out
    assert (held.faces, held.removed) == (1, True)
    check_nothing_is_left(gallery, secrets(2)[:8])
    gallery.purge_expired(date(2040, 6, 1))
    check_nothing_is_left(gallery, written(NAME) + secrets(1, 2))


def test_a_purge_of_nobody_changes_nothing(gallery: Gallery) -> None:
    enrol(gallery, "bob", 4)
    revision = gallery.store.revision()
    for name in ("carl", "bo"):
        with pytest.raises(PersonError, match="nobody of this name is enrolled or removed"):
            gallery.purge(name)
    assert gallery.store.revision() == revision
