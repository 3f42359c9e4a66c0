"""A gallery in PostgreSQL: errors, rights, damage, archives, and what a purge leaves."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from facesearch.core.errors import GalleryError, MissingExtra
from facesearch.gallery import doctor
from facesearch.gallery.archive_export import export
from facesearch.gallery.archive_format import Archive
from facesearch.gallery.archive_import import merge
from facesearch.storage import database as module
from facesearch.storage import schema
from facesearch.storage.store import Store
from facesearch.storage.vault import Secret
from facesearch.vision.embedder import Embedder
from robustness.fuzz_archives import invented
from tests.support.inside_gallery import InsideGallery as Gallery
from tests.support.new_photos import MODEL, photo
from tests.support.postgres_server import GUARDED, PASSWORD, Server

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
PHOTO_GONE = {"photo gone"}  # they are invented


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.database("gallery")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with closing(Store(url, create=True)) as store:
        yield store


def raw(url: str) -> Any:
    plain = sa.make_url(url)
    where = f"host={plain.query['host']} user={plain.username} dbname={plain.database}"
    return psycopg.connect(where, autocommit=True)


def ask(url: str, query: str) -> list[tuple[Any, ...]]:
    with raw(url) as connection:
        return connection.execute(query).fetchall()


def change(url: str, *statements: str) -> None:
    with raw(url) as connection:
        for statement in statements:
            connection.execute(statement)


def kinds(where: Path | str, *, repair: bool = False) -> set[str]:
    found = doctor.examine(where, repair=repair)
    return {finding.kind for finding in found if not finding.repaired} - PHOTO_GONE


# Coming in


def test_what_cannot_be_reached_is_said_without_the_password(
    postgres: Server, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = sa.make_url(url).database or ""
    change(url, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {GUARDED}")
    wrong = "s3cr%2Ft%20word"
    for asked, said in (
        (f"postgresql://x:{wrong}@/db?host={tmp_path}", "cannot be reached .*No such file"),
        (f"postgresql+psycopg://x:{wrong}@127.0.0.1:1/db", "cannot be reached .*refused"),
        (postgres.url(name, GUARDED, wrong), "password authentication failed"),
        (postgres.url("nowhere", "postgres", wrong), 'database "nowhere" does not exist'),
        (postgres.url(name, "nobody", wrong), 'role "nobody" does not exist'),
        (f"{postgres.url(name)}&sslpassword={wrong}&colour=red", "colour"),
        ("mysql://x:" + wrong + "@host/db", "mysql: no such kind of gallery; write postgresql"),
        ("postgresql+psycopg://x:" + wrong + "@host:port/db", "not a URL of a database"),
    ):
        with pytest.raises(GalleryError, match=said) as error:
            Store(asked, create=True)
        line = str(error.value)
        assert "\n" not in line
        assert "s3cr" not in line
    with closing(Store(postgres.url(name, GUARDED, PASSWORD), create=False)) as it:
        assert it.database.name == postgres.url(name, GUARDED)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"needs psycopg: .*facesearch\[postgres\]"):
        Store(url, create=False)


def test_servers_and_databases_that_do_not_do(
    postgres: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = postgres.database()
    with pytest.raises(GalleryError, match="no gallery here yet; enroll somebody first"):
        Store(empty, create=False)
    assert not module.is_there(empty)
    assert module.is_there(url)
    assert ask(
        empty, "SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname = 'faces'"
    ) == [(0,)]
    latin = postgres.database("template0", "ENCODING 'LATIN1' LOCALE 'C'")
    with pytest.raises(GalleryError, match="keeps texts as LATIN1"):
        Store(latin, create=True)
    change(empty, "CREATE TABLE people (id integer)")
    with pytest.raises(GalleryError, match='PostgreSQL refuses: relation "people" already exists'):
        Store(empty, create=True)
    assert not module.is_there(empty)
    change(url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(GalleryError, match="made by a newer facesearch"):
        Store(url, create=False)
    change(url, "UPDATE alembic_version SET version_num = 'ae1027a6acf'")
    with pytest.raises(GalleryError, match="not a gallery, or a damaged one"):
        Store(url, create=False)
    change(url, f"UPDATE alembic_version SET version_num = '{schema.SCHEMA}'")
    change(url, "UPDATE settings SET value = '../../elsewhere' WHERE key = 'identity'")
    with pytest.raises(GalleryError, match="damaged: the setting 'identity' is not ours"):
        Store(url, create=False)
    monkeypatch.setattr("facesearch.storage.postgres.OLDEST", 99)
    with pytest.raises(GalleryError, match=r"PostgreSQL \d+ is too old; 99 is the oldest"):
        Store(url, create=False)


def test_two_galleries_share_a_database_in_schemas_of_their_own(postgres: Server) -> None:
    database = postgres.database()
    change(database, "CREATE SCHEMA one", "CREATE SCHEMA two")
    one, two = (
        Store(f"{database}&options=-csearch_path%3D{s}", create=True) for s in ("one", "two")
    )
    with closing(one), closing(two):
        one.add([photo("ann", 1)], MODEL)
        with one.database.write("test", {}):  # holds the lock of its own schema
            two.add([photo("bob", 1)], MODEL)
        assert [person.name for person in one.people()] == ["ann"]
        assert [person.name for person in two.people()] == ["bob"]
        assert one.database.folder != two.database.folder


def test_a_role_that_may_only_read(postgres: Server, url: str, store: Store) -> None:
    store.add([photo("ann", 1)], MODEL)
    change(
        url,
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
    )
    try:
        with Gallery(postgres.url(sa.make_url(url).database or "", "reader")) as gallery:
            assert [person.name for person in gallery.people()] == ["ann"]
            gallery.prepare()
            assert gallery.info().index == "current"
            with pytest.raises(GalleryError, match="this gallery cannot be written to"):
                gallery.remove("ann")
    finally:
        change(url, "DROP OWNED BY reader", "DROP ROLE reader")


# Transactions


def test_a_second_writer_says_that_it_waited(
    url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.2)
    with closing(Store(url, create=False)) as other, store.database.write("test", {}):
        with pytest.raises(GalleryError, match=r"has been writing for 0\.2 seconds; try again"):
            other.add([photo("ann", 1)], MODEL)
        assert other.people() == []  # who reads does not wait
    assert store.add([photo("ann", 1)], MODEL)


def test_a_reader_sees_one_state(url: str, store: Store) -> None:
    store.add([photo("ann", 1)], MODEL)
    count = sa.select(sa.func.count()).select_from(schema.faces)
    with closing(Store(url, create=False)) as other, other.database.read() as connection:
        assert connection.execute(count).scalar_one() == 1
        store.add([photo("ann", 2)], MODEL)
        assert connection.execute(count).scalar_one() == 1
        with pytest.raises(sa.exc.DBAPIError, match="read-only transaction"):
            connection.execute(schema.faces.delete())
    assert len(store.faces_of("ann")) == 2


def test_a_connection_that_is_lost(url: str, store: Store) -> None:
    store.add([photo("ann", 1)], MODEL)

    def write() -> None:
        with store.database.write("test", {}) as connection:
            connection.execute(schema.faces.delete())
            me = connection.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
            change(url, f"SELECT pg_terminate_backend({me}, 5000)")
            connection.execute(schema.people.delete())

    with pytest.raises(GalleryError, match="connection was lost, and what was not finished is und"):
        write()
    assert len(store.faces_of("ann")) == 1  # on a new connection
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    change(url, f"SELECT pg_terminate_backend(pid, 5000) {others}")
    assert store.rename("ann", "anna").number  # idle ones were lost, and nobody notices
    assert [person.name for person in store.people()] == ["anna"]


# The same answers


def test_pictures_are_named_as_in_a_folder(
    where: Path | str, embedder: Embedder, hopper: Path, collins: Path, people: Path
) -> None:
    asked = [("Grace", hopper), *(("ann", path) for path in sorted(people.glob("person-00/*")))]
    with Gallery(where) as gallery:
        gallery.set_preference("keep-chips", "on")
        gallery.set_preference("audit", "on")
        done = gallery.enroll_each(asked, include_doubtful=True)
        assert {result.status for result in done} == {"enrolled"}
        if isinstance(where, str):
            gallery.set_preference("search", "pgvector")
            assert gallery.info().index == "in the database"
            assert not (gallery.folder / "vectors.faiss").exists()
        found = gallery.identify_each([hopper, collins], threshold=0.3, top=3)
        answers = [result.faces[0] for _, result in found]
        assert [answer.name for answer in answers] == ["Grace", None]
        assert [near.name for near in answers[0].candidates] == ["Grace", "ann"]
        assert answers[0].candidates[0].distance < 1e-3
        assert answers[1].candidates[0].distance == pytest.approx(0.4656, abs=2e-3)
        assert [search.names for search in gallery.searches()] == [["Grace"], []]
        assert gallery.info().chips == 6
        assert len(gallery.impostor_scores(embedder.model).distances) > 1000
        assert (gallery.folder / "strangers.bin").exists()
        assert list(gallery.review())[-1]["kind"] == "fpir"


# Damage


def test_the_doctor_finds_and_repairs_damage(url: str, store: Store) -> None:
    store.add([photo("ann", n) for n in (1, 2)] + [photo("bob", 3)], MODEL)
    unit(store)
    assert kinds(url) == set()
    with Gallery(url) as gallery:
        gallery.prepare()
        assert kinds(url) == set()
        change(
            url,
            "UPDATE faces SET embedding = set_byte(embedding, 9, 77) WHERE id = 1",
            "UPDATE people SET name = 'eve' WHERE name = 'bob'",
        )
        with pytest.raises(GalleryError, match="damaged: person 2 is not what was written"):
            gallery.people()
        (gallery.folder / "vectors.faiss").write_bytes(b"?" * 5000)
        (gallery.folder / "vectors.faiss.new").touch()
        assert kinds(url) == {"damaged face", "damaged person", "leftover"}
        assert kinds(url, repair=True) == set()
        assert kinds(url) == set()
        assert [(p.name, p.faces) for p in gallery.people()] == [("ann", 1), ("eve (damaged 2)", 1)]
        (notes,) = gallery.folder.glob("doctor-*.jsonl")
        assert json.loads(notes.read_text())["name"] == "ann"


def unit(store: Store) -> None:
    """The invented embeddings become unit vectors."""
    with store.database.write("test", {}) as connection:
        for row in connection.execute(schema.face_rows()).all():
            vector = np.frombuffer(row.embedding, "<f4")
            content = (vector / np.linalg.norm(vector)).astype("<f4").tobytes()
            fields = row.photo, row.person, row.box, row.points, row.agreement, content
            mine = schema.faces.update().where(schema.faces.c.id == row.id)
            values = {"embedding": content, "checksum": schema.face_checksum(*fields)}
            connection.execute(mine.values(values))


# Moving


def everything(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """All that an archive carries, as Python sees it."""
    s = schema
    with store.database.read() as connection:
        return {
            name: [tuple(row) for row in connection.execute(query.order_by(sa.text("id")))]
            for name, query in {
                "people": sa.select(
                    s.people.c.id, s.people.c.name, s.people.c.created, s.people.c.expires
                ),
                "photos": sa.select(s.photos),
                "faces": sa.select(s.faces),
                "rejections": sa.select(s.rejections),
                "chips": sa.select(s.chips.c.face.label("id"), s.chips.c.image),
            }.items()
        }


def test_a_gallery_moves_to_postgresql_and_back(url: str, store: Store, tmp_path: Path) -> None:
    with closing(invented(tmp_path / "gallery", 6, 0)) as old:
        before = everything(old)
        export(old, tmp_path / "there.zip", chips=True)
    with Archive(tmp_path / "there.zip") as archive:
        merge(store, archive)
    assert everything(store) == before
    assert kinds(url) == set()
    export(store, tmp_path / "back.zip", chips=True)
    back = tmp_path / "back"
    with Archive(tmp_path / "back.zip") as archive, closing(Store(back, create=True)) as new:
        merge(new, archive)
        assert everything(new) == before
    assert all(len(rows) > 1 for rows in before.values())


# Leaving nothing


def stored(postgres: Server, url: str) -> bytes:
    """All that PostgreSQL keeps of this database in its files, without the log."""
    change(url, "CHECKPOINT")
    ((number,),) = ask(url, "SELECT oid FROM pg_database WHERE datname = current_database()")
    folder = postgres.folder / "data" / "base" / str(number)
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())


def test_a_purge_leaves_no_row_and_no_page(postgres: Server, url: str, store: Store) -> None:
    store.add([photo("Zoë Löw", 1), photo("bob", 2)], MODEL)
    needles = ["Zoë Löw".encode(), photo("", 1).embeddings.tobytes()[:64], b"/photos/1.jpg"]
    with Gallery(url) as gallery:
        gallery.set_preference("search", "pgvector")
        gallery.remove("Zoë Löw")
        assert all(needle in stored(postgres, url) for needle in needles)
        assert gallery.purge("Zoë Löw") == 1
        left = stored(postgres, url)
        assert [needle in left for needle in needles] == [False] * 3
        assert photo("", 2).embeddings.tobytes()[:64] in left
        assert [person.name for person in gallery.people()] == ["bob"]
    assert ask(url, "SELECT count(*) FROM settings WHERE key = 'unclean'") == [(0,)]


def test_a_purge_beside_a_long_reader_is_finished_by_the_next_start(
    postgres: Server, url: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add([photo("ann", 1), photo("bob", 2)], MODEL)
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.2)
    with Gallery(url) as gallery:
        with raw(url) as reader, reader.transaction():
            reader.execute("SELECT count(*) FROM faces")
            with pytest.raises(GalleryError, match="done, but another program is reading"):
                gallery.purge("ann")
            with Gallery(url) as other:  # still disturbed, and no error for who only asks
                assert [person.name for person in other.people()] == ["bob"]
        assert photo("", 1).embeddings.tobytes()[:64] in stored(postgres, url)
        with Gallery(url):
            pass
        assert photo("", 1).embeddings.tobytes()[:64] not in stored(postgres, url)


def test_encrypted_faces(postgres: Server, url: str, store: Store) -> None:
    store.add([photo("ann", 1)], MODEL)
    plain = photo("", 1).embeddings.tobytes()[:64]
    secret = Secret("key file", b"k" * 32)
    with Gallery(url, keys=lambda kind: secret.content) as gallery:
        gallery.set_preference("search", "pgvector")
        with pytest.raises(GalleryError, match="encrypted faces cannot be searched in the databa"):
            gallery.encrypt(secret)
        assert gallery.info().encrypted is None
        gallery.set_preference("search", "local")
        gallery.prepare()
        assert plain in stored(postgres, url)
        gallery.encrypt(secret)
        assert plain not in stored(postgres, url)
        with pytest.raises(GalleryError, match="encrypted faces cannot be searched in the databa"):
            gallery.set_preference("search", "pgvector")
        assert np.array_equal(gallery.store.vectors()[2], photo("", 1).embeddings)
    with (
        Gallery(url, keys=lambda kind: b"?" * 32) as gallery,
        pytest.raises(GalleryError, match="this key file does not open the gallery"),
    ):
        gallery.prepare()
    with Gallery(url, keys=lambda kind: secret.content) as gallery:
        gallery.decrypt()
    assert plain in stored(postgres, url)


# The command line


def run(*arguments: str | Path, **more: str) -> "subprocess.CompletedProcess[str]":
    import os

    command = [sys.executable, "-c", "from facesearch.cli import main; main()"]
    return subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **more},
    )


def test_the_commands(postgres: Server, people: Path, tmp_path: Path) -> None:
    database = postgres.database()
    change(database, f"GRANT CREATE ON SCHEMA public TO {GUARDED}")
    name = sa.make_url(database).database or ""
    url = postgres.url(name, GUARDED, PASSWORD)
    tree = ("enroll", "--name", "ann", people / "person-00")
    every = [
        dry := run(*tree, "--dry-run", "--gallery", url),
        none := run("people", "list", FACESEARCH_GALLERY=url),
        done := run(*tree, FACESEARCH_GALLERY=url),
        named := run("identify", "--json", people / "person-00" / "pose-1.jpg", "--gallery", url),
        info := run("gallery", "info", "--json", FACESEARCH_GALLERY=url),
        health := run("gallery", "doctor", FACESEARCH_GALLERY=url),
        inside := run("gallery", "set", "search", "pgvector", "--gallery", url),
        wrong := run("people", "list", "--gallery", postgres.url(name, GUARDED, "s3cret")),
    ]
    for ran in every:
        assert PASSWORD not in ran.stdout + ran.stderr
        assert "s3cret" not in ran.stdout + ran.stderr
    assert dry.stderr.endswith(", nothing was written\n"), dry.stderr
    assert (none.returncode, "no gallery here yet" in none.stderr) == (6, True)
    assert [ran.returncode for ran in (done, named, health)] == [0] * 3
    assert json.loads(named.stdout)["name"] == "ann"
    told = json.loads(info.stdout)
    assert told["folder"] == postgres.url(name, GUARDED)
    assert (told["people"], told["index"]) == (1, "current")
    assert health.stderr == "all is well\n"
    # pgvector is for the owner of the database to install
    assert (inside.returncode, "run `CREATE EXTENSION vector` in" in inside.stderr) == (6, True)
    assert (wrong.returncode, "password authentication failed" in wrong.stderr) == (6, True)


def test_pgvector_is_for_postgresql_only(tmp_path: Path) -> None:
    with (
        Gallery(tmp_path / "gallery") as gallery,
        pytest.raises(GalleryError, match="pgvector is only possible for a gallery in PostgreSQL"),
    ):
        gallery.set_preference("search", "pgvector")
