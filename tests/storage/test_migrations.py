"""Galleries of every earlier version are brought up to date, whole, or left as they are.

tests/galleries holds one of each, made by its own code: see tests/support/old_gallery.py.
"""

import ast
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from facesearch.core.errors import GalleryError
from facesearch.gallery import rejections
from facesearch.gallery.doctor import examine
from facesearch.matching import rejection
from facesearch.storage import audit_log, row_checksums, schema
from facesearch.storage import database as module
from facesearch.storage.job_spool import JobPhoto, JobSpool
from facesearch.storage.postgres import Postgres
from facesearch.storage.store import Store
from tests.support.old_gallery import MODEL, PHOTOS, photo
from tests.support.postgres_server import Server

OLD = sorted((Path(__file__).parents[1] / "galleries").glob("*.db"))
VERSIONS = ["0001", "0002", "0003", "0004", "0005"]


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A gallery's folder with a database of an earlier version."""
    folder = tmp_path / "gallery"
    folder.mkdir()
    source = Path(__file__).parents[1] / "galleries" / f"{request.param}.db"
    shutil.copyfile(source, folder / "gallery.db")
    return folder


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "gallery.db")) as raw:
        return raw.execute(query).fetchall()


def dump(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "gallery.db")) as raw:
        return list(raw.iterdump())


def check_whole(folder: Path, version: str) -> None:
    """All that the old gallery knew is there, in its newest form."""
    store = Store(folder, create=False)
    assert store.model() == MODEL
    assert [(p.name, p.faces, p.photos) for p in store.people()] == [
        ("Zo\u00eb Ng", 3, 2),
        ("bob", 1, 1),
        ("new name", *((3, 3) if version >= "0004" else (2, 2))),
    ]
    samples = store.person_faces([1, 2, 4])  # 3 was removed
    for number, (person, places) in {1: ("Zo\u00eb Ng", [0, 1]), 2: ("bob", [2])}.items():
        told = [photo(place) for place in places]
        assert samples[number].name == person
        assert samples[number].photos == [p.path for p in told for _ in p.faces]
        wanted = np.concatenate([p.embeddings for p in told])
        assert np.array_equal(samples[number].embeddings, wanted)
    agreement = 1 if version == "0001" else 0.9 + 5 / 100
    assert samples[4].flip_consistency == pytest.approx(agreement)
    curated = version >= "0004"
    assert len(store.vectors()[1]) == 6 + curated  # with every checksum
    assert len(store.enrolled_content_keys(np.zeros(1, np.uint64))) == len(PHOTOS) - 1
    assert store.known([photo(2).sha256]) == {photo(2).sha256: {"bob"}}
    assert [face.box for face in store.faces_of("bob")] == [photo(2).faces[0].box]
    if curated:
        bob = store.person("bob")
        assert (bob.expires, bob.consent) == ("2031-05-06", "by letter")
        (said,) = rejections.rejected(store.database)
        assert (said.name, said.sha256, said.near) == ("bob", photo(1).sha256, rejection.NEAR)
        assert [search.names for search in audit_log.searched(store.database)] == [["bob"]]
        assert store.chip(8) == b"a chip"
    store.close()
    assert {finding.kind for finding in examine(folder)} <= {"photo gone"}
    actions = [row[0] for row in rows(folder, "SELECT action FROM events ORDER BY id")]
    more = ["terms", "reject", "set", "enroll"] if curated else []
    assert actions == ["enroll"] * 6 + ["rename", "remove"] + more
    assert rows(folder, "SELECT version_num FROM alembic_version") == [(schema.SCHEMA,)]
    assert rows(folder, "PRAGMA integrity_check") == [("ok",)]
    assert rows(folder, "PRAGMA foreign_key_check") == []


def test_there_is_a_gallery_of_every_earlier_version() -> None:
    migrations = Path(module.__file__).parent / "migrations" / "versions"
    numbers = sorted(path.name[:4] for path in migrations.glob("[0-9]*.py"))
    assert numbers[-1] == schema.SCHEMA
    assert numbers[:-1] == VERSIONS == [path.stem for path in OLD]
    for path in OLD:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as raw:
            assert raw.execute("SELECT * FROM alembic_version").fetchall() == [(path.stem,)]


def test_a_migration_knows_nothing_of_the_program_around_it() -> None:
    """What it does to an old gallery must not change with the code of today."""
    folder = Path(module.__file__).parent / "migrations"
    for path in folder.rglob("*.py"):
        imported = {
            name
            for node in ast.walk(ast.parse(path.read_text()))
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        }
        ours = {name for name in imported if name.startswith("facesearch")}
        assert ours <= {"facesearch.storage.migrations"}, path.name


def test_an_older_gallery_is_brought_up_to_date(old: Path) -> None:
    ((version,),) = rows(old, "SELECT version_num FROM alembic_version")
    ((revision,),) = rows(old, "SELECT value FROM settings WHERE key = 'revision'")
    Store(old, create=False).close()
    check_whole(old, str(version))
    ((after,),) = rows(old, "SELECT value FROM settings WHERE key = 'revision'")
    # an index of faces must not be taken for one of people
    assert (after != revision) == (version == "0001")
    before = dump(old)
    Store(old, create=False).close()
    assert dump(old) == before  # a second time changes nothing


