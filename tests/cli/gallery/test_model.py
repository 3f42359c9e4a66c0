"""gallery reindex, drop-chips."""

import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

from facesearch.gallery.gallery import Gallery
from tests.support.commands import (
    GALLERY,
    Run,
    command,
)


def test_a_gallery_moves_to_another_model(run: Run, people: Path, tmp_path: Path) -> None:
    photos = [tmp_path / f"{number}.jpg" for number in range(3)]
    for photo, original in zip(photos, sorted(people.glob("person-00/*.jpg")), strict=False):
        photo.write_bytes(original.read_bytes())
    assert run("gallery", "set", "keep-chips", "on").err == "keep-chips is on now\n"
    assert run("enroll", "--name", "ann", photos[0]).code == 0
    assert run("gallery", "set", "keep-chips", "off").code == 0
    assert run("enroll", "--name", "ann", *photos[1:]).code == 0
    wrong = run("identify", photos[0], "--model", "accurate")
    assert wrong.code == GALLERY
    assert "`facesearch gallery reindex --model accurate`" in wrong.err
    for photo in photos[:2]:
        photo.unlink()
    refused = run("gallery", "reindex", "--model", "accurate", "--json")
    assert refused.code == GALLERY
    (missing,) = refused.lines
    assert list(missing) == ["name", "photo", "box", "reason"]
    assert (missing["name"], missing["photo"]) == ("ann", str(photos[1]))
    assert "stays with --model default" in refused.err
    (info,) = run("gallery", "info", "--json").lines
    assert info["unfinished_reindex"] == "to accurate: 2 of 3 faces done"
    assert (info["keeps_chips"], info["chips"]) == (False, 1)
    (done,) = run("gallery", "reindex", "--model", "accurate", "--drop-missing", "--json").lines
    assert done == {
        "model": "accurate",
        "former": "default",
        "faces": 2,
        "photo": 1,
        "points": 0,
        "chip": 1,
        "resumed": 2,
        "dropped": 1,
        "rejections_narrowed": 0,
    }
    again = run("gallery", "reindex", "--model", "accurate")
    assert (again.code, again.out) == (0, "")
    assert again.err == "the gallery uses --model accurate already; nothing to do\n"
    assert run("gallery", "drop-chips").err == "1 chip deleted\n"


def test_a_killed_reindex_goes_on(run: Run, people: Path, tmp_path: Path) -> None:
    """SIGKILL after the first batch: the old model answers, and the rest is what is left."""
    photos = []
    for copy in range(2):
        for number, original in enumerate(sorted(people.glob("*/*.jpg"))):
            photos.append(tmp_path / f"{copy}-{number}.jpg")
            photos[-1].write_bytes(original.read_bytes() + bytes(copy))  # another file
    copies = run("enroll", "--name", "ann", *photos[:36], "--include-doubtful")
    assert copies.code == 0
    before = run("people", "show", "ann", "--json").lines
    running = subprocess.Popen(command("gallery", "reindex", "--model", "accurate"))
    with closing(sqlite3.connect(tmp_path / "gallery" / "gallery.db")) as raw:
        while running.poll() is None:
            try:
                if raw.execute("SELECT count(*) FROM reembedded").fetchone()[0]:
                    break
            except sqlite3.OperationalError:
                pass  # no such table yet
            time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    with Gallery(tmp_path / "gallery") as gallery:
        assert gallery.info().unfinished_reindex == "to accurate: 32 of 36 faces done"
    assert run("people", "show", "ann", "--json").lines == before
    (done,) = run("gallery", "reindex", "--model", "accurate", "--json").lines
    assert (done["faces"], done["resumed"]) == (36, 32)
