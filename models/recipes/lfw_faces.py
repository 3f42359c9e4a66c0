"""Every usable face of all LFW photos as the shipped model sees it, kept below .cache/review.

    python -m models.recipes.lfw_faces ../shared/data/lfw models/default

The faces are those that `enroll` would see: found, aligned and embedded by the same code.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facesearch.core.errors import PhotoError
from facesearch.core.face import principal
from facesearch.vision.embedder import Embedder, in_order
from facesearch.vision.model import Model
from facesearch.vision.photo_files import people_in

KEPT = "photo", "embeddings", "flip_consistencies", "principal", "boxes"
CACHE = Path(__file__).parents[2] / ".cache" / "review"


@dataclass(frozen=True, slots=True)
class Faces:
    """The usable faces, photo after photo; rows are faces."""

    photos: list[Path]  # all photos, (P,)
    photo: NDArray[np.int64]  # of each face, (N,), a place in `photos`
    embeddings: NDArray[np.float32]  # (N, D)
    flip_consistencies: NDArray[np.float32]  # (N,)
    principal: NDArray[np.bool_]  # (N,): the face that the photo is about
    boxes: NDArray[np.float64]  # (N, 4)


def lfw_faces(lfw: Path, model: Model) -> Faces:
    """The usable faces of LFW. The first time takes a quarter of an hour on two cores."""
    found = people_in(lfw)
    photos = [path for paths in found.values() for path in paths]
    path = CACHE / f"lfw-faces-{model.fingerprint[:16]}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **_look(photos, Embedder(model)))
    kept = np.load(path)
    return Faces(photos, **{key: kept[key] for key in KEPT})


def _look(photos: list[Path], embedder: Embedder) -> dict[str, NDArray[np.generic]]:
    rows: dict[str, list[object]] = {key: [] for key in KEPT}
    for place, (_, portrait) in enumerate(in_order(embedder.read, photos)):
        if isinstance(portrait, PhotoError) or not portrait.faces:
            continue
        main = principal(portrait.faces, portrait.width, portrait.height)
        for seen in embedder.faces(portrait):
            if seen.reason:
                continue
            rows["photo"].append(place)
            rows["embeddings"].append(seen.embedding)
            rows["flip_consistencies"].append(np.float32(seen.flip_consistency))
            rows["principal"].append(seen.face == main)
            box = seen.face.box
            rows["boxes"].append([box.left, box.top, box.right, box.bottom])
    return {key: np.array(values) for key, values in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("model", type=Path)
    args = parser.parse_args()
    faces = lfw_faces(args.lfw, Model(args.model))
    print(
        f"{len(faces.photo):,} usable faces on {len(set(faces.photo)):,} of {len(faces.photos):,}"
    )


if __name__ == "__main__":
    main()
