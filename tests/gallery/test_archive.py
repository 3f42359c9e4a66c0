"""One file of everything: what goes in comes out, and nothing else does."""

import json
import os
import resource
import signal
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from facesearch.core.errors import GalleryError
from facesearch.core.face import Box, Face
from facesearch.gallery import archive_format as module
from facesearch.gallery.archive_export import export
from facesearch.gallery.archive_format import (
    CHIPS,
    EMBEDDINGS,
    FACES,
    MANIFEST,
    PEOPLE,
    PHOTOS,
    REJECTED,
    REJECTIONS,
    Archive,
)
from facesearch.gallery.archive_import import Merged, merge
from facesearch.storage.records import NewPhoto
from facesearch.storage.store import Store
from robustness.fuzz_archives import MODEL, fuzz, invented, packed, unpacked

ROWS = {
    "people": "name, created, expires, consent",
    "photos": "path, sha256, width, height, added",
    "faces": "box, points, score, embedding, agreement",
    "chips": "image",
    "rejections": "sha256, box, embedding, at",
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return invented(tmp_path / "gallery", 6, 0)


@pytest.fixture
def file(store: Store, tmp_path: Path) -> Path:
    export(store, tmp_path / "all.zip", chips=True)
    return tmp_path / "all.zip"


def everything(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.database.read() as connection:
        return {
            table: [
                tuple(row) for row in connection.exec_driver_sql(f"SELECT {columns} FROM {table}")
            ]
            for table, columns in ROWS.items()
        }


def imported(file: Path, folder: Path) -> tuple[Store, Merged]:
    with Archive(file) as archive:
        store = Store(folder, create=True)
        return store, merge(store, archive)


def changed(file: Path, to: Path, member: str, line: int, fields: dict[str, object]) -> Path:
    """The archive with other fields in a line, and with checksums that fit."""
    members = unpacked(file.read_bytes())
    lines = members[member].splitlines(keepends=True)
    lines[line] = json.dumps(json.loads(lines[line]) | fields).encode() + b"\n"
    members[member] = b"".join(lines)
    to.write_bytes(packed(members))
    return to


def one_photo(name: str, sha256: str, box: Box, seed: int = 9) -> NewPhoto:
    vector = np.random.default_rng(seed).normal(size=(1, MODEL.dimension))
    points = tuple((float(x), float(x * x)) for x in range(5))
    return NewPhoto(
        name,
        Path("/photos/one.jpg"),
        sha256,
        640,
        480,
        [Face(box, points, 0.5)],
        (vector / np.linalg.norm(vector)).astype(np.float32),
        [0.9],
    )


def test_what_goes_in_comes_out(store: Store, file: Path, tmp_path: Path) -> None:
    with store.database.write("note", {}) as connection:
        connection.exec_driver_sql(
            "UPDATE people SET expires = '2031-05-01', consent = 'asked; said yes' WHERE id = 2"
        )
    export(store, file, chips=True, force=True)
    other, merged = imported(file, tmp_path / "other")
    assert everything(other) == everything(store)
    assert other.model() == store.model() == MODEL
    assert merged == module_merged(people_added=3, photos_added=6, faces_added=9, chips_added=6)
    assert np.array_equal(other.vectors()[2], store.vectors()[2])
    odd = [face.photo for face in other.faces_of("person 0 0 é")]
    assert os.fsencode(odd[-1]) == b"/photos/caf\xe9/1.jpg"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob("*.partial")) == []


def module_merged(**counts: int) -> object:
    from facesearch.gallery.archive_import import Merged

    fields = dict.fromkeys(Merged.__dataclass_fields__, 0) | {"rejections_added": 2, **counts}
    return Merged(**(fields | {"refused": [], "contradicted": []}))  # type: ignore[arg-type]


def test_the_format_is_what_is_documented(file: Path, store: Store) -> None:
    members = unpacked(file.read_bytes())
    assert sorted(members) == sorted([MANIFEST, *module.MEMBERS, CHIPS])
    manifest = json.loads(members[MANIFEST])
    assert (manifest["format"], manifest["version"]) == ("facesearch gallery", 1)
    assert manifest["model"] == {"name": "invented", "fingerprint": "f" * 64, "dimension": 16}
    counts = {"people": 3, "photos": 6, "faces": 9, "rejections": 2, "chips": 6}
    assert manifest["counts"] == counts
    vectors = np.frombuffer(members[EMBEDDINGS], "<f4").reshape(-1, 16)
    assert np.array_equal(vectors, store.vectors()[2])
    face = json.loads(members[FACES].splitlines()[1])
    assert list(face) == ["photo", "person", "box", "points", "score", "agreement", "chip"]
    first = members[CHIPS][: face["chip"]]
    assert first[:4] == b"RIFF"
    photos = [json.loads(line) for line in members[PHOTOS].splitlines()]
    assert photos[0]["path"] == "/photos/0"
    assert bytes.fromhex(photos[1]["path_bytes"]) == b"/photos/caf\xe9/1.jpg"


def test_without_chips(store: Store, tmp_path: Path) -> None:
    assert export(store, tmp_path / "few.zip").chips == 0
    with zipfile.ZipFile(tmp_path / "few.zip") as found:
        assert CHIPS not in found.namelist()
    _, merged = imported(tmp_path / "few.zip", tmp_path / "other")
    assert merged == module_merged(people_added=3, photos_added=6, faces_added=9)


def test_a_second_import_adds_nothing(store: Store, file: Path, tmp_path: Path) -> None:
    other, _ = imported(file, tmp_path / "other")
    before = everything(other)
    _, merged = imported(file, tmp_path / "other")
    expected = module_merged(people_joined=3, photos_known=6, faces_known=9)
    assert merged == replace(expected, rejections_added=0, rejections_known=2)  # type: ignore[type-var]
    assert everything(other) == before


def test_two_galleries_become_one(store: Store, file: Path, tmp_path: Path) -> None:
    """People of one name are one; a photo known keeps its faces and gets the others."""
    shared = json.loads(unpacked(file.read_bytes())[PHOTOS].splitlines()[1])["sha256"]
    other = Store(tmp_path / "other", create=True)
    first = one_photo("person 0 0 é", "a" * 64, Box(0, 0, 10, 10))
    # the first of the photo's two faces, as another's
    second = one_photo("bob", shared, Box(22, 20, 81, 90), seed=8)
    other.add([first, second], MODEL)
    with other.database.write("note", {}) as connection:
        connection.exec_driver_sql("UPDATE people SET consent = 'mine', expires = '2030-01-01'")
    _, merged = imported(file, tmp_path / "other")
    assert (merged.people_added, merged.people_joined) == (2, 1)
    assert (merged.photos_added, merged.photos_known) == (5, 1)
    assert (merged.faces_added, merged.faces_known) == (8, 0)
    (refused,) = merged.refused
    assert (refused.photo, refused.name) == (Path("/photos/one.jpg"), "person 0 0 é")
    assert refused.reason == "this face is enrolled here as bob"
    counts = {person.name: person.faces for person in other.people()}
    assert counts == {"bob": 1, "person 0 0 é": 3, "person 0 1 é": 3, "person 0 2 é": 3}
    with other.database.read() as connection:
        query = "SELECT name, consent FROM people ORDER BY id LIMIT 3"
        found = [tuple(row) for row in connection.exec_driver_sql(query)]
    assert found == [("person 0 0 é", "mine"), ("bob", "mine"), ("person 0 1 é", None)]
    owners = other.vectors()[1]
    assert len(other.person_faces(owners.tolist())) == 4, "every checksum is right"


def test_a_face_that_was_rejected_stays_out(store: Store, file: Path, tmp_path: Path) -> None:
    face = json.loads(unpacked(file.read_bytes())[FACES].splitlines()[0])
    sha256 = json.loads(unpacked(file.read_bytes())[PHOTOS].splitlines()[0])["sha256"]
    other = Store(tmp_path / "other", create=True)
    other.add([one_photo("person 0 0 é", "a" * 64, Box(0, 0, 10, 10))], MODEL)
    with other.database.write("reject", {}) as connection:
        connection.exec_driver_sql(
            "INSERT INTO rejections (person, sha256, box, embedding, at) VALUES "
            "(1, ?, ?, x'', '2026-01-01')",
            (sha256, json.dumps(face["box"])),
        )
    _, merged = imported(file, tmp_path / "other")
    assert [refused.reason for refused in merged.refused] == [
        "it was rejected here as person 0 0 é's"
    ]
    assert (merged.faces_added, merged.photos_added) == (8, 5)


def test_a_face_that_was_rejected_there_stays_and_is_said(file: Path, tmp_path: Path) -> None:
    """In the same photo and place, or so near that it is a copy; not a face of another."""
    members = unpacked(file.read_bytes())
    (first, *_), photos = members[REJECTIONS].splitlines(), members[PHOTOS].splitlines()
    said = json.loads(first)
    name = json.loads(members[PEOPLE].splitlines()[said["person"]])["name"]
    vector = np.frombuffer(members[REJECTED], "<f4")[: MODEL.dimension]
    known = {json.loads(line)["sha256"] for line in photos}
    assert said["sha256"] not in known
    assert said["embedding"]
    other = Store(tmp_path / "other", create=True)
    same = one_photo(name, said["sha256"], Box(*said["box"]))
    copy = replace(one_photo(name, "b" * 64, Box(0, 0, 9, 9)), path=Path("/photos/copy.jpg"))
    copy.embeddings[0] = vector
    far = one_photo(name, "c" * 64, Box(0, 0, 9, 9), seed=12)
    anothers = one_photo("bob", "d" * 64, Box(0, 0, 9, 9))
    anothers.embeddings[0] = vector
    other.add([same, copy, far, anothers], MODEL)
    _, merged = imported(file, tmp_path / "other")
    assert [(each.photo.name, each.name) for each in merged.contradicted] == [
        ("one.jpg", name),
        ("copy.jpg", name),
    ]
    assert "rejected as theirs in the archive" in merged.contradicted[0].reason
    assert merged.refused == []
    assert merged.rejections_added == 2
    numbers = [face.number for face in other.faces_of(name)]
    assert numbers[:3] == [1, 2, 3], "they stay"


def test_removed_people_stay_behind_and_do_not_come_back(
    store: Store, file: Path, tmp_path: Path
) -> None:
    with store.database.write("remove", {}) as connection:
        from facesearch.storage.schema import person_checksum, removed_name

        name = removed_name("person 0 0 é", 1)
        connection.exec_driver_sql(
            "UPDATE people SET name = ?, removed = ?, checksum = ? WHERE id = 1",
            (name, datetime.now(UTC).isoformat(), person_checksum(1, name)),
        )
    contents = export(store, tmp_path / "rest.zip", chips=True)
    assert (contents.people, contents.faces, contents.rejections) == (2, 6, 0)
    for content in unpacked((tmp_path / "rest.zip").read_bytes()).values():
        assert "person 0 0 é".encode() not in content
    # a removed person here, and the same name in the archive: somebody new
    _, merged = imported(file, tmp_path / "gallery")
    assert (merged.people_added, merged.faces_added, merged.faces_known) == (1, 3, 6)
    assert {person.name for person in store.people()} == {
        f"person 0 {number} é" for number in range(3)
    }


def test_another_model_is_refused(file: Path, tmp_path: Path) -> None:
    other = Store(tmp_path / "other", create=True)
    other.add([one_photo("bob", "a" * 64, Box(0, 0, 9, 9))], replace(MODEL, fingerprint="e" * 64))
    before = everything(other), other.revision()
    with pytest.raises(GalleryError, match="give both the same model with `facesearch gallery re"):
        imported(file, tmp_path / "other")
    assert (everything(other), other.revision()) == before


def test_an_empty_gallery(tmp_path: Path) -> None:
    export(Store(tmp_path / "empty", create=True), tmp_path / "empty.zip", chips=True)
    store, merged = imported(tmp_path / "empty.zip", tmp_path / "other")
    assert store.people() == []
    assert store.model() is None
    assert merged == module_merged(rejections_added=0)


def test_a_file_is_not_overwritten(store: Store, file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    with pytest.raises(GalleryError, match="is there already; replace it with --force"):
        export(store, file)
    assert file.read_bytes() == content
    export(store, file, force=True)
    assert file.read_bytes() != content
    with pytest.raises(GalleryError, match="cannot be written"):
        export(store, tmp_path / "nowhere" / "all.zip")


def test_the_gallerys_own_files_are_not_replaced(store: Store, tmp_path: Path) -> None:
    inside = tmp_path / "gallery" / "inside"
    inside.mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "gallery")
    for file in (
        tmp_path / "gallery" / "gallery.db",
        tmp_path / "link" / "new.zip",
        inside / "new.zip",
    ):
        with pytest.raises(GalleryError, match="lies in the gallery's own folder"):
            export(store, file, force=True)
        assert file.exists() == (file.name == "gallery.db")
    assert len(store.people()) == 3


def test_notes_of_earlier_versions_can_be_exported(store: Store, tmp_path: Path) -> None:
    with store.database.write("note", {}) as connection:
        connection.exec_driver_sql("UPDATE people SET consent = 'März \x1b[31m' WHERE id = 2")
    export(store, tmp_path / "all.zip")
    with Archive(tmp_path / "all.zip") as archive:
        assert [person.consent for person in archive.people()] == [None, "März \\x1b[31m", None]


def test_a_failed_export_leaves_the_old_file(store: Store, file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    with store.database.write("harm", {}) as connection:
        connection.exec_driver_sql("UPDATE faces SET agreement = 0.5 WHERE id = 9")
    with pytest.raises(GalleryError, match="damaged: face 9"):
        export(store, file, force=True)
    assert file.read_bytes() == content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all.zip", "gallery"]


def test_a_disk_without_room_is_told_of_the_archive(store: Store, file: Path) -> None:
    """No file may grow beyond 50 kB for a moment."""
    content = file.read_bytes()
    assert len(content) > 100_000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(GalleryError, match=r"all\.zip: cannot be written \(File too large\)"):
            export(store, file, chips=True, force=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert file.read_bytes() == content
    assert list(file.parent.glob("*.partial")) == []


@pytest.mark.parametrize(
    ("name", "line", "fields", "message"),
    [
        (PEOPLE, 0, {"name": " ann"}, "people.jsonl, line 1: name: a name that is not clean"),
        (PEOPLE, 1, {"name": "person 0 0 é"}, "people.jsonl, line 2: a name that is there twice"),
        (PEOPLE, 0, {"name": "ann\0"}, "people.jsonl, line 1"),
        (PEOPLE, 0, {"expires": "tomorrow"}, "people.jsonl, line 1: expires: Invalid isoformat"),
        (
            PEOPLE,
            0,
            {"created": None},
            "people.jsonl, line 1: created: Input should be a valid str",
        ),
        (PEOPLE, 0, {"consent": "\x1b[31m"}, "people.jsonl, line 1: consent: a note with control"),
        (PHOTOS, 2, {"sha256": "../../x"}, "photos.jsonl, line 3: sha256: String should match"),
        (PHOTOS, 0, {"path": "a\0b"}, "photos.jsonl, line 1: no path"),
        (
            PHOTOS,
            0,
            {"width": True},
            "photos.jsonl, line 1: width: Input should be a valid integer",
        ),
        (FACES, 0, {"photo": 6}, "faces.jsonl, line 1: photo: line 6 of 6"),
        (FACES, 0, {"person": -1}, "faces.jsonl, line 1: person: Input should be greater than or"),
        (FACES, 0, {"box": [0, 0, 0, 1]}, "line 1: box: a box without an inside"),
        (FACES, 0, {"points": [[1, 1]] * 5}, "line 1: points: eyes in one place"),
        (FACES, 0, {"agreement": "much"}, "line 1: agreement: Input should be a valid number"),
        (FACES, 1, {"chip": None}, "faces.jsonl"),
        (FACES, 1, {"chip": 10**9}, "faces.jsonl, line 2: chip: Input should be less than"),
        (FACES, 0, {"box": [0, 0, 1]}, "line 1: box: List should have at least 4 items"),
        (FACES, 0, {"score": float("nan")}, "line 1: score: Input should be a finite number"),
    ],
)
def test_rows_are_checked(
    file: Path, tmp_path: Path, name: str, line: int, fields: dict[str, object], message: str
) -> None:
    bad = changed(file, tmp_path / "bad.zip", name, line, fields)
    with pytest.raises(GalleryError, match=message) as error:
        Archive(bad)
    assert str(error.value).startswith(f"{bad}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("../evil", "a member that does not belong there"),
        ("/etc/passwd", "a member that does not belong there"),
        ("chips/0.webp", "a member that does not belong there"),
        (PEOPLE, "people.jsonl is there twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_are_those_that_are_known(
    file: Path, tmp_path: Path, member: str, message: str
) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(member, b"evil")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(GalleryError, match=message):
        Archive(file)
    assert sorted(tmp_path.rglob("*")) == before


def test_bombs_are_not_unpacked(file: Path, tmp_path: Path) -> None:
    members = unpacked(file.read_bytes())
    members[PEOPLE] += b" " * 30_000_000
    bomb = tmp_path / "bomb.zip"
    bomb.write_bytes(packed(members))
    with pytest.raises(GalleryError, match=r"people.jsonl unpacks to more than it may"):
        Archive(bomb)
    with zipfile.ZipFile(bomb, "w") as archive:
        for number in range(3000):
            archive.writestr(str(number), b"")
    with pytest.raises(GalleryError, match="too many members"):
        Archive(bomb)


def test_a_flipped_bit_is_noticed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        at = archive.getinfo(EMBEDDINGS).header_offset + 100
    content[at] ^= 1
    file.write_bytes(content)
    with pytest.raises(GalleryError, match=r"embeddings\.f32 is damaged"):
        Archive(file)


def test_checksums_are_those_of_the_manifest(file: Path, tmp_path: Path) -> None:
    members = unpacked(file.read_bytes())
    members[PEOPLE] = members[PEOPLE].replace(b"person", b"parson")
    (tmp_path / "bad.zip").write_bytes(packed(members, true=False))
    with pytest.raises(GalleryError, match=r"people\.jsonl is damaged: its checksum is another"):
        Archive(tmp_path / "bad.zip")


def test_what_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="cannot be read"):
        Archive(tmp_path / "nowhere.zip")
    with pytest.raises(GalleryError, match="not a file"):
        Archive(tmp_path)
    (tmp_path / "text").write_text("no archive")
    with pytest.raises(GalleryError, match="no archive of a gallery"):
        Archive(tmp_path / "text")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as other:
        other.writestr("a", "b")
    with pytest.raises(GalleryError, match="it has no manifest"):
        Archive(tmp_path / "other.zip")


def test_a_newer_format_says_so(file: Path, tmp_path: Path) -> None:
    members = unpacked(file.read_bytes())
    members[MANIFEST] = members[MANIFEST].replace(b'"version": 1', b'"version": 2')
    file.write_bytes(packed(members))
    with pytest.raises(GalleryError, match="of another version of the format; update facesearch"):
        Archive(file)


@pytest.mark.slow
def test_archives_that_nobody_wrote(tmp_path: Path) -> None:
    """A few of the inputs of robustness/fuzz_archives.py, which has many more."""
    (tmp_path / "work").mkdir()
    tally = fuzz(tmp_path / "work", 260, seed=7)
    assert tally.refused.total() + tally.accepted.total() == 260
    assert tally.refused.total() > 200
