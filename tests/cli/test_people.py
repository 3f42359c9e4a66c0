"""people, undo: what they print, and with which exit code."""

import csv
import io
import json
from pathlib import Path

from PIL import Image

from facesearch.storage.records import NewPhoto
from facesearch.storage.store import Store
from tests.support.commands import (
    PERSON,
    PHOTO,
    Run,
    one_line_error,
)
from tests.support.invented_photos import MODEL as STAMP
from tests.support.invented_photos import photo


def test_people_and_gallery(run: Run, people: Path, query: Path) -> None:
    assert run("enroll", "--tree", people).code == 0
    listed = run("people", "list", "--json")
    assert [line["name"] for line in listed.lines] == [f"person-{n:02}" for n in range(6)]
    assert {line["faces"] for line in listed.lines} == {5}
    shown = run("people", "show", "person-03", "--csv")
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    assert [Path(row["photo"]).name for row in rows] == [f"pose-{n}.jpg" for n in range(5)]
    assert len(json.loads(rows[0]["box"])) == 4
    assert run("people", "rename", "person-03", "Zoë 'Z' O'Neil").code == 0
    one_line_error(run("people", "rename", "person-00", "person-01"), PERSON, "taken")
    one_line_error(run("people", "show", "person-03"), PERSON, "person-03", "nobody")
    refused = run("people", "remove", "person-00", answer="n\n")
    assert refused.code == 1
    assert run("people", "remove", "Zoë 'Z' O'Neil", "--yes").code == 0
    (info,) = run("gallery", "info", "--json").lines
    assert (info["people"], info["faces"], info["photos"]) == (5, 25, 25)
    assert (info["model"], info["index"]) == ("default", "current")
    again = run("enroll", "--tree", people, "--json")
    statuses = [line["status"] for line in again.lines]
    assert statuses.count("duplicate") == 25
    assert statuses.count("enrolled") == 5


def test_people_are_corrected_and_undone(run: Run, two_people: Path, tmp_path: Path) -> None:
    assert run("enroll", "--tree", two_people).code == 0
    shown = run("people", "show", "bob", "--json", "--contact-sheet", tmp_path / "sheet.jpg")
    assert [Path(row["photo"]).name for row in shown.lines] == [
        "pose-0.jpg",
        "pose-1.jpg",
        "pose-4.jpg",
    ]
    assert sorted(row["note"] for row in shown.lines) == ["", "least typical", "most typical"]
    assert all(0 < row["distance"] < 1 and row["agreement"] <= 1 for row in shown.lines)
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.size == (960, 186)
    numbers = [row["face"] for row in shown.lines]
    table = run("people", "show", "bob")
    assert "bob: 3 faces in 3 photos" in table.err
    assert "pixels wide" in table.err

    done = run("people", "split", "bob", "--faces", f"{numbers[0]}", "--into", "carl", "--json")
    (row,) = done.lines
    told = {"action": "split", "name": "bob", "other": "carl", "faces": 1}
    assert {key: row[key] for key in told} == told
    assert row["what"] == "1 face of bob became carl's"
    merged = run("people", "merge", "Zoë", "carl")
    assert (merged.code, merged.out) == (0, "")
    listed = run("undo", "--list", "--json")
    assert [row["what"] for row in listed.lines] == [
        "carl was merged into Zoë (1 face)",
        "1 face of bob became carl's",
    ]
    assert run("undo").err == "undone: carl was merged into Zoë (1 face)\n"
    assert run("undo", "--json").lines[0]["undone"] == "split"
    nothing = run("undo")
    assert (nothing.code, nothing.err.count("error: nothing to undo")) == (PERSON, 1)
    assert run("people", "split", "bob", "--faces", "a", "--into", "carl").code == 2


def test_a_rejected_face(run: Run, two_people: Path) -> None:
    assert run("enroll", "--tree", two_people).code == 0
    photo = two_people / "bob" / "pose-4.jpg"
    done = run("people", "reject", "bob", photo, "--json")
    (row,) = done.lines
    assert (row["rejection"], row["face"], row["taken_out"]) == (1, 0, 1)
    (answer,) = run("identify", photo, "--threshold", "0.5", "--json").lines
    assert answer["name"] != "bob"
    assert "rejected as theirs" in answer["reason"]
    (kept,) = run("people", "rejections", "--json").lines
    assert (kept["name"], kept["photo"], kept["box"]) == ("bob", str(photo), row["box"])
    assert run("people", "rejections", "--forget", "1").code == 0
    assert run("people", "rejections", "--json").lines == []
    (answer,) = run("identify", photo, "--threshold", "0.5", "--json").lines
    assert answer["name"] == "bob"
    assert run("people", "reject", "bob", two_people / "no.jpg").code == PHOTO
    assert run("people", "reject", "nobody", photo).code == PERSON


