"""Files that may be lost: made anew when they are missing, damaged, or of another state."""

import json
import zlib
from pathlib import Path
from typing import Literal

FOOTER = 512  # bytes at the end that say what the rest was made from


def save(path: Path, content: bytes, stamp: str) -> None:
    """Write `content` with the state that it was made from, in one step. Raises OSError."""
    footer = {"stamp": stamp, "checksum": zlib.crc32(content)}
    # one name: what a killed process left there does not stay
    partial = path.with_name(f"{path.name}.new")
    try:
        partial.write_bytes(content + json.dumps(footer).encode().ljust(FOOTER))
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


def load(path: Path, stamp: str) -> bytes | None:
    """What was written, or None if it is missing, damaged, or of another state."""
    try:
        content = path.read_bytes()
        footer = json.loads(content[-FOOTER:])
    except (OSError, ValueError):
        return None
    content = content[:-FOOTER]
    return content if footer == {"stamp": stamp, "checksum": zlib.crc32(content)} else None
