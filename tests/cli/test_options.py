"""The global options."""

from pathlib import Path

from tests.support.commands import (
    Run,
)


def test_global_options_stand_anywhere(run: Run, hopper: Path, tmp_path: Path) -> None:
    place = tmp_path / "other place"
    assert run("--gallery", place, "enroll", "--name", "Grace", hopper).code == 0
    for arguments in (
        ("--json", "--gallery", place, "people", "list"),
        ("people", "list", f"--gallery={place}", "--json"),
        ("people", "--gallery", place, "list", "--json"),
    ):
        assert [line["name"] for line in run(*arguments).lines] == ["Grace"]
    assert run("people", "list", "--json", "--csv").code == 2
    for version in (run("--version"), run("people", "--version")):
        assert (version.code, version.out.split()[0]) == (0, "facesearch")
