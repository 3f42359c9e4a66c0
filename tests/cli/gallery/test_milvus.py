"""The program with its index in Milvus: the same answers, and one line where there are none."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support import commands
from tests.support.commands import Ran, Run
from tests.support.milvus_server import MilvusServer


@pytest.fixture
def run(milvus_server: MilvusServer) -> Run:
    def run(*arguments: str | Path, uri: str | None = milvus_server.uri) -> Ran:
        return commands.run(*arguments, MILVUS_URI=uri or "")

    return run


@pytest.fixture
def tree(people: Path, tmp_path: Path) -> Path:
    """Zoë, bob and mia with two photos each; a third is a query."""
    for name, person in (("Zoë", "person-00"), ("bob", "person-03"), ("mia", "person-04")):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "queries").mkdir(exist_ok=True)
        for pose in (0, 1):
            shutil.copy(people / person / f"pose-{pose}.jpg", tmp_path / "tree" / name)
        shutil.copy(people / person / "pose-4.jpg", tmp_path / "queries" / f"{name}.jpg")
    shutil.copy(people / "person-05" / "pose-0.jpg", tmp_path / "queries" / "stranger.jpg")
    return tmp_path / "tree"


def numbers_out(rows: list[Any]) -> list[float]:
    """Take the computed numbers out of answers."""
    found = []
    for row in rows:
        found += [row.pop(key) or 0.0 for key in ("distance", "threshold", "probability")]
        found += [candidate.pop("distance") for candidate in row["candidates"]]
    return found


def test_the_answers_are_those_of_the_local_index(run: Run, tree: Path, tmp_path: Path) -> None:
    queries = sorted((tmp_path / "queries").iterdir())

    def check() -> set[str]:
        """The same from both; returns who is recognised."""
        there, here = (
            run("identify", *queries, "--json"),
            run("identify", *queries, "--json", uri=None),
        )
        assert there.err == here.err == ""
        rows, wanted = there.lines, here.lines
        assert numbers_out(rows) == pytest.approx(numbers_out(wanted), abs=1e-5)
        assert rows == wanted
        return {row["name"] for row in rows if row["answer"] == "match"}

    ran = run("enroll", "--tree", tree)
    assert ran.code == 0
    assert len(ran.err.splitlines()) == 1
    assert check() == {"Zoë", "bob", "mia"}

    assert run("people", "remove", "bob", "--purge", "--yes").code == 0
    assert run("people", "rename", "mia", "Mia", uri=None).code == 0  # Milvus is not told
    assert check() == {"Zoë", "Mia"}
    (info,) = run("gallery", "info", "--json").lines
    assert info["index"] == "current"
    assert run("gallery", "doctor").code == 0
    assert run("gallery", "leave-milvus").code == 0
    assert run("gallery", "leave-milvus").code == 6


def test_one_line_where_milvus_is_not(run: Run, tree: Path, tmp_path: Path) -> None:
    run("enroll", "--tree", tree, uri=None)
    query = tmp_path / "queries" / "bob.jpg"
    ran = run("identify", query, uri="http://127.0.0.1:1")
    assert ran.code == 6
    assert ran.out == ""
    (line,) = ran.err.splitlines()
    assert line.startswith("error: Milvus at http://127.0.0.1:1: ")
    assert run("gallery", "doctor", uri="http://127.0.0.1:1").code == 1
    ran = run("identify", query, uri="nonsense")
    assert (ran.code, len(ran.err.splitlines())) == (6, 1)