def test_an_upgraded_gallery_is_the_same_as_a_new_one(old: Path, tmp_path: Path) -> None:
    Store(old, create=False).close()
    Store(tmp_path / "new", create=True).close()

    def tables(folder: Path) -> dict[str, object]:
        inspector = sa.inspect(sa.create_engine(f"sqlite:///{folder / 'gallery.db'}"))
        found = {}
        for table in inspector.get_table_names():
            columns = inspector.get_columns(table)
            keys = inspector.get_foreign_keys(table)
            indexes = inspector.get_indexes(table)
            found[table] = (
                [(column["name"], str(column["type"]), column["nullable"]) for column in columns],
                sorted(str(key["constrained_columns"]) for key in keys),
                sorted(str(index["column_names"]) for index in indexes),
            )
        inspector.engine.dispose()
        return found

    assert tables(old) == tables(tmp_path / "new")


def test_jobs_that_waited_in_a_folder_come_along(old: Path) -> None:
    """The service kept them there before schema 0006."""
    job = {
        "number": "0123456789abcdef",
        "created": "2026-01-01T00:00:00+00:00",
        "which": "largest",
        "insist": True,
        "state": "running",
        "folder": None,
        "photos": [
            {"name": "Ada", "file": "a.jpg", "content": "000000"},
            {"name": "Bo", "file": "b.jpg", "content": "000001"},
        ],
        "looked_at": 1,
        "total": 2,
        "reason": "",
        "finished": None,
    }
    place = old / "spool" / "0123456789abcdef"
    place.mkdir(parents=True)
    (place / "job.json").write_text(json.dumps(job))
    (place / "000000").write_bytes(b"a photo")
    (place / "000001").write_bytes(b"another")
    line = json.dumps({"key": "000000", "row": {"name": "Ada", "status": "enrolled"}})
    (place / "results.jsonl").write_text(f'{line}\n{{"key": "00')  # killed while it wrote
    (old / "spool" / ("f" * 16)).mkdir()  # a job that was never told of
    for _ in range(2):
        with closing(Store(old, create=False)) as store:
            spool = JobSpool(store.database)
            (kept,) = spool.jobs()
            assert (kept.number, kept.state) == ("0123456789abcdef", "running")
            assert (kept.which, kept.insist, kept.looked_at, kept.total) == ("largest", True, 1, 2)
            sent = [JobPhoto("000000", "Ada", "a.jpg"), JobPhoto("000001", "Bo", "b.jpg")]
            assert spool.photos(kept.number) == sent
            assert spool.content(kept.number, "000001") == b"another"
            assert spool.done(kept.number) == {"000000"}
            assert spool.results(kept.number) == [{"name": "Ada", "status": "enrolled"}]
        assert not (old / "spool").exists()


def test_an_older_gallery_in_postgresql(postgres: Server) -> None:
    """Its JSON, numbers and bytes are summed as the program reads them."""
    url = postgres.database()
    vector = np.ones(16, "<f4") / 4
    face = (1, 1, "[1.5, 2, 30, 40]", "[[1, 2]]", 0.9, vector.tobytes())
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))
    engine = Postgres(url, create=True)
    with engine.writing(10) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")
        for table, values in (
            ("people", {"id": 1, "name": "bob", "created": "2026-01-01", "consent": "by letter"}),
            ("photos", {"id": 1, "path": b"/photos/1.jpg", "sha256": 64 * "1", "added": "2026"}),
            ("faces", dict(zip(FACE, face, strict=True)) | {"id": 1, "score": 0.5}),
            ("chips", {"face": 1, "image": b"a chip"}),
            ("rejections", {"person": 1, "sha256": 64 * "2", "box": "[1, 2]", "at": "2026"}),
            ("settings", {"key": "revision", "value": "abc"}),
            ("settings", {"key": "dimension", "value": "16"}),
            ("events", {"at": "2026", "action": "enroll", "detail": '{"photos": 1}'}),
            ("searches", {"at": "2026", "detail": '{"command": "x", "faces": 1, "names": ["b"]}'}),
        ):
            more = {
                "people": {"checksum": schema.person_checksum(1, "bob")},
                "photos": {
                    "width": 1,
                    "height": 1,
                    "checksum": schema.photo_checksum(1, Path("/photos/1.jpg"), 64 * "1"),
                },
                "faces": {"checksum": schema.face_checksum(*face)},
                "rejections": {"embedding": b"rejected"},
            }.get(table, {})
            values = values | more
            holes = ", ".join(
                f"CAST(:{name} AS JSON)" if name in ("box", "points", "detail") else f":{name}"
                for name in values
            )
            query = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({holes})"
            connection.execute(sa.text(query), values)
    engine.close()
    with closing(Store(url, create=False)) as store:
        assert np.array_equal(store.vectors()[2], vector[None])
        assert [(each.name, each.consent) for each in store.people()] == [("bob", "by letter")]
        assert store.chip(1) == b"a chip"
        assert [search.names for search in audit_log.searched(store.database)] == [["b"]]
        with store.database.read() as connection:
            for rows_ in row_checksums.EVERY:
                assert list(row_checksums.damaged(connection, rows_)) == []
        assert JobSpool(store.database).jobs() == []


