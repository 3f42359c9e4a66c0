"""What an enrolment saw on photos that are not decided yet, so that a break repeats nothing."""

import base64
import json
import zlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from facesearch.core.errors import GalleryError
from facesearch.core.face import Box, Face
from facesearch.storage.database import Database
from facesearch.storage.schema import Checksum
from facesearch.vision.embedder import EmbeddedFace, Embedder

_looked = sa.Table(
    "looked",
    sa.MetaData(),
    sa.Column("sha256", sa.Text, primary_key=True),
    sa.Column("how", sa.Text, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("checksum", Checksum, nullable=False),
)


@dataclass(frozen=True, slots=True)
class PhotoScan:
    """A photo that was read."""

    path: Path
    sha256: str
    width: int
    height: int
    faces: list[EmbeddedFace]  # the largest first


class ScanJournal:
    """The photos that one way of looking has seen, by their content."""

    def __init__(self, database: Database, embedder: Embedder, *, keep: bool) -> None:
        """keep: whether the faces come with chips to keep."""
        self._database = database
        self._how = f"{embedder.model.fingerprint} {embedder.detail} {embedder.min_face} {keep}"

    def recall(self, photos: dict[str, Path]) -> dict[str, PhotoScan]:
        """Those seen before of some photos, by SHA-256."""
        found: dict[str, PhotoScan] = {}
        with self._database.read() as connection:
            if not sa.inspect(connection).has_table("looked"):
                return found
            query = sa.select(_looked).where(
                _looked.c.how == self._how, _looked.c.sha256.in_(photos)
            )
            for row in connection.execute(query):
                whole = isinstance(row.content, bytes)
                if not whole or row.checksum != zlib.crc32(row.content):
                    continue  # damaged: it is looked at again
                try:
                    content = self._database.unsealed(row.content, "face")
                except GalleryError:
                    continue
                found[row.sha256] = _read(photos[row.sha256], row.sha256, json.loads(content))
        return found

    def keep(self, scans: Iterable[PhotoScan]) -> None:
        """Until they are forgotten."""
        with self._database.append() as connection:
            _looked.create(connection, checkfirst=True)
            for look in scans:
                content = self._database.sealed(json.dumps(_written(look)).encode(), "face")
                row: dict[str, Any] = {"sha256": look.sha256, "how": self._how, "content": content}
                row["checksum"] = zlib.crc32(content)
                same = _looked.c.sha256 == look.sha256, _looked.c.how == self._how
                connection.execute(_looked.delete().where(*same))
                connection.execute(_looked.insert().values(row))

    def forget(self, hashes: Iterable[str]) -> None:
        """They are decided."""
        with self._database.append() as connection:
            _looked.create(connection, checkfirst=True)
            connection.execute(sa.delete(_looked).where(_looked.c.sha256.in_(list(hashes))))


def forget_all(connection: sa.Connection) -> None:
    """Nothing was seen: what was begun is begun again."""
    connection.execute(sa.text("DROP TABLE IF EXISTS looked"))


def _written(look: PhotoScan) -> dict[str, Any]:
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
        for seen in look.faces
    ]
    return {"width": look.width, "height": look.height, "faces": faces}


def _read(path: Path, sha256: str, content: dict[str, Any]) -> PhotoScan:
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
