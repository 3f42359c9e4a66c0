"""Recovery of a malformed SQLite database: a new one gets all rows that can be read."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from facesearch.core.errors import GalleryError
from facesearch.storage.change_log import new_revision
from facesearch.storage.database import LOCK_SECONDS, Database
from facesearch.storage.folder_lock import locked
from facesearch.storage.schema import SCHEMA
from facesearch.storage.sqlite import FILE, is_outside

WORK = "recovery"  # a folder within the gallery's, removed at the end
DAMAGED = f"{FILE}.damaged"
TABLES = (
    *("people", "photos", "faces", "chips", "rejections", "settings", "events", "searches"),
    *("jobs", "job_photos", "job_results"),
)
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)  # the latter: in SQLite's messages
MISSES = 10_000  # unused row numbers in a row, after which the search ends


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was recovered from a malformed database."""

    rows: dict[str, int]  # how many, by table
    kept: Path  # the malformed database, which was moved there


def problems(path: Path) -> list[str]:
    """What SQLite finds wrong with a database, at most ten lines; none if it is sound.

    Raises GalleryError if the file cannot be read for another reason than its content.
    """
    try:
        with closing(_connect(path)) as raw:
            found = [str(line) for (line,) in raw.execute("PRAGMA integrity_check(10)")]
    except UNREADABLE as error:
        if is_outside(error):
            raise GalleryError(
                f"{path}: cannot be read ({error}), which says nothing about what is in it; see to "
                "the disk's free space and to the file's rights"
            ) from error
        return [str(error)]
    return [] if found == ["ok"] else [line for text in found for line in text.splitlines()][:10]


def is_newer(path: Path) -> bool:
    """Whether a newer program made this database; False if that cannot be read."""
    try:
        with closing(_connect(path)) as raw:
            row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    except UNREADABLE:
        return False
    return row is not None and str(row[0]).isdecimal() and str(row[0]) > SCHEMA


def recover(path: Path) -> Recovered:
    """Copy every row that can be read into a new database, and put it in place of this one.

    The old one stays as gallery.db.damaged. Raises GalleryError, and changes nothing, if no people
    or faces can be read, or if another program uses the gallery.
    """
    work = path.parent / WORK
    with locked(path.parent, LOCK_SECONDS):
        shutil.rmtree(work, ignore_errors=True)  # left by a program that was killed
        try:
            with closing(_damaged(path)) as raw:
                # so that the file holds everything
                busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise GalleryError(f"{path.parent}: another program is reading; try again later")
            fresh = Database(work, create=True)
            file = work / FILE
            with closing(_damaged(path)) as old, closing(_connect(file)) as new:
                rows = _copy(old, new)
            with fresh.append() as connection:
                new_revision(connection)  # caches of the old database are none of the new one
            with closing(_connect(file)) as new:
                new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            fresh.close()
            if "people" not in rows or "faces" not in rows:
                raise GalleryError(f"{path}: no people or faces can be read from it")
            found = problems(file)
            if found:
                raise GalleryError(f"{path}: cannot be recovered ({found[0]})")
            kept = _free(path.with_name(DAMAGED))
            shutil.copy2(path, kept)
            shutil.copymode(path, file)
            os.replace(file, path)  # noqa: PTH105 - in one step
        except (*UNREADABLE, OSError) as error:
            raise GalleryError(f"{path}: cannot be recovered ({error})") from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return Recovered(rows, kept)


def _connect(path: Path) -> sqlite3.Connection:
    if os.access(path.parent, os.W_OK) and os.access(path, os.W_OK):
        raw = sqlite3.connect(path, timeout=60, isolation_level=None)
    else:
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        raw = sqlite3.connect(uri, uri=True, isolation_level=None)
    raw.text_factory = lambda text: text.decode(errors="replace")
    return raw


def _damaged(path: Path) -> sqlite3.Connection:
    raw = _connect(path)
    raw.execute("PRAGMA writable_schema = ON")  # tolerates a broken schema and a missing end
    return raw


def _copy(old: sqlite3.Connection, new: sqlite3.Connection) -> dict[str, int]:
    """Copy all tables; returns the number of rows of each table that could be read at all."""
    copied: dict[str, int] = {}
    new.execute("BEGIN")
    for table in TABLES:
        columns = [str(row[1]) for row in new.execute(f"PRAGMA table_info({table})")]
        try:
            old.execute(f"SELECT rowid, {', '.join(columns)} FROM {table} LIMIT 0")
        except UNREADABLE:
            continue
        holes = ", ".join("?" * len(columns))
        copied[table] = 0
        for row in _rows(old, table, columns):
            try:
                done = new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({holes})", row)
                copied[table] += done.rowcount
            except sqlite3.IntegrityError:
                pass  # a field is missing, so it is not the row that was written
    new.execute("COMMIT")
    return copied


def _rows(old: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[object, ...]]:
    """All rows that can be read: forwards, backwards from the end, then one by one between."""
    select = f"SELECT rowid, {', '.join(columns)} FROM {table}"
    low = 0
    try:
        for number, *row in old.execute(f"{select} ORDER BY rowid"):
            low = number
            yield tuple(row)
        return
    except UNREADABLE:
        pass
    high = 0
    try:
        for number, *row in old.execute(f"{select} WHERE rowid > ? ORDER BY rowid DESC", [low]):
            high = number
            yield tuple(row)
    except UNREADABLE:
        pass
    misses = 0
    number = low + 1
    while misses < MISSES and (not high or number < high):
        try:
            found = old.execute(f"{select} WHERE rowid = ?", [number]).fetchone()
        except UNREADABLE:
            found = None
        misses = 0 if found else misses + 1
        number += 1
        if found:
            yield tuple(found[1:])


def _free(path: Path) -> Path:
    """This path, or one with a number appended, that does not exist yet."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free
