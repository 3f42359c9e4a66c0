"""Finding what is wrong with a gallery, and putting it right without losing a sound face."""

import json
import os
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from facesearch.core import secure_files
from facesearch.core.errors import GalleryError
from facesearch.gallery.doctor_findings import Finding, Findings
from facesearch.gallery.doctor_indexes import delete, examine_indexes
from facesearch.gallery.doctor_rows import examine_rows
from facesearch.storage import recovery
from facesearch.storage.database import Database, is_there
from facesearch.storage.photos import drop_photos_without_faces
from facesearch.storage.sqlite import FILE
from facesearch.storage.store import Store
from facesearch.storage.vault import Keys, from_environment

__all__ = ["Finding", "examine"]

OURS = ("gallery.db*", "lock", "*.lock", "*.faiss", "*.bin", "doctor-*.jsonl")
LEFT = ("*.new", "*.partial", recovery.WORK)  # by programs that were killed


def examine(
    where: Path | str, *, repair: bool = False, hashes: bool = False, keys: Keys = from_environment
) -> list[Finding]:
    """Find everything that is wrong with the gallery in a folder or at a URL, the worst first.

    repair: put it right as far as that can be done. hashes: compare the photos' content, too.
    Raises GalleryError if there is no gallery, if it is newer than this program, or if it is to be
    repaired and cannot be written to.
    """
    examination = _Examination(repair, hashes, keys)
    if isinstance(where, Path):
        examination.folder(where)
    else:  # PostgreSQL looks after its own files
        examination.database(where)
    return examination.findings.worst_first()


class _Examination:
    def __init__(self, repair: bool, hashes: bool, keys: Keys) -> None:
        self.repair, self.hashes, self.keys = repair, hashes, keys
        self.findings = Findings()

    def folder(self, folder: Path) -> None:
        """Examine a gallery in a folder, with its files."""
        path = folder / FILE
        if not is_there(folder):
            raise GalleryError(f"{folder}: no gallery here yet; enroll somebody first")
        if self.repair and not (os.access(folder, os.W_OK) and os.access(path, os.W_OK)):
            raise GalleryError(f"{folder}: this gallery cannot be written to")
        modes = _modes(folder)  # opening the gallery puts them right
        if self._file(folder, path):
            self.database(folder)
        else:
            self._leftovers(folder)
        self._loose(modes)

    def database(self, where: Path | str) -> None:
        """Examine the rows, and the indexes that are made from them."""
        with closing(Store(where, create=False, keys=self.keys)) as store:
            database = store.database
            if self.repair:
                database.check_writable()
            _ = database.vault  # without the key every face would look damaged
            with database.read() as connection:
                database.engine.as_stored(connection)
                examine_rows(database, connection, self.findings, hashes=self.hashes)
            self._cure(database)
            examine_indexes(store, self.findings, repair=self.repair)
            self._leftovers(database.folder)

    def _file(self, folder: Path, path: Path) -> bool:
        """Examine SQLite's file; returns whether it can be asked."""
        wrong = recovery.problems(path)
        unreadable = ""
        try:
            Database(folder, create=False).close()
        except GalleryError as error:
            if not wrong and recovery.is_newer(path):
                raise
            unreadable = str(error).removeprefix(f"{path}: ").removeprefix(f"{folder}: ")
        if not wrong and not unreadable:
            return True
        if recovery.is_newer(path):
            raise GalleryError(f"{path}: made by a newer facesearch; update this one")
        what = f"{path}: {'; '.join(wrong) or unreadable}"
        repair = "copies the rows that can be read into a new database; keeps this one beside it"
        self.findings.add("malformed", what, "error", repair)
        if not self.repair:
            return not unreadable
        try:
            made = recovery.recover(path)
        except GalleryError as error:
            line = f"{what}; {error}; put back a copy of the gallery's folder"
            self.findings.change(what=line, repaired=False)
            return not unreadable
        rows = ", ".join(f"{count} {table}" for table, count in made.rows.items() if count)
        self.findings.change(what=f"{what} (copied {rows}; the old one is {made.kept})")
        return True

    def _cure(self, database: Database) -> None:
        """Put all rows right in one transaction, with a note of the faces that are lost."""
        cures, lost = self.findings.cures, self.findings.lost
        if not self.repair or not cures:
            return
        if lost:
            file = database.folder / f"doctor-{datetime.now(UTC):%Y-%m-%dT%H%M%S}.jsonl"
            secure_files.make(file)
            with file.open("a", encoding="utf-8", errors="surrogateescape") as out:
                out.writelines(f"{json.dumps(row)}\n" for row in lost)
        try:
            with database.write("repair", {"findings": len(cures)}) as connection:
                for _, cure in cures:
                    cure(connection)
                drop_photos_without_faces(connection)
        except GalleryError as error:  # in a part that could not be recovered
            self.findings.add("malformed", str(error), "error")
            return
        for place, _ in cures:
            self.findings.change(place=place)

    def _leftovers(self, folder: Path) -> None:
        """The files that killed programs left."""
        for path in sorted({path for shape in LEFT for path in folder.glob(shape)}):
            what = f"{path}: left by a program that was stopped"
            self.findings.add("leftover", what, "note", "removes it")
            if self.repair:
                delete(path)
                if not path.exists():
                    self.findings.change()

    def _loose(self, modes: dict[Path, int]) -> None:
        """The files that others could read or write."""
        for path, mode in modes.items():
            with suppress(OSError):
                what = f"{path}: others may read or write it ({mode:o})"
                self.findings.add("mode", what, "note", "makes it the owner's alone (600)")
                if self.repair:
                    path.chmod(0o600)
                if not path.stat().st_mode & 0o077:  # opening the gallery may have done it
                    self.findings.change()


def _modes(folder: Path) -> dict[Path, int]:
    """The files of the gallery on which others have rights, with those rights."""
    found = {}
    for path in sorted({path for shape in OURS for path in folder.glob(shape)}):
        with suppress(OSError):
            mode = path.stat().st_mode & 0o777
            if mode & 0o077:
                found[path] = mode
    return found