def test_removed_undone_and_purged(run: Run, two_people: Path, tmp_path: Path) -> None:
    assert run("enroll", "--tree", two_people).code == 0
    assert run("people", "remove", "Zoë", answer="n\n").code == 1
    assert run("people", "remove", "Zoë", answer="y\n").code == 0
    assert [row["name"] for row in run("people", "list", "--json").lines] == ["bob"]
    assert run("undo").code == 0
    assert len(run("people", "list", "--json").lines) == 2
    assert run("people", "remove", "Zoë", "--yes").code == 0
    refused = run("people", "remove", "Zoë", "--purge", answer="n\n")
    assert refused.code == 1
    assert "Purge 'Zoë' (3 faces), for good?" in refused.err
    purged = run("people", "remove", "Zoë", "--purge", "--yes", "--json")
    assert purged.lines == [{"action": "purge", "name": "Zoë", "faces": 3}]
    for path in (tmp_path / "gallery").iterdir():
        content = path.read_bytes()
        assert "Zoë".encode() not in content
        assert b"Zo\\u00eb" not in content
    assert run("people", "remove", "Zoë", "--purge", "--yes").code == PERSON


def test_terms_and_moved_photos(run: Run, two_people: Path) -> None:
    assert run("enroll", "--tree", two_people).code == 0
    assert run("people", "set", "bob").code == 2
    assert run("people", "set", "bob", "--expires", "soon").code == PERSON
    done = run("people", "set", "bob", "--expires", "2001-02-03", "--consent", "by mail")
    assert done.err == "'bob': expires 2001-02-03; consent: by mail\n"
    row = run("people", "list", "--json").lines[1]
    assert (row["expires"], row["consent"]) == ("2001-02-03", "by mail")
    assert "expires after 2001-02-03" in run("people", "show", "bob").err
    dry = run("gallery", "purge-expired", "--dry-run", "--json")
    assert dry.lines == [{"name": "bob", "faces": 3, "expires": "2001-02-03", "purged": False}]
    assert run("gallery", "purge-expired").err == "1 person purged\n"
    assert run("gallery", "purge-expired", "--json").lines == []

    (two_people / "Zoë").rename(two_people / "moved")
    found = run("gallery", "relink", two_people, "--json")
    assert found.code == 0
    assert {row["status"] for row in found.lines} == {"relinked"}
    assert Path(found.lines[0]["photo"]).parent == two_people / "moved"
    (two_people / "moved" / "pose-4.jpg").unlink()
    missing = run("gallery", "relink", two_people)
    assert missing.code == 1
    assert missing.err == "0 relinked, 1 still missing, 2 unchanged\n"
    assert run("gallery", "relink", two_people / "nowhere").code == PHOTO


def invented(folder: Path, *photos: NewPhoto) -> None:
    """A gallery of photos that nobody has taken."""
    store = Store(folder, create=True)
    store.add(list(photos), STAMP)
    store.close()


def test_what_a_terminal_would_obey_is_written_out(run: Run, tmp_path: Path) -> None:
    """In a path, and in a note that an earlier version took."""
    store = Store(tmp_path / "gallery", create=True)
    store.add([photo("ann", 1, path=Path("/photos/a\x1b[31m\nb.jpg"))], STAMP)
    with store.database.write("note", {}) as connection:
        connection.exec_driver_sql("UPDATE people SET consent = 'März \x1b[2J'")
    store.close()
    for arguments in (("people", "list"), ("people", "show", "ann"), ("gallery", "doctor")):
        ran = run(*arguments)
        assert "\x1b" not in ran.out + ran.err, arguments
    assert "März \\x1b[2J" in run("people", "list").out
    assert "/photos/a\\x1b[31m\\nb.jpg" in run("people", "show", "ann").out
    assert run("people", "list", "--json").lines[0]["consent"] == "März \x1b[2J"
    refused = run("people", "set", "ann", "--consent", "\x1b[31m")
    assert refused.code == PERSON
    assert refused.err == "error: ann: a note must not hold control or broken characters\n"


def test_names_are_told_as_they_are_kept(run: Run, tmp_path: Path) -> None:
    invented(tmp_path / "gallery", photo("ann", 1), photo("ann", 2), photo("bob", 3))
    done = run("people", "rename", " ann ", "  Zoe\u0301  ", "--json")
    (row,) = done.lines
    assert (row["action"], row["name"], row["old"]) == ("rename", "Zo\u00e9", "ann")
    assert done.err == "'ann' is called 'Zo\u00e9' now\n"
    done = run("people", "split", "Zo\u00e9", "--faces", "1", "--into", " carl ", "--json")
    assert (done.lines[0]["name"], done.lines[0]["other"]) == ("Zo\u00e9", "carl")
    done = run("people", "merge", " bob", "carl ", "--json")
    assert (done.lines[0]["name"], done.lines[0]["other"]) == ("bob", "carl")
    assert run("people", "remove", "bob ", "--yes", "--json").lines[0]["name"] == "bob"


def test_who_was_merged_is_not_purged_alone(run: Run, tmp_path: Path) -> None:
    invented(tmp_path / "gallery", photo("Hugh", 1), photo("George", 2))
    assert run("people", "merge", "Hugh", "George").code == 0
    refused = run("people", "remove", "George", "--purge")  # nothing to ask about
    assert refused.code == PERSON
    assert refused.err.startswith("error: George: was merged into Hugh; undo the merge")
    assert run("undo").code == 0
    assert run("people", "remove", "George", "--purge", "--yes").code == 0
