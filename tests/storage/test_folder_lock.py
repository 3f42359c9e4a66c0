"""One program at a time holds a lock of a folder; a claim does not wait."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from facesearch.core.errors import GalleryError
from facesearch.storage.folder_lock import claimed, locked

HOLDS = """
import sys
from pathlib import Path
from facesearch.storage.folder_lock import locked
with locked(Path(sys.argv[1]), 5, sys.argv[2]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder(folder: Path, name: str) -> "subprocess.Popen[str]":
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDS, folder, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_lock_is_held_by_one_program_until_its_end(tmp_path: Path) -> None:
    child = holder(tmp_path, "lock")
    with (
        pytest.raises(GalleryError, match=r"another facesearch has been writing for 0\.1 seconds"),
        locked(tmp_path, 0.1),
    ):
        pass
    with locked(tmp_path, 0.1, "another.lock"):
        assert (tmp_path / "another.lock").stat().st_mode & 0o077 == 0
    child.kill()
    child.communicate()
    with locked(tmp_path, 5):
        pass


def test_a_claim_says_whether_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "claims" / "job-1.lock"
    with claimed(path) as first, claimed(path) as second:
        assert (first, second) == (True, False)
    child = holder(path.parent, path.name)
    with claimed(path) as mine:
        assert not mine
    child.kill()
    child.communicate()
    with claimed(path) as mine:
        assert mine


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int) -> None:
        def acquire(lock: FileLock) -> None:
            raise OSError(number, "no locks here")

        monkeypatch.setattr(FileLock, "acquire", acquire)

    refuse(errno.ENOLCK)
    with pytest.raises(GalleryError, match="does not lock files"), locked(tmp_path, 1):
        pass
    refuse(errno.EACCES)
    with pytest.raises(OSError, match="no locks here"), locked(tmp_path, 1):
        pass
