"""A small gallery as an earlier version of facesearch left it.

It is made by that version's own code, with invented embeddings; those in tests/galleries are of

    git worktree add ../old bbd4bac^     # the last commit with schema 0001
    PYTHONPATH=../old python -m tests.support.old_gallery tests/galleries/0001.db
    git worktree add ../older 2abd46e^   # the last commit with schema 0002
    PYTHONPATH=../older python -m tests.support.old_gallery tests/galleries/0002.db
    git worktree add ../last 9d43917   # a commit with schema 0003
    PYTHONPATH=../last python -m tests.support.old_gallery tests/galleries/0003.db
    git worktree add ../latest 3b245d7   # the last commit with schema 0004
    PYTHONPATH=../latest python -m tests.support.old_gallery tests/galleries/0004.db --curated
    git worktree add ../newest b8f4112   # a commit with schema 0005
    PYTHONPATH=../newest python -m tests.support.old_gallery tests/galleries/0005.db --curated
"""

import shutil
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from facesearch.core.face import Box, Face
from facesearch.storage.records import ModelStamp, NewPhoto
from facesearch.storage.store import Store

MODEL = ModelStamp("default", "f" * 64, 16)
# who is on the photo, where it lies, how many faces of it
PHOTOS = [
    ("Zo\u00eb Ng", "/photos/zo\u00eb/1.jpg", 1),
    ("Zo\u00eb Ng", "/photos/zo\u00eb/a photo.jpg", 2),
    ("bob", "/photos/caf\udce9.jpg", 1),
    ("mistake", "/photos/mistake.jpg", 1),
    ("old name", "/photos/4.jpg", 1),
    ("old name", "/photos/5.jpg", 1),
]


def photo(number: int) -> NewPhoto:
    """The photo of this place in PHOTOS; the same for every version."""
    name, path, faces = PHOTOS[number]
    rng = np.random.default_rng(number)
    points = tuple((float(x), float(y)) for x, y in rng.uniform(0, 100, (5, 2)))
    vectors = rng.normal(size=(faces, MODEL.dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    known = {
        "name": name,
        "path": Path(path),
        "sha256": f"{number + 1:064x}",
        "width": 640,
        "height": 480,
        "faces": [Face(Box(1.5, 2, 30 + face, 40), points, 0.5) for face in range(faces)],
        "embeddings": vectors.astype(np.float32),
        "flip_consistencies": [0.9 + number / 100] * faces,
        "agreements": [0.9 + number / 100] * faces,
    }
    asked = {field.name for field in fields(NewPhoto)}  # an earlier version asks for less
    return NewPhoto(**{name: value for name, value in known.items() if name in asked})


def curate(store: Store) -> None:
    """What only a later version can do."""
    from facesearch.gallery import curation, rejections
    from facesearch.storage import audit_log, preferences

    curation.set_terms(store.database, "bob", expires="2031-05-06", consent="by letter")
    known = photo(1)
    face, vector = known.faces[0], known.embeddings[0]
    rejections.reject(store.database, "bob", known.sha256, face.box, vector)
    preferences.prefer(store.database, "audit", "on")
    audit_log.record(store.database, "identify", 1, ["bob"])
    store.add([replace(photo(5), name="new name", sha256="9" * 64, chips=[b"a chip"])], MODEL)


def main(target: Path, *, curated: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "gallery", create=True)
        for number in range(len(PHOTOS)):
            store.add([photo(number)], MODEL)
        store.rename("old name", "new name")
        store.remove("mistake")
        if curated:
            curate(store)
        store.close()
        shutil.copyfile(Path(folder) / "gallery" / "gallery.db", target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), curated="--curated" in sys.argv)
