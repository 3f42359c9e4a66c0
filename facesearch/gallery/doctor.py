"""What is wrong with a gallery, and how it is put right without losing a face that is sound."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from facesearch.core.arrays import Embeddings
from facesearch.core.errors import GalleryError, PhotoError
from facesearch.core.templates import templates
from facesearch.core.uploads import Upload
from facesearch.gallery.legacy import INDEX, STRANGERS, Gallery
from facesearch.index import milvus
from facesearch.index.local_index import apply, behind
from facesearch.index.milvus_sync import MilvusSync
from facesearch.index.person_index import PersonIndex
from facesearch.storage import cache_file, recovery, row_checksums
from facesearch.storage.database import Database, is_there
from facesearch.storage.preferences import PREFERENCES
from facesearch.storage.rejections import drop as drop_rejection
from facesearch.storage.schema import (
    chips,
    events,
    face_checksum,
    face_rows,
    faces,
    job_photos,
    job_results,
    jobs,
    people,
    person_checksum,
    photo_checksum,
    photos,
    rejections,
    removed_name,
    searches,
    settings,
)
from facesearch.storage.settings import now, set_setting, stored_setting
from facesearch.storage.sqlite import FILE
from facesearch.storage.store import Store
from facesearch.storage.vault import Keys, from_environment
from facesearch.vision import images

if TYPE_CHECKING:
    from facesearch.storage.engine import TemplateSearch

UNIT = 1e-3  # how far an embedding's norm may lie from 1
OURS = ("gallery.db*", "lock", "*.lock", "*.faiss", "*.bin", "doctor-*.jsonl")
LEFT = ("*.new", "*.partial", recovery.WORK)

Severity = Literal["error", "warning", "note"]
Cure = Callable[[sa.Connection], object]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: str
    what: str  # which row or file, and what is wrong with it
    severity: Severity  # error: answers would be refused; warning: can go wrong; note: good to know
    repair: str  # what --repair does about it; empty if it can do nothing
    repaired: bool = False


def examine(
    where: Path | str, *, repair: bool = False, hashes: bool = False, keys: Keys = from_environment
) -> list[Finding]:
    """Everything that is wrong with the gallery in a folder or at a URL, the worst first.

    repair: put it right as far as that can be done. hashes: compare the photos' content, too.
    Raises GalleryError if there is no gallery, if it is newer than this program, or if it is to be
    repaired and cannot be written to.
    """
    return _Examination(where, repair, hashes, keys).run()


class _Examination:
    def __init__(self, where: Path | str, repair: bool, hashes: bool, keys: Keys) -> None:
        self.where, self.repair, self.hashes, self.keys = where, repair, hashes, keys
        self.findings: list[Finding] = []
        self.cures: list[tuple[int, Cure]] = []  # each with the place of its finding
        self.lost: list[dict[str, Any]] = []  # faces to be enrolled again

    def run(self) -> list[Finding]:
        if isinstance(self.where, Path):
            self._folder(self.where)
        else:  # PostgreSQL looks after its own files
            self._database()
        order: dict[str, int] = {"error": 0, "warning": 1, "note": 2}
        return sorted(self.findings, key=lambda finding: order[finding.severity])

    def found(
        self, kind: str, what: str, severity: Severity, repair: str = "", cure: Cure | None = None
    ) -> None:
        if cure is not None:
            self.cures.append((len(self.findings), cure))
        self.findings.append(Finding(kind, what, severity, repair))

    def _done(self, place: int = -1) -> None:
        self.findings[place] = replace(self.findings[place], repaired=True)

    def _database(self) -> None:
        with closing(Store(self.where, create=False, keys=self.keys)) as store:
            if self.repair:
                store.database.check_writable()
            _ = store.database.vault  # without the key every face would look damaged
            with store.database.read() as connection:
                store.database.engine.as_stored(connection)
                self._rows(connection, store.database)
            self._cure(store.database)
            self._caches(store)
            self._leftovers(store.database.folder)

    # The folder

    def _folder(self, folder: Path) -> None:
        path = folder / FILE
        if not is_there(folder):
            raise GalleryError(f"{folder}: no gallery here yet; enrol somebody first")
        if self.repair and not (os.access(folder, os.W_OK) and os.access(path, os.W_OK)):
            raise GalleryError(f"{folder}: this gallery cannot be written to")
        modes = _modes(folder)  # opening it puts them right
        if self._file(folder, path):
            self._database()
        else:
            self._leftovers(folder)
        self._loose(modes)

    def _file(self, folder: Path, path: Path) -> bool:
        """Whether it is a database that can be asked."""
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
        self.found(
            "malformed",
            f"{path}: {'; '.join(wrong) or unreadable}",
            "error",
            "copies the rows that can be read into a new database; keeps this one beside it",
        )
        if not self.repair:
            return not unreadable
        try:
            made = recovery.recover(path)
        except GalleryError as error:
            line = f"{self.findings[-1].what}; {error}; put back a copy of the gallery's folder"
            self.findings[-1] = replace(self.findings[-1], what=line)
            return not unreadable
        rows = ", ".join(f"{count} {table}" for table, count in made.rows.items() if count)
        line = f"{self.findings[-1].what} (copied {rows}; the old one is {made.kept})"
        self.findings[-1] = replace(self.findings[-1], what=line, repaired=True)
        return True

    # The rows

    def _rows(self, connection: sa.Connection, database: Database) -> None:
        """Every person, photo and face, of one state."""
        try:
            names = self._people(connection)
            paths = self._photos(connection)
            self._guarded(connection, names)
            self._faces(connection, database, names, paths)
            self._others(connection)
        except (sa.exc.DatabaseError, UnicodeDecodeError) as error:  # in what was not recovered
            reason = error.orig if isinstance(error, sa.exc.DatabaseError) else error
            self.found("malformed", f"{database.name}: {reason}", "error")

    def _guarded(self, connection: sa.Connection, names: dict[int, str]) -> None:
        """What the rows beside people's names, photos and faces say, if it is not what was written.

        The order matters: to remove a rejection, events are read.
        """
        for kind in (
            row_checksums.EVENTS,
            row_checksums.SEARCHES,
            row_checksums.SETTINGS,
            row_checksums.TERMS,
            row_checksums.JOBS,
            row_checksums.JOB_PHOTOS,
            row_checksums.JOB_RESULTS,
        ):
            for row in row_checksums.damaged(connection, kind):
                self._damaged(kind, row, *_CURES[kind.table.name](row))
        for row in row_checksums.damaged(connection, row_checksums.CHIPS):
            drop = _drop(chips.c.face, row.face)
            self._damaged(
                row_checksums.CHIPS, row, "removes it; the photo can be enrolled again", drop
            )
        for row in row_checksums.damaged(connection, row_checksums.REJECTIONS):
            whose = names.get(row.person, f"person {row.person}")
            self._damaged(
                row_checksums.REJECTIONS,
                row,
                f"removes it; it may have been {whose!r}'s: say it again with `people reject`",
                partial(drop_rejection, number=row.id),
            )

    def _damaged(self, kind: row_checksums.Rows, row: Any, repair: str, cure: Cure) -> None:
        number = getattr(row, kind.key.name)
        if getattr(row, kind.checksum.name) is None:  # written past facesearch: it is summed
            repair, cure = "takes it as it reads", _resum(kind, number)
        what = f"{kind.what} {number}: not what was written"
        self.found(f"damaged {kind.table.name}", what, "error", repair, cure)

    def _people(self, connection: sa.Connection) -> dict[int, str]:
        names = {}
        with_faces = set(connection.execute(sa.select(faces.c.person).distinct()).scalars())
        query = sa.select(people.c.id, people.c.name, people.c.removed, people.c.checksum)
        for number, name, removed, checksum in connection.execute(query):
            names[number] = shown = str(name).split("\0")[0]
            if checksum != person_checksum(number, name):
                given = f"{shown} (damaged {number})"
                stored = given if removed is None else removed_name(given, number)
                self.found(
                    "damaged person",
                    f"person {number}, {shown!r}: not the name that was written",
                    "error",
                    f"calls them {given!r}, with their faces, until you rename them",
                    _update(people, number, name=stored, checksum=person_checksum(number, stored)),
                )
            elif (removed is not None) != ("\0" in str(name)):
                back = "removed" if removed is None else "not removed"
                self.found(
                    "damaged person",
                    f"person {number}, {shown!r}: the name and the date of removal disagree",
                    "error",
                    f"takes them for {back}, as the name says",
                    _update(people, number, removed=now() if removed is None else None),
                )
            if removed is None and number not in with_faces:
                self.found(
                    "no faces",
                    f"person {number}, {shown!r}: no face of theirs is enrolled",
                    "warning",
                )
        return names

    def _photos(self, connection: sa.Connection) -> dict[int, Path]:
        paths = {}
        with_faces = set(connection.execute(sa.select(faces.c.photo).distinct()).scalars())
        query = sa.select(photos.c.id, photos.c.path, photos.c.sha256, photos.c.checksum)
        for number, path, sha256, checksum in connection.execute(query):
            path = path or Path()
            paths[number] = path
            if checksum != photo_checksum(number, path, sha256):
                same = _sha256(path) == sha256
                self.found(
                    "damaged photo",
                    f"photo {number}, {path}: not the path or the hash that was written",
                    "error",
                    "keeps it: the file is there and has this hash"
                    if same
                    else "keeps it as it reads, with its faces; its path or hash may be wrong",
                    _update(photos, number, checksum=photo_checksum(number, path, str(sha256))),
                )
            if number not in with_faces:
                self.found(
                    "photo without faces",
                    f"photo {number}, {path}: no face of it is enrolled",
                    "warning",
                    "removes the row; enrol the photo again if it should be known",
                    _drop(photos.c.id, number),
                )
            elif isinstance(path, Upload):
                continue  # never was a file
            elif not path.exists():
                self.found("photo gone", f"photo {number}, {path}: no such file", "note")
            elif self.hashes and _sha256(path) != sha256:
                self.found(
                    "photo changed", f"photo {number}, {path}: not the content enrolled", "note"
                )
        return paths

    def _faces(
        self,
        connection: sa.Connection,
        database: Database,
        names: dict[int, str],
        paths: dict[int, Path],
    ) -> None:
        sizes: dict[int, int] = {}
        wrong: dict[int, str] = {}
        recovered = set()
        for number, *fields, checksum in connection.execute(face_rows()):
            photo, person, box = fields[:3]
            reason = ""
            if checksum != face_checksum(*fields):
                reason = "not what was written"
            elif photo not in paths:
                reason = f"its photo, {photo}, is unknown"
            else:
                try:
                    vector = np.frombuffer(database.unsealed(fields[-1], "face"), "<f4")
                except (GalleryError, ValueError):
                    reason = "its embedding cannot be read"
                else:
                    sizes[len(vector)] = sizes.get(len(vector), 0) + 1
                    if not np.isfinite(vector).all() or abs(np.linalg.norm(vector) - 1) > UNIT:
                        reason = "its embedding is no unit vector"
            if reason:
                wrong[number] = reason
                self._lose(number, reason, names.get(person), paths.get(photo), box)
            elif person not in names and person not in recovered:
                recovered.add(person)
                name = f"recovered {person}"
                self.found(
                    "face without a person",
                    f"face {number}, {paths[photo]}: person {person} is unknown",
                    "error",
                    f"makes them anew as {name!r}, with their faces, until you rename them",
                    _new_person(person, name),
                )
        if not sizes:
            return
        size = max(sizes, key=lambda size: sizes[size])
        if len(sizes) > 1:
            self._other_sizes(connection, database, size, wrong, names, paths)
        dimension = stored_setting(connection, "dimension")
        if dimension != str(size):
            self.found(
                "settings",
                f"dimension: {dimension!r}, but the embeddings have {size} numbers",
                "error",
                "writes what the embeddings have",
                lambda tx: set_setting(tx, "dimension", str(size)),
            )
        for key in ("model", "fingerprint"):
            if not stored_setting(connection, key):
                line = f"{key}: unknown, so that no model can be compared; enrol all photos again"
                self.found("settings", line, "error")

    def _other_sizes(
        self,
        connection: sa.Connection,
        database: Database,
        size: int,
        wrong: dict[int, str],
        names: dict[int, str],
        paths: dict[int, Path],
    ) -> None:
        for row in connection.execute(face_rows()).all():
            if row.id not in wrong and len(database.unsealed(row.embedding, "face")) != 4 * size:
                reason = "its embedding is of another length than the others"
                self._lose(row.id, reason, names.get(row.person), paths.get(row.photo), row.box)

    def _lose(
        self, number: int, reason: str, name: str | None, path: Path | None, box: object
    ) -> None:
        again = f"enrol {path} again" if path else "enrol the photo again"
        again += f" as {name!r}" if name else ""
        self.found(
            "damaged face",
            f"face {number} of {name!r}, {path}: {reason}",
            "error",
            f"removes it and notes it in a file; {again}",
            _drop(faces.c.id, number),
        )
        try:
            place = json.loads(str(box))
        except ValueError:
            place = None
        self.lost.append(
            {
                "face": number,
                "name": name,
                "photo": str(path) if path else None,
                "box": place,
                "reason": reason,
            }
        )

    def _others(self, connection: sa.Connection) -> None:
        """Chips and rejections of nobody."""
        for what, key, owner in (
            ("chip", chips.c.face, faces.c.id),
            ("rejection", rejections.c.person, people.c.id),
        ):
            query = sa.except_(sa.select(key), sa.select(owner))
            for number in connection.execute(query).scalars().all():
                self.found(
                    f"{what} of nobody",
                    f"{what} of {'face' if what == 'chip' else 'person'} {number}, who is unknown",
                    "warning",
                    "removes it",
                    _drop(key, number),
                )

    def _cure(self, database: Database) -> None:
        if not self.repair or not self.cures:
            return
        if self.lost:
            name = f"doctor-{datetime.now(UTC):%Y-%m-%dT%H%M%S}.jsonl"
            file = _private(database.folder / name)
            with file.open("a", encoding="utf-8", errors="surrogateescape") as out:
                out.writelines(f"{json.dumps(row)}\n" for row in self.lost)
        try:
            with database.write("repair", {"findings": len(self.cures)}) as tx:
                for _, cure in self.cures:
                    cure(tx)
                # what has become empty by it goes, too
                tx.execute(photos.delete().where(photos.c.id.not_in(sa.select(faces.c.photo))))
        except GalleryError as error:  # in what could not be recovered
            self.found("malformed", str(error), "error")
            return
        for place, _ in self.cures:
            self._done(place)

    # The files beside it

    def _caches(self, store: Store) -> None:
        folder = store.database.folder
        index = folder / INDEX
        try:
            _, owners, embeddings = store.vectors()
        except GalleryError as error:
            if not any(finding.severity == "error" for finding in self.findings):
                self.found("rows", str(error), "error")
            return
        for path in (folder / STRANGERS, folder / cache_file.CODES):
            if cache_file.state(path, "") == "damaged":
                self.found("cache", f"{path}: damaged", "warning", "removes it")
                self._remove(path)
        server = milvus.chosen()
        if server is not None:
            self._collection(MilvusSync(store, server))
            return
        inside = store.database.engine.templates()
        if inside is not None:
            self._templates(store, inside, owners, embeddings)
            return
        found = PersonIndex.load(index, store.database.vault)
        delta = None if found is None else store.changes_since(found[1])
        if found is None and index.exists():
            self.found("index", f"{index}: damaged", "warning", "makes it anew")
        elif found is None or delta is None or behind(len(delta.people), index):
            pass  # the next search makes it anew
        elif not (apply(delta, found[0]) and _fits(found[0], owners, embeddings)):
            what = f"{index}: does not hold what the database holds"
            self.found("index", what, "error", "makes it anew")
        if self.repair and self.findings and self.findings[-1].kind == "index":
            _delete(index)
            with suppress(GalleryError), Gallery(self.where, keys=self.keys) as gallery:
                gallery.refresh()
                self._done()

    def _collection(self, mirror: MilvusSync) -> None:
        """The index in Milvus."""
        try:
            wrong = mirror.wrong()
            if wrong is not None:
                self.found("index", wrong, "error", "fills another collection")
            elif not mirror.is_kept():
                what = "Milvus: does not hold this gallery as it is"
                self.found("index", what, "note", "fills a collection, as the next search would")
            else:
                return
            if self.repair:
                mirror.renew()
                self._done()
        except GalleryError as error:
            self.found("index", str(error), "warning")

    def _templates(
        self,
        store: Store,
        inside: "TemplateSearch",
        owners: NDArray[np.int64],
        embeddings: Embeddings,
    ) -> None:
        """Those that pgvector searches."""
        if _fits(inside, owners, embeddings):
            return
        what = f"{store.database.name}: the templates for pgvector are not those of the faces"
        self.found("index", what, "error", "makes them anew")
        if self.repair:
            with store.database.append() as connection:
                inside.forget(connection)
                store.database.engine.update_templates(connection)
            self._done()

    def _leftovers(self, folder: Path) -> None:
        for path in sorted({path for shape in LEFT for path in folder.glob(shape)}):
            what = f"{path}: left by a program that was stopped"
            self.found("leftover", what, "note", "removes it")
            self._remove(path)

    def _loose(self, modes: dict[Path, int]) -> None:
        for path, mode in modes.items():
            with suppress(OSError):
                what = f"{path}: others may read or write it ({mode:o})"
                self.found("mode", what, "note", "makes it the owner's alone (600)")
                if self.repair:
                    path.chmod(0o600)
                if not path.stat().st_mode & 0o077:  # opening the gallery may have done it
                    self._done()

    def _remove(self, path: Path) -> None:
        if self.repair:
            _delete(path)
            if not path.exists():
                self._done()


def _modes(folder: Path) -> dict[Path, int]:
    """The rights that others have to the files."""
    found = {}
    for path in sorted({path for shape in OURS for path in folder.glob(shape)}):
        with suppress(OSError):
            mode = path.stat().st_mode & 0o777
            if mode & 0o077:
                found[path] = mode
    return found


def _fits(
    kept: "PersonIndex | TemplateSearch", owners: NDArray[np.int64], embeddings: Embeddings
) -> bool:
    """Whether an index holds what the database holds: of each face whose it is, the embedding."""
    known, numbers = np.unique(owners, return_inverse=True)
    order = np.argsort(kept.numbers)
    wanted, there = templates(embeddings, numbers), kept.templates
    return (
        np.array_equal(kept.numbers[order], known)
        and (not len(known) or there.shape == wanted.shape)
        and np.allclose(there[order], wanted, atol=1e-5)
    )


def _delete(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _private(path: Path) -> Path:
    path.touch(mode=0o600)
    return path


def _update(table: sa.Table, number: int, **values: object) -> Cure:
    return lambda tx: tx.execute(table.update().where(table.c.id == number).values(values))


def _resum(kind: row_checksums.Rows, key: object) -> Cure:
    """The row is what it reads from now on."""
    change = sa.update(kind.table).where(kind.key == key).values({kind.checksum.name: None})
    return lambda tx: tx.execute(change)


def _of_event(row: Any) -> tuple[str, Cure]:
    repair = "forgets what it told of, so that it cannot be undone"
    return repair, _update(events, row.id, detail={})


def _of_search(row: Any) -> tuple[str, Cure]:
    nothing = {"command": "(damaged)", "faces": 0, "names": []}
    return "keeps that there was a search", _update(searches, row.id, detail=nothing)


def _of_setting(row: Any) -> tuple[str, Cure]:
    if row.key in PREFERENCES:
        default = PREFERENCES[row.key][0]
        return f"sets it to {default!r}, the default", _drop(settings.c.key, row.key)
    if row.key == "fingerprint":
        repair = "forgets it; `facesearch gallery reindex --model NAME` writes that of a model"
        return repair, lambda tx: set_setting(tx, "fingerprint", "(damaged)")
    return "takes it as it reads", _resum(row_checksums.SETTINGS, row.key)


def _of_terms(row: Any) -> tuple[str, Cure]:
    repair = "nobody is purged by it: the day until which they may be kept is taken away; set it"
    return f"{repair} again with `people set --expires`", _update(people, row.id, expires=None)


def _of_job(row: Any) -> tuple[str, Cure]:
    return "removes it with its photos; send them again", _drop(jobs.c.number, row.number)


def _of_job_photo(row: Any) -> tuple[str, Cure]:
    repair = f"removes it, so that the job passes it over; send {row.file!r} again"
    return repair, _drop(job_photos.c.id, row.id)


def _of_job_result(row: Any) -> tuple[str, Cure]:
    return "removes it; the photo is looked at again", _drop(job_results.c.id, row.id)


_CURES: dict[str, Callable[[Any], tuple[str, Cure]]] = {
    "events": _of_event,
    "searches": _of_search,
    "settings": _of_setting,
    "people": _of_terms,
    "jobs": _of_job,
    "job_photos": _of_job_photo,
    "job_results": _of_job_result,
}


def _drop(key: sa.Column[Any], number: object) -> Cure:
    return lambda tx: tx.execute(sa.delete(key.table).where(key == number))


def _new_person(number: int, name: str) -> Cure:
    checksum = person_checksum(number, name)
    values = {"id": number, "name": name, "created": now(), "checksum": checksum}
    return lambda tx: tx.execute(people.insert().values(values))


def _sha256(path: Path) -> str | None:
    try:
        return images.sha256(path)
    except PhotoError:
        return None
