"""gallery export, import."""

from pathlib import Path

from tests.support.commands import (
    GALLERY,
    Run,
)


def test_an_archive_there_and_back(run: Run, hopper: Path, tmp_path: Path) -> None:
    assert run("gallery", "set", "keep-chips", "on").code == 0
    assert run("enroll", "--name", "Grace Hopper", hopper).code == 0
    file = tmp_path / "all.zip"
    (row,) = run("gallery", "export", file, "--chips", "--json").lines
    assert row == {
        "file": str(file),
        "people": 1,
        "photos": 1,
        "faces": 1,
        "rejections": 0,
        "chips": 1,
    }
    again = run("gallery", "export", file)
    assert again.code == GALLERY
    assert again.err == f"error: {file}: is there already; replace it with --force\n"
    other = tmp_path / "other"
    (done,) = run("gallery", "import", file, "--gallery", other, "--json").lines
    assert (done["people_added"], done["faces_added"], done["chips_added"]) == (1, 1, 1)
    assert done["refused"] == []
    named = run("identify", hopper, "--gallery", other, "--json")
    assert named.lines[0]["name"] == "Grace Hopper"
    file.write_bytes(file.read_bytes()[:-30])
    bad = run("gallery", "import", file, "--gallery", tmp_path / "third")
    assert bad.code == GALLERY
    assert bad.err == f"error: {file}: no archive of a gallery: no zip file\n"
    assert not (tmp_path / "third").exists()
