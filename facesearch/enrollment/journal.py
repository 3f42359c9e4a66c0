"""The journal of an enrolment: what it found on photos that are not decided yet.

An enrolment that is interrupted takes up from it where it was.
"""

import base64
import json
from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from facesearch.core.face import Box, Face
from facesearch.storage import journal
from facesearch.storage.database import Database
from facesearch.vision.embedder import EmbeddedFace, Embedder


@dataclass(frozen=True, slots=True)
class PhotoScan:
    """A photo that was read, with the faces found on it."""

    path: Path
    sha256: str
    width: int
    height: int
    faces: list[EmbeddedFace]  # the largest first


class ScanJournal:
    """The scans that were made in one way: with one model and the same options."""

    def __init__(self, database: Database, embedder: Embedder, *, keep: bool) -> None:
        """keep: whether the faces come with chips to store."""
        self._database = database
        self._how = f"{embedder.model.fingerprint} {embedder.detail} {embedder.min_face} {keep}"

    def recall(self, photos: dict[str, Path]) -> dict[str, PhotoScan]:
        """The scans of photos that are in the journal. photos: their paths, by SHA-256."""
        found = journal.recall(self._database, self._how, photos)
        return {
            sha256: _decoded(photos[sha256], sha256, json.loads(content))
            for sha256, content in found.items()
        }

    def keep(self, scans: Iterable[PhotoScan]) -> None:
        """Write scans, until they are forgotten."""
        entries = {scan.sha256: json.dumps(_encoded(scan)).encode() for scan in scans}
        journal.keep(self._database, self._how, entries)

    def forget(self, hashes: Collection[str]) -> None:
        """Delete the scans of photos, which are decided now."""
        journal.forget(self._database, hashes)


def _encoded(scan: PhotoScan) -> dict[str, Any]:
    faces = [
        {
            "box": astuple(seen.face.box),
            "points": seen.face.points,
            "score": seen.face.score,
            "embedding": base64.b64encode(np.asarray(seen.embedding, "<f4").tobytes()).decode(),
            "agreement": seen.flip_consistency,
            "reason": seen.reason,
            "kept": None if seen.kept is None else base64.b64encode(seen.kept).decode(),
        }
        for seen in scan.faces
    ]
    return {"width": scan.width, "height": scan.height, "faces": faces}


def _decoded(path: Path, sha256: str, content: dict[str, Any]) -> PhotoScan:
    faces = [
        EmbeddedFace(
            Face(Box(*face["box"]), tuple((x, y) for x, y in face["points"]), face["score"]),
            np.frombuffer(base64.b64decode(face["embedding"]), "<f4"),
            face["agreement"],
            face["reason"],
            None if face["kept"] is None else base64.b64decode(face["kept"]),
        )
        for face in content["faces"]
    ]
    return PhotoScan(path, sha256, content["width"], content["height"], faces)
