"""The journal of an enrolment gives back what it was given, or nothing."""

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np

from facesearch.enrollment.journal import PhotoScan, ScanJournal
from facesearch.storage.store import Store
from facesearch.vision.embedder import Embedder


def test_a_damaged_note_of_a_photo_is_not_used(
    embedder: Embedder, people: Path, tmp_path: Path
) -> None:
    photo = people / "person-00" / "pose-0.jpg"
    (seen,) = embedder.faces(embedder.read(photo))
    scan = PhotoScan(photo, "f" * 64, 300, 300, [seen])
    asked = {scan.sha256: photo}
    with closing(Store(tmp_path / "gallery", create=True)) as store:
        journal = ScanJournal(store.database, embedder, keep=False)
        assert journal.recall(asked) == {}
        journal.keep([scan])
        (again,) = journal.recall(asked).values()
        assert again.faces[0].face == seen.face
        assert np.array_equal(again.faces[0].embedding, seen.embedding)
        assert ScanJournal(store.database, embedder, keep=True).recall(asked) == {}
        file = tmp_path / "gallery" / "gallery.db"
        with closing(sqlite3.connect(file, isolation_level=None)) as raw:
            raw.execute("UPDATE looked SET content = CAST(replace(content, '300', '301') AS BLOB)")
            assert journal.recall(asked) == {}
            raw.execute("UPDATE looked SET content = 'no bytes'")
        assert journal.recall(asked) == {}
