"""Face data at rest is sealed: readable with the key alone, and never as something else."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from facesearch.cli.gallery import privacy
from facesearch.core.errors import GalleryError, PersonError
from facesearch.gallery.doctor import examine
from facesearch.storage import cache_file, resealing, vault
from facesearch.storage.records import NewPhoto
from facesearch.storage.schema import chips, faces, rejections
from facesearch.storage.store import Store
from facesearch.storage.vault import Keys, Kind, Secret, Vault
from tests.support.inside_gallery import InsideGallery as Gallery
from tests.support.new_photos import MODEL, photo

SECRET = vault.new_passphrase("correct horse")
CHIP = b"the picture of a face " * 20


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cheap scrypt; its parameters are stored, so that nothing else is different."""
    monkeypatch.setattr(vault, "COST", 1 << 10)
    for name in ("FACESEARCH_PASSPHRASE", "FACESEARCH_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def giving(secret: bytes) -> Keys:
    return lambda kind: secret


def nothing(kind: Kind) -> bytes:
    raise AssertionError("the key was asked for")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.fixture
def gallery(folder: Path) -> Gallery:
    """Two people with five faces, a kept chip and a rejection, not encrypted; no model needed."""
    gallery = Gallery(folder)
    store = gallery.store
    store.add([photo("ann", 1), photo("ann", 2, faces=3), photo("bob", 3)], MODEL)
    with store.database.write("test", {}) as connection:
        value = store.database.sealed(CHIP, "chip")
        connection.execute(chips.insert().values(face=1, image=value))
        values = {"person": 1, "sha256": "0" * 64, "box": [0, 0, 1, 1], "at": "2026-01-01"}
        value = store.database.sealed(photo("eve", 9).embeddings.tobytes(), "rejection")
        connection.execute(rejections.insert().values(embedding=value, **values))
    gallery.index.current()
    return gallery


def secrets_of(*photos: NewPhoto) -> list[bytes]:
    """16 bytes from the middle of each embedding, and of a chip."""
    vectors = [vector.tobytes() for new in photos for vector in new.embeddings]
    return [CHIP[:16], *(vector[64:80] for vector in vectors)]


PHOTOS = photo("ann", 1), photo("ann", 2, faces=3), photo("bob", 3), photo("eve", 9)


def leaks(folder: Path) -> set[str]:
    """The files of a gallery in which face data is readable."""
    return {
        path.name
        for path in folder.iterdir()
        for secret in secrets_of(*PHOTOS)
        if secret in path.read_bytes()
    }


def everything(store: Store) -> tuple[bytes, bytes, bytes]:
    """All face data."""
    database = store.database
    with database.read() as connection:
        (chip,) = connection.execute(sa.select(chips.c.image)).scalars()
        (rejected,) = connection.execute(sa.select(rejections.c.embedding)).scalars()
    return (
        store.vectors()[2].tobytes(),
        database.unsealed(chip, "chip"),
        database.unsealed(rejected, "rejection"),
    )


def raw(folder: Path, *commands: tuple[str, tuple[object, ...]]) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "gallery.db", isolation_level=None)) as connection:
        return [row for command in commands for row in connection.execute(*command)]


def test_nothing_plain_is_left_anywhere(gallery: Gallery, folder: Path) -> None:
    keep = sqlite3.connect(folder / "gallery.db")  # so that the log stays
    keep.execute("SELECT count(*) FROM faces").fetchone()
    gallery.store.add([photo("eve", 9)], MODEL)
    assert leaks(folder) == {"gallery.db", "gallery.db-wal"}  # the test can see it
    before = everything(gallery.store)
    gallery.encrypt(SECRET)
    assert (folder / "gallery.db-wal").exists()
    assert leaks(folder) == set()
    keep.close()
    assert not list(folder.glob("vectors.faiss*"))
    assert everything(gallery.store) == before
    gallery.index.current()
    assert (folder / "vectors.faiss").exists()
    assert leaks(folder) == set()
    gallery.store.add([photo("dora", 4)], MODEL)
    gallery.index.current()
    assert photo("dora", 4).embeddings.tobytes()[64:80] not in b"".join(
        path.read_bytes() for path in folder.iterdir()
    )


def test_the_index_of_an_encrypted_gallery_is_used(gallery: Gallery, folder: Path) -> None:
    """It is read back, gives the same templates, and holds none of them readable."""
    templates = gallery.index.current().templates
    gallery.encrypt(SECRET)
    gallery.index.current()
    secret = templates[0].tobytes()[64:80]
    assert secret not in (folder / "vectors.faiss").read_bytes()
    database = gallery.store.database
    revision = gallery.store.revision()
    path = folder / "vectors.faiss"
    found = cache_file.read(path, database.vault)
    assert found is not None
    assert found[0].split()[0] == revision
    assert secret in found[1].tobytes()
    path.rename(folder / "strangers.bin")  # a moved one is none
    assert cache_file.read(folder / "strangers.bin", database.vault) is None
    again = Gallery(folder, keys=giving(SECRET.content))
    assert np.array_equal(again.index.current().templates, templates)
    assert again.info().index == "current"


