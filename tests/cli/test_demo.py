"""demo: the five-minute tour, as a user without a checkout takes it."""

import re
from pathlib import Path

from PIL import Image

from facesearch.demo.tour import STEPS
from tests.support.commands import Run, one_line_error, run_process


def test_the_tour(tmp_path: Path) -> None:
    """Every command is shown before its output, which is what the tour says it is."""
    out = tmp_path / "elsewhere" / "tour"
    mine = {"FACESEARCH_GALLERY": str(tmp_path / "mine"), "FACESEARCH_MODEL": "nonsense"}
    ran = run_process("demo", out, cwd=tmp_path, **mine)
    assert ran.code == 0, ran
    parts = re.split(r"^\$ facesearch (.*)\n", ran.out, flags=re.MULTILINE)
    said = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert list(said) == [" ".join(step.arguments) for step in STEPS]
    enrolled, listed, known, stranger, party, same, different = said.values()
    assert ran.err.startswith("4 people: 12 enrolled, 0 known already, 0 skipped, 0 held back\n")
    assert enrolled.split("#")[0].strip() == ""
    assert re.findall(r"^(\w+) +3 +3$", listed, re.MULTILINE) == ["Ada", "Bo", "Cleo", "Dan"]
    assert re.findall(r"match +(\w+)", known) == ["Ada"]
    assert re.search(r"stranger\.jpg +0 +unknown ", stranger)
    assert sorted(re.findall(r"match +(\w+)", party)) == ["Ada", "Cleo"]
    assert party.count("unknown") == 1
    assert " yes " in same
    assert " no " in different
    with Image.open(out / "party-named.jpg") as named, Image.open(out / "queries/party.jpg") as old:
        assert named.size == old.size
    assert not (tmp_path / "mine").exists()


def test_files_of_others_are_left_alone(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    (folder / "people").mkdir(parents=True)
    (folder / "people" / "me.jpg").write_text("mine")
    one_line_error(run("demo", folder), 3, str(folder), "holds other files")
    assert (folder / "people" / "me.jpg").read_text() == "mine"
    assert not (folder / "queries").exists()
    one_line_error(run("demo", folder / "people" / "me.jpg"), 3, "me.jpg")
