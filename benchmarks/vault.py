"""How long an encrypted gallery of many faces takes to be encrypted, read and searched.

python -m benchmarks.vault --faces 100000
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measuring import machine, seconds
from facesearch.core.face import Box, Face
from facesearch.storage import vault
from facesearch.storage.records import ModelStamp, NewPhoto
from tests.support.inside_gallery import InsideGallery as Gallery

DIMENSION, OF_ONE = 128, 10


def timed(what: str, job: Callable[[], object]) -> None:
    print(f"{what:44}{seconds(job):8.2f} s", flush=True)


def fill(gallery: Gallery, count: int) -> None:
    """Invented people with OF_ONE faces each."""
    rng = np.random.default_rng(0)
    face = Face(Box(0, 0, 100, 100), ((30, 40), (70, 40), (50, 60), (35, 80), (65, 80)), 0.9)
    new = []
    for number in range(count):
        vector = rng.normal(size=(1, DIMENSION)).astype(np.float32)
        vector /= np.linalg.norm(vector)
        name = f"person {number // OF_ONE}"
        path, sha256 = Path(f"/photos/{number}.jpg"), f"{number:064x}"
        new.append(NewPhoto(name, path, sha256, 640, 480, [face], vector, [0.9]))
    for at in range(0, count, 1000):
        gallery.store.add(new[at : at + 1000], ModelStamp("bench", "0" * 64, DIMENSION))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--faces", type=int, default=100_000)
    count = parser.parse_args().faces
    secret = vault.new_passphrase("correct horse battery staple")
    print(f"{machine()}, {count:,} faces")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "gallery"
        gallery = Gallery(folder)
        fill(gallery, count)
        timed("read all embeddings, plain", gallery.store.vectors)
        timed("build and write the index, plain", gallery.index.current)
        timed("read the index, plain", Gallery(folder).index.current)
        timed("encrypt", lambda: gallery.encrypt(secret))
        locked = Gallery(folder, keys=lambda kind: secret.content)
        timed("unlock (scrypt)", locked.unlock)
        timed("read all embeddings, encrypted", locked.store.vectors)
        timed("build and write the index, encrypted", locked.index.current)
        again = Gallery(folder, keys=lambda kind: secret.content)
        again.unlock()
        timed("read the index, encrypted", again.index.current)
        timed("decrypt", again.decrypt)


if __name__ == "__main__":
    main()