FACE = ("photo", "person", "box", "points", "agreement", "embedding")


def test_it_goes_on_being_used(old: Path) -> None:
    store = Store(old, create=False)
    assert len(store.add([photo(3)], MODEL)) == 1  # removed before
    assert store.add([photo(0)], MODEL) == []
    assert store.remove("bob").faces == 1
    assert [person.name for person in store.people()] == ["Zo\u00eb Ng", "mistake", "new name"]


def test_an_error_in_the_middle_leaves_the_older_one(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = dump(old)

    def fail(*fields: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    ((version,),) = rows(old, "SELECT version_num FROM alembic_version")
    with monkeypatch.context() as patch:
        patch.setattr(row_checksums, "fill_checksums", fail)
        with pytest.raises(GalleryError, match="disk is full"):
            Store(old, create=False)
    assert dump(old) == before
    Store(old, create=False).close()
    check_whole(old, str(version))


UPGRADE = """
import sys
from pathlib import Path
from facesearch.storage.store import Store
import alembic.command, facesearch.storage.schema
print("ready", flush=True)
Store(Path(sys.argv[1]), create=False)
print("done", flush=True)
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_one_or_the_other(old: Path, tmp_path: Path) -> None:
    ((version,),) = rows(old, "SELECT version_num FROM alembic_version")
    before, ends = dump(old), set()
    wait = 0.0
    while "done" not in ends:  # later and later, until it comes to its end
        folder = tmp_path / f"at-{wait:.3f}"
        shutil.copytree(old, folder)
        child = subprocess.Popen(
            [sys.executable, "-c", UPGRADE, folder], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        told = child.stdout.read()
        child.stdout.close()
        child.wait()
        ((found,),) = rows(folder, "SELECT version_num FROM alembic_version")
        if found == version:
            assert told == ""
            assert dump(folder) == before
        else:
            assert found == schema.SCHEMA  # never the one in between
        ends.add("done" if told else str(found))
        Store(folder, create=False).close()
        check_whole(folder, str(version))
        wait = 2 * wait + 0.02
    assert version in ends


@pytest.mark.slow
def test_two_programs_that_upgrade_at_once(old: Path) -> None:
    ((version,),) = rows(old, "SELECT version_num FROM alembic_version")
    children = [
        subprocess.Popen([sys.executable, "-c", UPGRADE, old], stdout=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [child.wait() for child in children] == [0, 0, 0]
    check_whole(old, str(version))


@pytest.mark.parametrize("newer", ["0007", "9999"])
def test_a_newer_gallery_is_refused_unharmed(tmp_path: Path, newer: str) -> None:
    Store(tmp_path, create=True).close()
    with closing(sqlite3.connect(tmp_path / "gallery.db")) as raw:
        assert raw.execute("SELECT * FROM alembic_version").fetchall() == [(schema.SCHEMA,)]
        raw.execute(f"UPDATE alembic_version SET version_num = '{newer}'")
        raw.commit()
    before = (tmp_path / "gallery.db").read_bytes()
    for create in (False, True):
        with pytest.raises(GalleryError, match="made by a newer facesearch"):
            Store(tmp_path, create=create)
    assert (tmp_path / "gallery.db").read_bytes() == before


@pytest.mark.parametrize("odd", ["0000", "00", "", "' 003'", "x"])
def test_a_version_that_never_was_is_damage(tmp_path: Path, odd: str) -> None:
    Store(tmp_path, create=True).close()
    with closing(sqlite3.connect(tmp_path / "gallery.db")) as raw:
        raw.execute("UPDATE alembic_version SET version_num = ?", [odd])
        raw.commit()
    before = (tmp_path / "gallery.db").read_bytes()
    with pytest.raises(GalleryError, match="not a gallery, or a damaged one"):
        Store(tmp_path, create=True)
    assert (tmp_path / "gallery.db").read_bytes() == before


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "gallery.db")) as raw:
        raw.execute("CREATE TABLE recipes (name TEXT)")
        raw.commit()
    before = (tmp_path / "gallery.db").read_bytes()
    with pytest.raises(GalleryError, match="not a gallery"):
        Store(tmp_path, create=True)
    assert (tmp_path / "gallery.db").read_bytes() == before


def test_an_older_gallery_that_cannot_be_written_to_says_so(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (old / "gallery.db").read_bytes()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(GalleryError, match="needs an update, but cannot be written to"):
        Store(old, create=False)
    assert (old / "gallery.db").read_bytes() == before
