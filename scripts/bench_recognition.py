"""What each detector does to recognition: one network, all pairs of LFW's dev-test photos.

    python scripts/bench_recognition.py models/default ../shared/data/lfw

A photo in which no usable face is found matches nobody: its genuine pairs count as missed. The
threshold is the one at which a thousandth of the impostor pairs match.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from face_labels import lfw_photos

from facesearch.data import LFW_TEST
from facesearch.embed import FaceReader, in_order
from facesearch.metrics import NEVER, all_pairs, error_rates, threshold_at_fmr
from facesearch.model import FINDERS, Model

FMR = 1e-3


def measure(
    model: Model, detector: str, finders: list[Path], photos: list[Path]
) -> dict[str, float]:
    """TAR at FMR with failures counted, the photos without a face, and seconds."""
    started = time.monotonic()
    reader = FaceReader(replace(model.preprocessing, detector=detector), finders)
    chips = [chip for _, chip in in_order(reader.read_principal, photos)]
    names = np.unique([path.parent.name for path in photos], return_inverse=True)[1]
    found = np.array([isinstance(chip, np.ndarray) for chip in chips])
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
        "seconds": time.monotonic() - started,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--detectors", type=Path, help="folder of their files; default: the model")
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    args = parser.parse_args()
    model, photos = Model(args.model), lfw_photos(args.lfw, LFW_TEST)
    folder = args.detectors or args.model
    figures = {
        name: measure(model, name, [folder / file for file in files], photos)
        for name, files in FINDERS.items()
    }
    if args.out:
        args.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{len(photos)} photos, FMR {FMR}\n")
    print("| detector | TAR | photos without a face |\n|---|---|---|")
    for name, values in figures.items():
        print(f"| {name} | {values['tar']:.4f} | {values['failed']} |")


if __name__ == "__main__":
    main()
