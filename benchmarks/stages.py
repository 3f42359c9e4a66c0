"""Processor milliseconds of each stage on a photo's way: what stands in the way of more photos/s.

    python -m benchmarks.stages ../shared/data/lfw [--photos 300] [--precision fp32]

Counts processor time of one thread at a time, which other programs disturb less than the clock.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measuring import machine
from facesearch.core.paths import find_model
from facesearch.vision import images, photo_files
from facesearch.vision.embedder import Embedder
from facesearch.vision.model import Model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=300)
    parser.add_argument("--model")
    parser.add_argument("--precision", choices=["fp32", "int8"])
    args = parser.parse_args()
    embedder = Embedder(Model(find_model(args.model), precision=args.precision))
    detector = embedder._detector
    paths = photo_files.photos_in(args.folder)[: args.photos]
    for path in paths[:8]:
        embedder.embed_photo(path)
    pixels = [images.read_reduced(path, detector.least_side).pixels for path in paths]
    portraits = [embedder.read(path) for path in paths]
    stages: dict[str, Callable[[int], object]] = {
        "hash of the file": lambda at: images.sha256(paths[at]),
        "decode": lambda at: images.read_reduced(paths[at], detector.least_side),
        "detect, with points": lambda at: detector(pixels[at]),
        "all of reading: decode, detect, align, quality": lambda at: embedder.read(paths[at]),
        "embed, with the mirror image": lambda at: embedder.faces(portraits[at]),
        "all": lambda at: embedder.embed_photo(paths[at]),
    }
    print(f"{machine()}, {len(paths)} photos, {embedder.model.name}\n\n| stage | ms |\n|---|---|")
    for name, stage in stages.items():
        started = time.process_time()
        for at in range(len(paths)):
            stage(at)
        print(f"| {name} | {1000 * (time.process_time() - started) / len(paths):.2f} |")


if __name__ == "__main__":
    main()
