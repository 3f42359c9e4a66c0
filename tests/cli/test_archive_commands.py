"""gallery reindex, set, export, import: what they print, where, and with which exit code."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from facesearch.core.progress import Silent
from facesearch.gallery.legacy import Gallery
from facesearch.vision.embedder import Embedder

GALLERY = 6


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", "from facesearch.cli import main; main()", *map(str, arguments)]


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=120, check=False
    )


def one(ran: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert ran.returncode == 0, ran.stderr
    (line,) = ran.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_gallery_moves_to_another_model(embedder: Embedder, people: Path, tmp_path: Path) -> None:
    photos = [tmp_path / f"{number}.jpg" for number in range(3)]
    for photo, original in zip(photos, sorted(people.glob("person-00/*.jpg")), strict=False):
        photo.write_bytes(original.read_bytes())
    assert run("gallery", "set", "keep-chips", "on").stderr == "keep-chips is on\n"
    with Gallery(tmp_path / "gallery") as gallery:
        list(gallery.enroll([("ann", photo) for photo in photos[:1]], embedder, Silent()))
        gallery.prefer("keep-chips", "off")
        list(gallery.enroll([("ann", photo) for photo in photos[1:]], embedder, Silent()))
    wrong = run("identify", photos[0], "--model", "accurate")
    assert wrong.returncode == GALLERY
    assert "`facesearch gallery reindex --model accurate`" in wrong.stderr
    for photo in photos[:2]:
        photo.unlink()
    refused = run("gallery", "reindex", "--model", "accurate", "--json")
    assert refused.returncode == GALLERY
    (missing,) = [json.loads(line) for line in refused.stdout.splitlines()]
    assert list(missing) == ["name", "photo", "box", "reason"]
    assert (missing["name"], missing["photo"]) == ("ann", str(photos[1]))
    assert "stays with --model default" in refused.stderr
    info = one(run("gallery", "info", "--json"))
    assert info["unfinished_reindex"] == "to accurate: 2 of 3 faces done"
    assert (info["keeps_chips"], info["chips"]) == (False, 1)
    done = one(run("gallery", "reindex", "--model", "accurate", "--drop-missing", "--json"))
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
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == "the gallery uses --model accurate already; nothing to do\n"
    assert run("gallery", "drop-chips").stderr == "1 chip deleted\n"


def test_a_killed_reindex_goes_on(embedder: Embedder, people: Path, tmp_path: Path) -> None:
    """SIGKILL after the first batch: the old model answers, and the rest is what is left."""
    photos = []
    for copy in range(2):
        for number, original in enumerate(sorted(people.glob("*/*.jpg"))):
            photos.append(tmp_path / f"{copy}-{number}.jpg")
            photos[-1].write_bytes(original.read_bytes() + bytes(copy))  # another file
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        asked = [("ann", photo) for photo in photos[:36]]
        list(gallery.enroll(asked, embedder, Silent(), insist=True))  # they are copies
        before = gallery._store.vectors()
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
        assert gallery._store.vectors()[0] == before[0]
    done = one(run("gallery", "reindex", "--model", "accurate", "--json"))
    assert (done["faces"], done["resumed"]) == (36, 32)


def test_an_archive_there_and_back(embedder: Embedder, hopper: Path, tmp_path: Path) -> None:
    with Gallery(tmp_path / "gallery", create=True) as gallery:
        gallery.prefer("keep-chips", "on")
        list(gallery.enroll([("Grace Hopper", hopper)], embedder, Silent()))
    file = tmp_path / "all.zip"
    assert one(run("gallery", "export", file, "--chips", "--json")) == {
        "file": str(file),
        "people": 1,
        "photos": 1,
        "faces": 1,
        "rejections": 0,
        "chips": 1,
    }
    again = run("gallery", "export", file)
    assert again.returncode == GALLERY
    assert again.stderr == f"error: {file}: is there already; replace it with --force\n"
    other = tmp_path / "other"
    done = one(run("gallery", "import", file, "--gallery", other, "--json"))
    assert (done["people_added"], done["faces_added"], done["chips_added"]) == (1, 1, 1)
    assert done["refused"] == []
    named = run("identify", hopper, "--gallery", other, "--json")
    assert json.loads(named.stdout)["name"] == "Grace Hopper"
    file.write_bytes(file.read_bytes()[:-30])
    bad = run("gallery", "import", file, "--gallery", tmp_path / "third")
    assert bad.returncode == GALLERY
    assert bad.stderr == f"error: {file}: no archive of a gallery: no zip file\n"
    assert not (tmp_path / "third").exists()
