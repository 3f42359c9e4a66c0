"""A cache file is believed when it is whole and of the state that is asked for."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from facesearch.storage import cache_file
from facesearch.storage.vault import Vault

CONTENT = bytes(range(256)) * 5000
VAULT = Vault(bytes(32))


@pytest.mark.parametrize("vault", [cache_file.PLAIN, VAULT])
def test_what_is_written_is_read(
    tmp_path: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_file, "PIECE", 300_000)
    path = tmp_path / "vectors.faiss"
    assert cache_file.state(path, "aa 1") == "missing"
    cache_file.save(path, [CONTENT[:7], CONTENT[7:]], "aa 1", vault)
    assert path.stat().st_mode & 0o077 == 0
    assert (CONTENT[:64] in path.read_bytes()) == (vault is cache_file.PLAIN)
    found = cache_file.load(path, "aa 1", vault)
    assert found is not None
    assert found.tobytes() == CONTENT
    assert cache_file.load(path, "aa 2", vault) is None
    assert [cache_file.state(path, stamp) for stamp in ("aa 1", "aa 2")] == ["current", "stale"]
    assert cache_file.stamp_of(path) == "aa 1"


@pytest.mark.parametrize("vault", [cache_file.PLAIN, VAULT])
@pytest.mark.parametrize("place", [0, 700_000, -20])
def test_a_flipped_bit(tmp_path: Path, vault: Vault, place: int) -> None:
    path = tmp_path / "vectors.faiss"
    cache_file.save(path, [CONTENT], "aa 1", vault)
    content = bytearray(path.read_bytes())
    content[place if place >= 0 else len(content) - cache_file.FOOTER + 30] ^= 4
    path.write_bytes(content)
    assert cache_file.read(path, vault) is None
    assert cache_file.state(path, "aa 1") == "damaged"


@pytest.mark.parametrize("length", [0, 100, 512, 600_000])
def test_a_file_cut_short(tmp_path: Path, length: int) -> None:
    path = tmp_path / "vectors.faiss"
    cache_file.save(path, [CONTENT], "aa 1")
    path.write_bytes(path.read_bytes()[:length])
    assert cache_file.read(path) is None


def test_a_sealed_file_opens_with_its_key_and_name_alone(tmp_path: Path) -> None:
    path = tmp_path / "vectors.faiss"
    cache_file.save(path, [CONTENT], "aa 1", VAULT)
    assert cache_file.read(path, Vault(b"?" * 32)) is None
    path.rename(tmp_path / "codes.faiss")
    assert cache_file.read(tmp_path / "codes.faiss", VAULT) is None


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "vectors.faiss"
    cache_file.save(path, [b"before"], "aa 1")

    def broken() -> Iterator[bytes]:
        yield CONTENT
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache_file.save(path, broken(), "aa 2")
    assert [each.name for each in tmp_path.iterdir()] == ["vectors.faiss"]
    assert cache_file.stamp_of(path) == "aa 1"


def test_leftovers_of_killed_programs_go(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    left, ours = (tmp_path / f"vectors.faiss.{pid}-00.new" for pid in (child.pid, os.getpid()))
    left.touch()
    ours.touch()
    cache_file.save(tmp_path / "vectors.faiss", [b"content"], "aa 1")
    assert (left.exists(), ours.exists()) == (False, True)
    (tmp_path / "gallery.db").touch()
    cache_file.clear(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["gallery.db"]


def test_a_mapped_file_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "vectors.faiss"
    cache_file.save(path, [CONTENT], "aa 1")
    found = cache_file.load(path, "aa 1")
    cache_file.save(path, [b"another"], "aa 2")
    assert found is not None
    assert np.array_equal(found, np.frombuffer(CONTENT, np.uint8))
