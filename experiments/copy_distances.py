"""How far copies of a photo move an embedding, beside the limit within which they are copies.

    python -m experiments.copy_distances ../shared/data/lfw models/default models/accurate

Copies: saved again at JPEG quality 30, at half the size, darker, cut by 5 % on each side. For each
model the limit (`near_enough`) and, for each kind, the median and the largest distance, and
the copies beyond the limit; then the nearest two photos of one person among as many people.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from facesearch.core.arrays import Embeddings
from facesearch.matching.calibration import calibration_of
from facesearch.matching.duplicates import near_enough
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model


def cut(photo: Image.Image) -> Image.Image:
    width, height = photo.size
    return photo.crop((width // 20, height // 20, width - width // 20, height - height // 20))


KINDS: dict[str, tuple[Callable[[Image.Image], Image.Image], int]] = {
    "JPEG 30": (lambda photo: photo, 30),
    "half size": (lambda photo: photo.resize((photo.width // 2, photo.height // 2)), 95),
    "darker": (lambda photo: photo.point(lambda value: round(0.6 * value)), 95),
    "cut": (cut, 95),
}


def seen(embedder: Embedder, path: Path) -> Embeddings | None:
    """The embedding of the largest face; None if it cannot be used."""
    faces = [face for face in embedder.embed_photo(path).faces if not face.reason]
    return faces[0].embedding if faces else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--photos", type=int, default=60)
    asked = parser.parse_args()
    several = [folder for folder in sorted(asked.lfw.iterdir()) if len([*folder.glob("*.jpg")]) > 1]
    chosen = several[:: max(1, len(several) // asked.photos)][: asked.photos]
    for folder in asked.models:
        embedder = Embedder(Model(folder))
        limit = near_enough(calibration_of(embedder.model))
        print(f"{folder.name}: limit {limit:.2f}")
        moved: dict[str, list[float]] = {kind: [] for kind in [*KINDS, "another photo"]}
        with tempfile.TemporaryDirectory() as work:
            for person in chosen:
                first, second = sorted(person.glob("*.jpg"))[:2]
                original, other = seen(embedder, first), seen(embedder, second)
                if original is None:
                    continue
                if other is not None:
                    moved["another photo"].append(float(np.linalg.norm(original - other)))
                for kind, (change, quality) in KINDS.items():
                    copy = Path(work) / "copy.jpg"
                    with Image.open(first) as photo:
                        change(photo.convert("RGB")).save(copy, quality=quality)
                    again = seen(embedder, copy)
                    if again is not None:
                        moved[kind].append(float(np.linalg.norm(original - again)))
        for kind, apart in moved.items():
            inside = sum(distance <= limit for distance in apart)
            print(
                f"  {kind}: {inside} of {len(apart)} within the limit; least {min(apart):.3f}, "
                f"median {np.median(apart):.3f}, most {max(apart):.3f}"
            )


if __name__ == "__main__":
    main()
