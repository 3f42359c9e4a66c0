"""Losses and minings on equal terms: one network, the same people, batches and epochs, three seeds.

    python -m benchmarks.losses ../shared/data/lfw

Learns from LFW's dev-train people, takes the threshold with the best F1 on the tenth of them that
validates, and measures the pairs of `pairsDevTest.txt` and all pairs of the dev-test people. Every
run that ends is kept; a stopped one goes on from its last epoch.
"""

import argparse
import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from facesearch.cli.output import shown_progress
from facesearch.core.paths import find_model
from facesearch.core.progress import Silent
from facesearch.evaluation.lfw import read_pairs
from facesearch.metrics.pairs import (
    NEVER,
    all_pairs,
    balanced,
    best_f1,
    evaluate_pairs,
    fnmr_at_fmr,
    sample,
)
from facesearch.training.config import TrainConfig
from facesearch.training.dataset import split_people
from facesearch.training.distributed import Processes
from facesearch.training.losses import LossConfig
from facesearch.training.network import NetworkConfig
from facesearch.training.preparation import Prepared, prepare
from facesearch.training.train import embedded, learn
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.model import Model, Preprocessing
from facesearch.vision.photo_files import people_in

CACHE = Path(__file__).parent.parent / ".cache" / "losses"
RUNS = {
    "contrastive, random negatives (the ancestor's)": LossConfig(mining="random"),
    "contrastive, all pairs": LossConfig(),
    "contrastive, hard pairs": LossConfig(mining="hard"),
    "contrastive, cross-batch memory": LossConfig(mining="memory", warmup=100),
    "triplet, all": LossConfig("triplet"),
    "triplet, batch hard": LossConfig("triplet", "hard"),
    "identity softmax beside: contrastive, random": LossConfig(mining="random", identity=0.1),
    "identity softmax beside: contrastive, all pairs": LossConfig(identity=0.1),
    "identity softmax beside: contrastive, hard pairs": LossConfig(mining="hard", identity=0.1),
    "identity softmax beside: contrastive, memory": LossConfig(
        mining="memory", warmup=100, identity=0.1
    ),
    "identity softmax beside: triplet, all": LossConfig("triplet", identity=0.1),
    "identity softmax beside: triplet, batch hard": LossConfig("triplet", "hard", identity=0.1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--widths", type=int, nargs=4, default=(16, 32, 64, 128))
    parser.add_argument("--epochs", type=int, default=8, help="of 100 batches of 224 chips")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="", help="runs whose name holds this")
    parser.add_argument("--validate", action="store_true", help="leave the test people alone")
    args = parser.parse_args()
    base = TrainConfig(
        size=args.size, network=NetworkConfig(tuple(args.widths)), epochs=args.epochs
    )
    folder = CACHE / str(args.size)
    ready = faces_of(args.lfw, base, folder)
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(args.seeds):  # a whole round first: a stop leaves a whole table
        for name, cost in RUNS.items():
            if args.only in name:
                config = replace(base, cost=cost, seed=seed)
                row = measured(args.lfw, ready, config, folder, validate=args.validate)
                found.setdefault(name, []).append(row)
                print(f"{name}, seed {seed}: {row}", flush=True)
    keys = list(next(iter(found.values()))[0])
    print("| | " + " | ".join(keys) + " |\n|" + "---|" * (len(keys) + 1))
    for name, rows in found.items():
        table = np.array([[row[key] for key in keys] for row in rows])
        cells = [f"{m:.3f} ± {s:.3f}" for m, s in zip(table.mean(0), table.std(0), strict=True)]
        print(f"| {name} | " + " | ".join(cells) + " |")


def faces_of(lfw: Path, config: TrainConfig, folder: Path) -> Prepared:
    how = Preprocessing(size=config.size, detector="network")
    reader = FaceReader(how, Model(find_model("default")).detector_files)
    split = split_people(lfw, people_in(lfw), 0)  # one split: the seeds are the networks'
    with shown_progress(False, long=True) as progress:
        return prepare(lfw, split, folder, config, reader, progress, Processes())


def measured(
    lfw: Path, ready: Prepared, config: TrainConfig, folder: Path, *, validate: bool
) -> dict[str, float]:
    """Train and measure, or read what an earlier run kept in this configuration's file."""
    text = json.dumps(asdict(config))
    key = f"{config.cost.loss}-{config.cost.mining}-{config.cost.identity:g}-{config.seed}"
    here = folder / f"{key}-{config.epochs}{'-validated' if validate else ''}.json"
    if here.is_file() and json.loads(here.read_text())["config"] == text:
        return dict(json.loads(here.read_text())["row"])
    checkpoint = folder / f"{key}.safetensors"
    started = time.time()
    device = torch.device("cpu")
    run = learn(ready, config, checkpoint, Silent(), device, Processes())
    minutes = (time.time() - started) / 60
    side = config.size
    validation, test = ready.parts["validation"], ready.parts["test"]
    vectors = embedded(run.embedder, validation.inner(side)).numpy()
    rows = sample(validation.people, 0)
    genuine, impostor = all_pairs(vectors[rows], validation.people[rows])
    distance, same = balanced(genuine, impostor, 0)
    threshold, f1 = best_f1(distance[same], distance[~same])
    row = {"validation F1": f1, "validation TAR at 1e-2": 1 - fnmr_at_fmr(genuine, impostor, 0.01)}
    if not validate:
        vectors = embedded(run.embedder, test.inner(side)).numpy()
        genuine, impostor = all_pairs(vectors, test.people)
        row |= {"test F1": listed(lfw, ready, vectors, threshold)}
        row |= {"TAR at 1e-2": 1 - fnmr_at_fmr(genuine, impostor, 0.01)}
        row |= {"TAR at 1e-3": 1 - fnmr_at_fmr(genuine, impostor, 0.001)}
    row |= {"minutes": minutes}
    here.write_text(json.dumps({"config": text, "row": row}))
    checkpoint.unlink(missing_ok=True)
    return row


def listed(lfw: Path, ready: Prepared, vectors: NDArray[np.float32], threshold: float) -> float:
    """F1 on `pairsDevTest.txt`; a photo without a usable face matches nothing."""
    place = {int(row): number for number, row in enumerate(ready.parts["test"].rows)}
    pairs = read_pairs(lfw / "pairsDevTest.txt", lfw)
    distance = np.full(len(pairs), NEVER)
    for number, pair in enumerate(pairs):
        rows = [ready.cache.row(photo) for photo in (pair.a, pair.b)]
        a, b = (None if row is None else vectors[place[row]] for row in rows)
        if a is not None and b is not None:
            distance[number] = np.linalg.norm(a - b)
    same = np.array([pair.same for pair in pairs])
    return evaluate_pairs(distance, same, np.zeros(len(pairs), np.int64), threshold).f1


if __name__ == "__main__":
    main()
