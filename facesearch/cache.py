"""Files that may be lost: made anew when they are missing, damaged, or of another state."""

import json
import zlib
from pathlib import Path
from typing import Literal

from facesearch import private
from facesearch.vault import Tampered, Vault

NAMES = INDEX, STRANGERS = "vectors.faiss", "strangers.bin"  # all that a gallery has
FOOTER = 512  # bytes at the end that say what the rest was made from
PLAIN = Vault(None)


def save(path: Path, content: bytes, stamp: str, vault: Vault = PLAIN) -> None:
    """Write `content` with the state that it was made from, in one step. Raises OSError."""
    content = vault.seal(content, _purpose(path, stamp))
    footer = {"stamp": stamp, "checksum": zlib.crc32(content)}
    # one name: what a killed process left there does not stay
    partial = _partial(path)
    try:
        private.write(partial, content + json.dumps(footer).encode().ljust(FOOTER))
        partial.replace(path)
    except BaseException:  # whatever stops it leaves nothing
        partial.unlink(missing_ok=True)
        raise


def state(path: Path, stamp: str) -> Literal["missing", "damaged", "stale", "current"]:
    """What `load` would find; stale: whole, but of another state."""
    try:
        content = path.read_bytes()
        footer = json.loads(content[-FOOTER:])
        whole = footer["checksum"] == zlib.crc32(content[:-FOOTER])
    except FileNotFoundError:
        return "missing"
    except (OSError, ValueError, TypeError, KeyError):
        return "damaged"
    if not whole:
        return "damaged"
    return "current" if footer["stamp"] == stamp else "stale"


def load(path: Path, stamp: str, vault: Vault = PLAIN) -> bytes | None:
    """What was written, or None if it is missing, damaged, or of another state."""
    content = _stored(path, stamp)
    if content is None:
        return None
    try:
        return vault.open(content, _purpose(path, stamp))
    except Tampered:
        return None


def clear(folder: Path) -> None:
    """Remove the caches of a gallery. Raises OSError."""
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)
        _partial(folder / name).unlink(missing_ok=True)


def _stored(path: Path, stamp: str) -> bytes | None:
    try:
        content = path.read_bytes()
        footer = json.loads(content[-FOOTER:])
    except (OSError, ValueError):
        return None
    content = content[:-FOOTER]
    return content if footer == {"stamp": stamp, "checksum": zlib.crc32(content)} else None


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _purpose(path: Path, stamp: str) -> str:
    return f"cache {path.name} {stamp}"
