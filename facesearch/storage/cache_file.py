"""Cache files: they carry the state that they were made from, and can always be made again."""

import hashlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from facesearch.core import secure_files
from facesearch.storage.vault import Tampered, Vault

NAMES = INDEX, CODES, STRANGERS = "vectors.faiss", "codes.faiss", "strangers.bin"  # all of them
FOOTER = 512  # bytes at the end of a file, with its stamp and checksum
PIECE = 1 << 24  # bytes sealed and written at once
SUMMED = 1 << 20  # bytes that one partial sum covers
TAG = 28  # bytes that sealing adds
PLAIN = Vault(None)

Content = NDArray[np.uint8]  # (bytes,)


def save(path: Path, content: Iterable[bytes], stamp: str, vault: Vault = PLAIN) -> None:
    """Write a file in one step. stamp: the state that it was made from. Raises OSError."""
    _sweep(path)
    partial = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.new")
    try:
        with secure_files.opened(partial) as file:
            for number, piece in enumerate(_pieces(content)):
                file.write(vault.seal(piece, _purpose(path, stamp, number)))
            file.flush()
            footer = {"stamp": stamp, "checksum": _checksum(_mapped(partial))}
            file.write(json.dumps(footer).encode().ljust(FOOTER))
        partial.replace(path)
    except BaseException:  # also when interrupted
        partial.unlink(missing_ok=True)
        raise


def state(path: Path, stamp: str) -> Literal["missing", "damaged", "stale", "current"]:
    """The condition of a file for a state; stale: it is whole, but made from another state."""
    if not path.exists():
        return "missing"
    found = stamp_of(path)
    if found is None:
        return "damaged"
    return "current" if found == stamp else "stale"


def stamp_of(path: Path) -> str | None:
    """The state that a file was made from, readable without the key.

    Returns None if the file is missing or damaged.
    """
    try:
        return _stored(path)[0]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def read(path: Path, vault: Vault = PLAIN) -> tuple[str, Content] | None:
    """The stamp and the content of a file; None if it is missing or damaged.

    The content of a file that is not sealed is mapped, so that only the parts in use take memory.
    """
    try:
        stamp, stored = _stored(path)
        if vault.key is None:
            return stamp, stored
        pieces = [
            vault.open(stored[at : at + PIECE + TAG].tobytes(), _purpose(path, stamp, number))
            for number, at in enumerate(range(0, len(stored), PIECE + TAG))
        ]
    except (OSError, ValueError, TypeError, KeyError, Tampered):
        return None
    return stamp, np.frombuffer(b"".join(pieces), np.uint8)


def load(path: Path, stamp: str, vault: Vault = PLAIN) -> Content | None:
    """The content of a file made from this state; None if there is none."""
    found = read(path, vault)
    return found[1] if found is not None and found[0] == stamp else None


def clear(folder: Path) -> None:
    """Remove all cache files of a gallery, half-written ones too. Raises OSError."""
    for name in NAMES:
        for path in [folder / name, *folder.glob(f"{name}*.new")]:
            path.unlink(missing_ok=True)


def _stored(path: Path) -> tuple[str, Content]:
    """The stamp, and the content as it is stored.

    Raises OSError, ValueError, TypeError, KeyError.
    """
    whole = _mapped(path)
    if len(whole) < FOOTER:
        raise ValueError("cut short")
    stored = whole[:-FOOTER]
    footer = json.loads(whole[-FOOTER:].tobytes())
    if footer["checksum"] != _checksum(stored):
        raise ValueError("damaged")
    return str(footer["stamp"]), stored


def _mapped(path: Path) -> Content:
    if not path.stat().st_size:
        return np.empty(0, np.uint8)
    return np.asarray(np.memmap(path, np.uint8, "r"))


def _checksum(stored: Content) -> str:
    """A hash of partial sums, as fast as memory; a flipped bit changes one of the sums."""
    at = len(stored) - len(stored) % SUMMED
    sums = stored[:at].view(np.uint64).reshape(-1, SUMMED // 8).sum(axis=1, dtype=np.uint64)
    digest = hashlib.blake2b(sums.tobytes(), digest_size=16)
    digest.update(stored[at:].tobytes())
    return digest.hexdigest()


def _pieces(content: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes, PIECE at a time."""
    waiting = bytearray()
    for part in content:
        waiting += part
        while len(waiting) >= PIECE:
            yield bytes(waiting[:PIECE])
            del waiting[:PIECE]
    if waiting:
        yield bytes(waiting)


def _sweep(path: Path) -> None:
    """Remove half-written files of programs that were killed."""
    for left in path.parent.glob(f"{path.name}.*.new"):
        with suppress(OSError, ValueError):
            if not _alive(int(left.name.split(".")[-2].split("-")[0])):
                left.unlink()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _purpose(path: Path, stamp: str, number: int) -> str:
    return f"cache {path.name} {stamp} {number}"
