"""What is wrong with the rows of a gallery."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from facesearch.core.errors import PhotoError
from facesearch.core.uploads import Upload
from facesearch.gallery.doctor_cures import CURES
from facesearch.gallery.doctor_findings import Cure, Findings
from facesearch.storage import rejections, repair, row_checksums
from facesearch.storage.connection import Connection
from facesearch.storage.database import Database
from facesearch.storage.examination import (
    Unreadable,
    chips_of_nobody,
    examined_faces,
    examined_people,
    examined_photos,
    reading,
    rejections_of_nobody,
)
from facesearch.storage.row_checksums import Rows
from facesearch.storage.settings import set_setting, stored_setting
from facesearch.vision import images

UNIT = 1e-3  # how far an embedding's norm may lie from 1


def examine_rows(
    database: Database, connection: Connection, findings: Findings, *, hashes: bool
) -> None:
    """Examine every row of one state of the gallery. hashes: compare the photos' content, too."""
    examination = _RowExamination(database, connection, findings, hashes)
    try:
        with reading():
            examination.run()
    except Unreadable as error:  # a part that could not be recovered
        findings.add("malformed", f"{database.name}: {error}", "error")


class _RowExamination:
    def __init__(
        self, database: Database, connection: Connection, findings: Findings, hashes: bool
    ) -> None:
        self.database, self.connection, self.hashes = database, connection, hashes
        self.findings = findings
        self.names: dict[int, str] = {}  # of people, by number
        self.paths: dict[int, Path] = {}  # of photos, by number

    def run(self) -> None:
        self._people()
        self._photos()
        self._summed_rows()
        self._faces()
        self._rows_of_nobody()

    def _people(self) -> None:
        for person in examined_people(self.connection):
            number, name = person.number, person.name
            self.names[number] = name
            if not person.sound:
                given = f"{name} (damaged {number})"
                self.findings.add(
                    "damaged person",
                    f"person {number}, {name!r}: not the name that was written",
                    "error",
                    f"calls them {given!r}, with their faces, until you rename them",
                    partial(repair.name_person, number=number, name=given, removed=person.removed),
                )
            elif person.removed != person.name_says_removed:
                state = "not removed" if person.removed else "removed"
                self.findings.add(
                    "damaged person",
                    f"person {number}, {name!r}: the name and the date of removal disagree",
                    "error",
                    f"treats them as {state}, as the name says",
                    partial(repair.mark_removed, number=number, removed=not person.removed),
                )
            if not person.removed and not person.has_faces:
                what = f"person {number}, {name!r}: no face of theirs is enrolled"
                self.findings.add("no faces", what, "warning")

    def _photos(self) -> None:
        for photo in examined_photos(self.connection):
            number, path = photo.number, photo.path
            self.paths[number] = path
            if not photo.sound:
                same = _sha256(path) == photo.sha256
                self.findings.add(
                    "damaged photo",
                    f"photo {number}, {path}: not the path or the hash that was written",
                    "error",
                    "keeps it: the file is there and has this hash"
                    if same
                    else "keeps it as it is stored, with its faces; its path or hash may be wrong",
                    partial(
                        repair.accept_photo, number=number, path=path, sha256=str(photo.sha256)
                    ),
                )
            if not photo.has_faces:
                self.findings.add(
                    "photo without faces",
                    f"photo {number}, {path}: no face of it is enrolled",
                    "warning",
                    "removes the row; enrol the photo again if it should be known",
                    partial(repair.drop_photo, number=number),
                )
            elif isinstance(path, Upload):
                continue  # never was a file
            elif not path.exists():
                what = f"photo {number}, {path}: no such file"
                self.findings.add("photo gone", what, "note")
            elif self.hashes and _sha256(path) != photo.sha256:
                what = f"photo {number}, {path}: not the content enrolled"
                self.findings.add("photo changed", what, "note")

    def _summed_rows(self) -> None:
        """The rows beside people's names, photos and faces.

        The order matters: to delete a rejection, events are read.
        """
        for rows, cure_of in CURES:
            for row in row_checksums.damaged(self.connection, rows):
                self._damaged(rows, row, *cure_of(row))
        for row in row_checksums.damaged(self.connection, row_checksums.REJECTIONS):
            whose = self.names.get(row.person, f"person {row.person}")
            self._damaged(
                row_checksums.REJECTIONS,
                row,
                f"removes it; if it was of {whose!r}, reject the face again with `people reject`",
                partial(rejections.drop, number=row.id),
            )

    def _damaged(self, rows: Rows, row: Any, cured: str, cure: Cure) -> None:
        key = getattr(row, rows.key.name)
        if getattr(row, rows.checksum.name) is None:  # it was written past facesearch
            cured, cure = "keeps it as it is stored", partial(repair.accept_row, rows=rows, key=key)
        what = f"{rows.what} {key}: not what was written"
        self.findings.add(f"damaged {rows.table.name}", what, "error", cured, cure)

    def _faces(self) -> None:
        sizes: dict[int, int] = {}  # how many embeddings have this many numbers
        wrong: set[int] = set()
        recovered: set[int] = set()
        for face in examined_faces(self.database, self.connection):
            reason = ""
            if not face.sound:
                reason = "not what was written"
            elif face.photo not in self.paths:
                reason = f"its photo, {face.photo}, is unknown"
            elif face.embedding is None:
                reason = "its embedding cannot be read"
            else:
                size = len(face.embedding)
                sizes[size] = sizes.get(size, 0) + 1
                norm = np.linalg.norm(face.embedding)
                if not np.isfinite(face.embedding).all() or abs(norm - 1) > UNIT:
                    reason = "its embedding is no unit vector"
            if reason:
                wrong.add(face.number)
                self._lose(face.number, reason, face.person, face.photo, face.box)
            elif face.person not in self.names and face.person not in recovered:
                recovered.add(face.person)
                name = f"recovered {face.person}"
                self.findings.add(
                    "face without a person",
                    f"face {face.number}, {self.paths[face.photo]}: person {face.person} is "
                    "unknown",
                    "error",
                    f"adds them again as {name!r}, with their faces, until you rename them",
                    partial(repair.add_person, number=face.person, name=name),
                )
        if sizes:
            size = max(sizes, key=lambda size: sizes[size])
            if len(sizes) > 1:
                self._other_sizes(size, wrong)
            self._model(size)

    def _other_sizes(self, size: int, wrong: set[int]) -> None:
        """The faces whose embeddings have another size than most, beside those that are wrong."""
        for face in examined_faces(self.database, self.connection):
            if face.number in wrong or face.embedding is None:
                continue
            if len(face.embedding) != size:
                reason = "its embedding is of another length than the others"
                self._lose(face.number, reason, face.person, face.photo, face.box)

    def _model(self, size: int) -> None:
        """The settings that say which model the embeddings are of."""
        dimension = stored_setting(self.connection, "dimension")
        if dimension != str(size):
            self.findings.add(
                "settings",
                f"dimension: {dimension!r}, but the embeddings have {size} numbers",
                "error",
                "writes the size that the embeddings have",
                partial(set_setting, key="dimension", value=str(size)),
            )
        for key in ("model", "fingerprint"):
            if not stored_setting(self.connection, key):
                what = f"{key}: unknown, so that no model can be compared; enrol all photos again"
                self.findings.add("settings", what, "error")

    def _lose(self, number: int, reason: str, person: int, photo: int, box: object) -> None:
        name, path = self.names.get(person), self.paths.get(photo)
        again = f"enrol {path} again" if path else "enrol the photo again"
        again += f" as {name!r}" if name else ""
        self.findings.add(
            "damaged face",
            f"face {number} of {name!r}, {path}: {reason}",
            "error",
            f"removes it and notes it in a file; {again}",
            partial(repair.drop_face, number=number),
        )
        try:
            place = json.loads(str(box))
        except ValueError:
            place = None
        self.findings.lost.append(
            {
                "face": number,
                "name": name,
                "photo": str(path) if path else None,
                "box": place,
                "reason": reason,
            }
        )

    def _rows_of_nobody(self) -> None:
        """Chips of faces and rejections of people that do not exist."""
        for face in chips_of_nobody(self.connection):
            what = f"chip of face {face}, which is unknown"
            drop_chip = partial(repair.drop_chip, face=face)
            self.findings.add("chip of nobody", what, "warning", "removes it", drop_chip)
        for person in rejections_of_nobody(self.connection):
            what = f"rejection of person {person}, who is unknown"
            drop_all = partial(repair.drop_rejections, person=person)
            self.findings.add("rejection of nobody", what, "warning", "removes it", drop_all)


def _sha256(path: Path) -> str | None:
    try:
        return images.sha256(path)
    except PhotoError:
        return None
