"""What detectors and points do to recognition: one network, all pairs of LFW's dev-test photos.

    python -m benchmarks.recognition models/default ../shared/data/lfw [--points OTHER.dat]

The network detector's points are tried as the first look gives them, as the near look does, and
placed by dlib's predictor: the model's, and another one given with --points.
A photo in which no usable face is found matches nobody: its genuine pairs count as missed. The
threshold is the one at which a thousandth of the impostor pairs match.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from facesearch.evaluation.lfw import LFW_TEST
from facesearch.metrics.pairs import NEVER, all_pairs, error_rates, threshold_at_fmr
from facesearch.vision.embedder import in_order
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.model import DETECTOR_FILES, LANDMARKS, Model
from models.recipes.face_labels import lfw_photos

FMR = 1e-3


def readers(model: Model, folder: Path, points: Path | None) -> Iterator[tuple[str, FaceReader]]:
    """Each way to find faces and their points, with its name."""

    def reader(detector: str, predictor: Path = folder / LANDMARKS) -> FaceReader:
        files = [
            predictor if name == LANDMARKS else folder / name for name in DETECTOR_FILES[detector]
        ]
        return FaceReader(replace(model.preprocessing, detector=detector), files)

    yield "dlib", reader("dlib")
    first, near, twice = reader("network"), reader("network"), reader("network")
    first._detector._refined = lambda image, points, near: points
    look = near._detector.near
    near._detector._refined = lambda image, points, near: look(image, points)
    place = twice._detector._refined
    twice._detector._refined = lambda image, points, near: place(image, points, near=True)
    yield "network, first look", first
    yield "network, near look", near
    yield "network, near look and predictor", twice
    yield "network: near look of uncertain faces, predictor", reader("network")
    if points:
        yield f"the same, with {points.name}", reader("network", points)


def measure(model: Model, reader: FaceReader, photos: list[Path]) -> dict[str, float]:
    """TAR at FMR with failures counted, the photos without a face, and milliseconds a photo."""
    started = time.monotonic()
    chips = [chip for _, chip in in_order(reader.read_principal, photos)]
    names = np.unique([path.parent.name for path in photos], return_inverse=True)[1]
    found = np.array([isinstance(chip, np.ndarray) for chip in chips])
    finding = time.monotonic() - started
    vectors = model.embed(np.stack([chip for chip in chips if isinstance(chip, np.ndarray)]))
    genuine, impostor = all_pairs(vectors, names[found])
    counts = np.bincount(names)
    missed = int((counts * (counts - 1) // 2).sum()) - len(genuine)
    threshold = threshold_at_fmr(impostor, FMR)
    genuine = np.concatenate([genuine, np.full(missed, NEVER)])
    refused = error_rates(genuine, impostor, [threshold])[1, 0]
    return {
        "tar": 1 - float(refused),
        "failed": int((~found).sum()),
        "genuine": len(genuine),
        "impostor": len(impostor),
        "ms": 1000 * finding / len(photos),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--detectors", type=Path, help="folder of their files; default: the model")
    parser.add_argument("--points", type=Path, help="another predictor of the points")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    args = parser.parse_args()
    model, photos = Model(args.model), lfw_photos(args.lfw, LFW_TEST)
    folder = args.detectors or args.model
    figures = {
        name: measure(model, reader, photos) for name, reader in readers(model, folder, args.points)
    }
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{len(photos)} photos, FMR {FMR}\n")
    print("| faces and points | TAR | photos without a face | ms a photo |\n|---|---|---|---|")
    for name, values in figures.items():
        print(f"| {name} | {values['tar']:.4f} | {values['failed']} | {values['ms']:.0f} |")


if __name__ == "__main__":
    main()