def test_decrypting_gives_back_every_byte(gallery: Gallery, folder: Path) -> None:
    columns = "SELECT id, embedding, checksum, box, points FROM faces", ()
    before = raw(folder, columns)
    gallery.encrypt(SECRET)
    sealed = raw(folder, columns)
    assert all(row[1] != old[1] for row, old in zip(sealed, before, strict=True))
    again = Gallery(folder, keys=giving(SECRET.content))
    again.decrypt()
    assert raw(folder, columns) == before
    assert Gallery(folder, keys=nothing).info().encrypted is None
    with pytest.raises(GalleryError, match="not encrypted"):
        again.decrypt()
    with pytest.raises(GalleryError, match="not encrypted"):
        again.rekey(SECRET)


def test_without_the_key_names_are_all_there_is(gallery: Gallery, folder: Path) -> None:
    gallery.encrypt(SECRET)
    closed = Gallery(folder, keys=nothing)
    assert [person.name for person in closed.people()] == ["ann", "bob"]
    assert closed.info().encrypted == "passphrase"
    closed.rename("bob", "robert")
    assert len(closed.store.faces_of("ann")) == 4
    locked = Gallery(folder)
    for job in (
        locked.index.current,
        lambda: locked.store.person_faces([1]),
        lambda: locked.store.add([photo("dora", 4)], MODEL),
        locked.decrypt,
        lambda: locked.rekey(SECRET),
        locked.unlock,
    ):
        with pytest.raises(GalleryError, match="encrypted with a passphrase: set FACESEARCH_PASS"):
            job()
    wrong = Gallery(folder, keys=giving(b"wrong horse"))
    with pytest.raises(GalleryError, match="gallery: this passphrase does not open"):
        wrong.store.vectors()
    assert [person.name for person in closed.people()] == ["ann", "robert"]


def test_another_passphrase_changes_the_wrapped_key_alone(gallery: Gallery, folder: Path) -> None:
    gallery.encrypt(SECRET)
    with pytest.raises(GalleryError, match="encrypted already"):
        gallery.encrypt(SECRET)
    everywhere = "SELECT id, embedding FROM faces", ()
    before = raw(folder, everywhere)
    record = raw(folder, ("SELECT value FROM settings WHERE key = 'vault'", ()))[0][0]
    data = everything(gallery.store)
    gallery.rekey(Secret("key file", b"k" * 32))
    assert raw(folder, everywhere) == before
    assert everything(Gallery(folder, keys=giving(b"k" * 32)).store) == data
    assert everything(gallery.store) == data
    with pytest.raises(GalleryError, match="this key file does not open"):
        Gallery(folder, keys=giving(SECRET.content)).unlock()
    old = json.loads(str(record))["key"].encode()
    assert not [path for path in folder.iterdir() if old in path.read_bytes()]


