"""gallery doctor: what it finds, and with which exit code."""

from pathlib import Path

from facesearch.storage.cache_file import INDEX
from tests.support.commands import GALLERY, Run, one_line_error


def test_what_is_wrong_is_found_and_repaired(run: Run, people: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gallery"
    assert run("enroll", "--name", "ann", people / "person-00").code == 0
    sound = run("gallery", "doctor", "--json")
    assert (sound.code, sound.out, sound.err) == (0, "", "all is well\n")
    (folder / f"{INDEX}.new").write_text("half")
    found = run("gallery", "doctor", "--json")
    assert (found.code, found.err) == (1, "1 finding, 0 repaired\n")
    assert found.lines == [
        {
            "kind": "leftover",
            "what": f"{folder / INDEX}.new: left by a program that was stopped",
            "severity": "note",
            "repair": "removes it",
            "repaired": False,
        }
    ]
    repaired = run("gallery", "doctor", "--repair")
    assert (repaired.code, repaired.err) == (0, "1 finding, 1 repaired\n")
    assert run("gallery", "doctor", "--photos").code == 0
    one_line_error(run("gallery", "doctor", "--gallery", folder / "nowhere"), GALLERY, "nowhere")
