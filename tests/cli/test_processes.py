"""Commands as whole processes: signals, rights, encodings, terminals, and what they import."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from facesearch.gallery.gallery import Gallery
from tests.support.commands import (
    GALLERY,
    Run,
    command,
    one_line_error,
    run_process,
)


def test_paths_that_are_no_utf8(hopper: Path, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9 \n"
    Path(os.fsdecode(folder)).mkdir()
    odd = Path(os.fsdecode(folder + b"/photo.jpg"))
    shutil.copy(hopper, odd)
    enrolled = run_process("enroll", "--name", "Grace", odd, "--json")
    assert enrolled.code == 0
    assert enrolled.lines[0]["photo"] == str(odd)
    assert run_process("identify", odd).code == 0
    assert run_process("people", "show", "Grace", "--json").lines[0]["photo"] == str(odd)


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_enrolled(run: Run, people: Path, tmp_path: Path) -> None:
    photos = tmp_path / "many"
    photos.mkdir()
    source = (people / "person-00" / "pose-0.jpg").read_bytes()
    for number in range(600):
        (photos / f"{number:03}.jpg").write_bytes(source + number.to_bytes(2, "big"))
    process = subprocess.Popen(
        command("enroll", "--name", "ann", photos, "--json", "--include-doubtful"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    told = [process.stdout.readline()]  # the first batch is written
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    told += out.splitlines()
    assert process.returncode == 130
    assert "interrupted; everything written so far is kept" in err.decode()
    assert "Traceback" not in err.decode()
    (info,) = run("gallery", "info", "--json").lines
    assert len(told) <= info["faces"] < 600
    again = run("enroll", "--name", "ann", photos, "--json", "--include-doubtful")
    statuses = [line["status"] for line in again.lines]
    assert statuses.count("duplicate") == info["faces"]
    assert statuses.count("enrolled") == 600 - info["faces"]


def test_two_at_once(run: Run, people: Path) -> None:
    jobs = [
        subprocess.Popen(command("enroll", "--name", f"person {n}", people / f"person-0{n}"))
        for n in range(3)
    ]
    assert [job.wait(timeout=120) for job in jobs] == [0, 0, 0]
    listed = run("people", "list", "--json")
    assert [(line["name"], line["faces"]) for line in listed.lines] == [
        (f"person {n}", 5) for n in range(3)
    ]


@pytest.mark.slow
def test_a_killed_enrolment_is_put_right_by_the_next_start(
    run: Run, people: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        command("enroll", "--tree", people, "--json"), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    assert run("enroll", "--tree", people).code == 0
    (info,) = run("gallery", "info", "--json").lines
    assert (info["people"], info["faces"], info["index"]) == (6, 30, "current")


def without_rights() -> list[str]:
    """Before a command: the superuser heeds the rights of files, too."""
    if os.getuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("the tests run as root, and setpriv is not there to take its rights")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


def test_a_folder_that_is_closed() -> None:
    gallery, prefix = Path(os.environ["FACESEARCH_GALLERY"]), without_rights()
    Gallery(gallery, create=True).close()
    gallery.chmod(0)
    try:
        for arguments in (
            ("people", "list"),
            ("gallery", "doctor"),
            ("enroll", "--name", "a", "b.jpg", "--dry-run"),
        ):
            one_line_error(run_process(*arguments, prefix=prefix), GALLERY, "cannot be read")
    finally:
        gallery.chmod(0o755)


def test_a_folder_that_cannot_be_written(run: Run, hopper: Path, query: Path) -> None:
    gallery, prefix = Path(os.environ["FACESEARCH_GALLERY"]), without_rights()
    assert run("enroll", "--name", "Grace", hopper).code == 0
    gallery.chmod(0o555)
    for path in gallery.iterdir():
        path.chmod(0o444)
    try:
        named = run_process("identify", query, "--json", prefix=prefix)
        assert (named.code, named.lines[0]["name"]) == (0, "Grace"), named.err
        failed = run_process("enroll", "--name", "Eve", query, prefix=prefix)
        one_line_error(failed, GALLERY, "cannot be written to")
        unmade = run_process(
            "--gallery", gallery / "inner", "enroll", "--name", "Eve", query, prefix=prefix
        )
        one_line_error(unmade, GALLERY, "no gallery can be made here")
    finally:
        gallery.chmod(0o755)


IMPORTED = """
import sys, facesearch.cli as cli
try:
    cli.main()
except SystemExit as ended:
    code = ended.code
print(code, *sorted(sys.modules), file=sys.stderr)
"""


def imports_of(*arguments: str | Path) -> tuple[int, set[str]]:
    """The exit code of a command, and every module that its process has imported."""
    started = [sys.executable, "-c", IMPORTED, *map(str, arguments)]
    done = subprocess.run(started, capture_output=True, text=True, check=True)
    code, *modules = done.stderr.splitlines()[-1].split()
    return int(code), set(modules)


HEAVY = {"torch", "torchvision", "matplotlib", "alembic", "fastapi", "uvicorn", "httpx", "ray"}
VISION = {"PIL", "dlib", "faiss", "onnxruntime"}


def test_help_imports_nothing_heavy() -> None:
    code, modules = imports_of("--help")
    assert code == 0
    assert not modules & {*HEAVY, *VISION, "numpy", "sqlalchemy", "cryptography"}
    assert "facesearch.cli.gallery.archive" in modules, "help lists all commands"


def test_a_command_imports_what_it_needs(run: Run, hopper: Path, query: Path) -> None:
    assert run("enroll", "--name", "Grace", hopper).code == 0
    code, modules = imports_of("identify", query)
    assert code == 0
    assert modules >= {"onnxruntime", "sqlalchemy"}
    assert not modules & HEAVY
    assert "facesearch.cli.people" not in modules
    code, modules = imports_of("compare", query, hopper)
    assert code == 0
    assert not modules & {*HEAVY, "faiss", "sqlalchemy", "cryptography", "facesearch.cli.enroll"}
    code, modules = imports_of("people", "list")
    assert code == 0
    assert not modules & {*HEAVY, *VISION}


def test_progress_bars_on_a_terminal(people: Path) -> None:
    """On a terminal stderr shows a bar; redirected results stay clean."""
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command("enroll", "--name", "ann", people / "person-00", "--json"),
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(follower)
    out, _ = process.communicate(timeout=60)
    time.sleep(0.1)
    shown = os.read(leader, 100_000)
    os.close(leader)
    assert b"enrolling" in shown
    assert len(out.splitlines()) == 5
    assert all(json.loads(line)["status"] == "enrolled" for line in out.splitlines())