def swap(table: str, column: str, other: str, other_column: str) -> str:
    return f"UPDATE {table} SET {column} = (SELECT {other_column} FROM {other} LIMIT 1)"


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE faces SET embedding = zeroblob(540)",
        "UPDATE faces SET embedding = substr(embedding, 1, 500)",
        "UPDATE faces SET embedding = x''",
        swap("faces", "embedding", "rejections", "embedding"),
        swap("faces", "embedding", "chips", "image"),
    ],
)
def test_a_tampered_or_moved_value_is_an_error(
    gallery: Gallery, folder: Path, tamper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.encrypt(SECRET)
    raw(folder, (tamper, ()))
    with pytest.raises(GalleryError, match="damaged: face 1 is not what was written"):
        gallery.store.vectors()
    # nor does it help to forge the checksum, too
    monkeypatch.setattr("facesearch.storage.schema.face_checksum", lambda *fields: 7)
    raw(folder, ("UPDATE faces SET checksum = 7", ()))
    with pytest.raises(GalleryError, match="gallery: damaged: a sealed face is not what"):
        gallery.store.vectors()


def test_damage_is_not_sealed_in(gallery: Gallery, folder: Path) -> None:
    raw(folder, ("UPDATE faces SET embedding = zeroblob(512) WHERE id = 3", ()))
    with pytest.raises(GalleryError, match="damaged: face 3"):
        gallery.encrypt(SECRET)
    assert gallery.info().encrypted is None
    assert raw(folder, ("SELECT count(*) FROM faces WHERE length(embedding) = 512", ())) == [(5,)]


def test_a_gallery_that_others_encrypt_meanwhile(gallery: Gallery, folder: Path) -> None:
    """Whoever has it open writes nothing plain, and asks for the key."""
    other = Gallery(folder)
    other.index.current()
    gallery.encrypt(SECRET)
    with pytest.raises(GalleryError, match="encrypted with a passphrase"):
        other.store.add([photo("dora", 4)], MODEL)
    with pytest.raises(GalleryError, match="encrypted with a passphrase"):
        other.index.current()
    assert leaks(folder) == set()


def test_what_a_reader_kept_from_being_overwritten_is_overwritten_later(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facesearch.storage.database.LOCK_SECONDS", 0.1)
    reader = sqlite3.connect(folder / "gallery.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM faces").fetchone()
    with pytest.raises(GalleryError, match="encrypted, but another program is reading"):
        gallery.encrypt(SECRET)
    assert leaks(folder)
    Gallery(folder)  # it is still reading
    assert leaks(folder)
    reader.close()
    Gallery(folder)
    assert leaks(folder) == set()


def test_an_interrupted_encryption_is_none(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(gallery.store)
    seal: Callable[[Vault, bytes, str], bytes] = Vault.seal
    count = 0

    def interrupted(self: Vault, content: bytes, purpose: str) -> bytes:
        nonlocal count
        count += self.key is not None and purpose == "face"
        if count == 3:
            raise KeyboardInterrupt
        return seal(self, content, purpose)

    monkeypatch.setattr(Vault, "seal", interrupted)
    with pytest.raises(KeyboardInterrupt):
        gallery.encrypt(SECRET)
    monkeypatch.undo()
    assert gallery.info().encrypted is None
    assert everything(gallery.store) == before


def test_a_plain_copy_beside_it_is_not_overlooked(gallery: Gallery, folder: Path) -> None:
    """`gallery doctor --repair` keeps the damaged database."""
    copy = folder / "gallery.db.damaged"
    copy.write_bytes((folder / "gallery.db").read_bytes())
    with pytest.raises(GalleryError, match=r"damaged: holds face data that would stay plain"):
        gallery.encrypt(SECRET)
    assert gallery.info().encrypted is None
    copy.unlink()
    gallery.encrypt(SECRET)
    assert leaks(folder) == set()


def test_the_doctor_needs_the_key(gallery: Gallery, folder: Path) -> None:
    """Without it every face would look damaged; nothing may be repaired away."""
    healthy = examine(folder)
    gallery.encrypt(SECRET)
    gallery.index.current()
    for keys in (vault.from_environment, giving(b"wrong horse")):
        with pytest.raises(GalleryError, match="passphrase"):
            examine(folder, repair=True, keys=keys)
    before = everything(gallery.store)
    assert examine(folder, keys=giving(SECRET.content)) == healthy
    assert everything(gallery.store) == before


def test_many_faces_are_rewritten_in_batches(
    gallery: Gallery, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resealing, "ROWS_AT_ONCE", 2)
    before = everything(gallery.store)
    gallery.encrypt(SECRET)
    assert everything(gallery.store) == before
    with gallery.store.database.read() as connection:
        lengths = set(connection.execute(sa.select(sa.func.length(faces.c.embedding))).scalars())
    assert lengths == {4 * 128 + vault.NONCE + 16}


# From where the secret comes


def test_the_environment_opens_it(
    gallery: Gallery, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = everything(gallery.store)
    gallery.encrypt(SECRET)
    monkeypatch.setenv("FACESEARCH_PASSPHRASE", "correct horse")
    assert everything(Store(folder, create=False)) == data
    (tmp_path / "key").write_bytes(b"k" * 40)
    monkeypatch.setenv("FACESEARCH_NEW_KEY_FILE", str(tmp_path / "key"))
    gallery.rekey(privacy.new_secret(folder, "FACESEARCH_NEW", None))
    with pytest.raises(GalleryError, match="encrypted with a key file: give it with --key-file"):
        Store(folder, create=False).vectors()
    monkeypatch.setenv("FACESEARCH_KEY_FILE", str(tmp_path / "key"))
    assert everything(Store(folder, create=False)) == data
    with pytest.raises(GalleryError, match="not both"):
        privacy.new_secret(folder, "FACESEARCH", None)


def test_removing_and_undoing_need_no_key(gallery: Gallery, folder: Path) -> None:
    """They are done once, and leave nothing made from the faces of whom they took out."""
    gallery.remove("ann")
    gallery.store.add([photo("carl", 2)], MODEL)
    gallery.encrypt(SECRET)
    gallery.index.current()
    gallery.close()
    with Gallery(folder, keys=nothing) as locked:
        with pytest.raises(PersonError, match=r"/photos/2\.jpg is enrolled as carl since"):
            locked.undo()
        assert locked.remove("carl").faces == 1
        assert not (folder / cache_file.INDEX).exists()
        (removed,) = (each for each in locked.changes() if each.line == "ann was removed")
        assert locked.undo(removed.event) == removed
        assert [person.name for person in locked.people()] == ["ann", "bob"]
        assert [each.line for each in locked.changes()] == ["carl was removed"]
    with Gallery(folder, keys=giving(SECRET.content)) as opened:
        assert len(opened.index.current()) == 2
