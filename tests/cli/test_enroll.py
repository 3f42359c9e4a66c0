"""enroll: what it prints, and with which exit code."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.commands import (
    DATA,
    GALLERY,
    MODEL,
    NOTHING,
    PERSON,
    PHOTO,
    Run,
    one_line_error,
)


def test_bad_input_is_one_line_and_a_code(
    run: Run, hopper: Path, no_face: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    (tmp_path / "void").mkdir()
    gone = tmp_path / "gone.jpg"
    one_line_error(run("identify", hopper), GALLERY, "no gallery here yet")
    gallery = tmp_path / "another"
    assert run("enroll", "--name", "Eve", hopper, "--gallery", gallery).code == 0
    for photo, reason in (
        (gone, "no such file"),
        (tmp_path / "void", "a folder without a photo"),
        (text, "not an image"),
        (no_face, "no face found"),
    ):
        failed = run("enroll", "--name", "a", photo)
        one_line_error(failed, NOTHING, "no photo was enrolled")
        assert reason in failed.out
    one_line_error(run("identify", gone, "--gallery", gallery), PHOTO, str(gone), "no such file")
    one_line_error(run("enroll", "--name", "", hopper), PERSON, "empty")
    one_line_error(run("enroll", "--name", "x" * 300, hopper), PERSON, "300 characters")
    one_line_error(run("enroll", "--tree", tmp_path / "void"), DATA, "no folder of photos")
    one_line_error(run("compare", hopper, text), PHOTO, str(text), "not an image")
    one_line_error(run("--model", "nobody", "compare", hopper, hopper), MODEL, "nobody")
    for usage in (
        ("enroll", hopper),
        ("enroll", "--tree", "--name", "a", hopper),
        ("identify",),
        ("nonsense",),
        ("identify", hopper, "--top", "0"),
        ("identify", hopper, "--threshold", "3"),
    ):
        assert run(*usage).code == 2
    assert run("enroll", "--name", "Grace", hopper).code == 0
    mixed = run("identify", text, hopper, "--json")
    one_line_error(mixed, PHOTO, "not an image")
    assert [line["name"] for line in mixed.lines] == ["Grace"]


@pytest.mark.parametrize(
    "name", ["Ada Lovelace", "José Ñandú", 'O\'Brien "Bob"', "\U0001f600", "<script>", "--odd--"]
)
def test_names_of_all_kinds(run: Run, hopper: Path, query: Path, name: str, tmp_path: Path) -> None:
    assert run("enroll", f"--name={name}", hopper).code == 0
    found = run("identify", query, "--json", "--annotate", tmp_path / "named.png")
    assert [line["name"] for line in found.lines] == [name]
    assert (tmp_path / "named.png").exists()
    assert name in run("people", "list").out


def test_quiet_says_only_what_matters(run: Run, hopper: Path, tmp_path: Path) -> None:
    """Warnings go, the result of the command stays."""
    tree = tmp_path / "tree"
    (tree / "Grace").mkdir(parents=True)
    for place in (tree, tree / "Grace"):
        shutil.copy(hopper, place / "portrait.jpg")
    loud, quiet = (
        run("enroll", "--tree", tree, "--gallery", tmp_path / name, "--json", *options)
        for name, options in (("loud", ()), ("quiet", ("--quiet",)))
    )
    assert loud.out == quiet.out
    assert "warning: 1 photo beside the folders of people: left out" in loud.err
    assert quiet.err == "1 person: 1 enrolled, 0 known already, 0 skipped, 0 held back\n"


def test_folders_whose_names_are_no_names(run: Run, people: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(people / "person-00", tree / "ann")
    shutil.copytree(people / "person-01", os.fsdecode(os.fsencode(tree) + b"/caf\xe9"))
    ran = run("enroll", "--tree", tree, "--json")
    assert ran.code == 0
    assert [line["status"] for line in ran.lines] == ["enrolled"] * 5 + ["skipped"] * 5
    assert [line["name"] for line in run("people", "list", "--json").lines] == ["ann"]


def test_yes_is_the_old_name_of_include_doubtful(run: Run, people: Path) -> None:
    """It works for one more release, says so, and help does not mention it."""
    bob = [people / "person-03" / f"pose-{pose}.jpg" for pose in range(1, 4)]
    ann = [people / "person-00", people / "person-03" / "pose-0.jpg"]
    assert run("enroll", "--name", "bob", *bob).code == 0
    held = run("enroll", "--name", "ann", *ann, "--dry-run")
    assert "1 held back (--include-doubtful enrolls them)" in held.err
    for option in ("--yes", "--include-doubtful"):
        ran = run("enroll", "--name", "ann", *ann, option, "--dry-run")
        assert ran.code == 0, ran
        assert "'ann': 6 enrolled, 0 known already, 0 skipped, 0 held back;" in ran.err
        assert ("warning: --yes is called --include-doubtful now" in ran.err) == (option == "--yes")
    assert "--yes" not in run("enroll", "-h").out
