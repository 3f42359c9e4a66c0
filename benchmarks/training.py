"""What a training step costs beside the network's own forward and backward pass.

    python -m benchmarks.training [--batches 20] [--rounds 3] [--mining all] [--json FILE]

Trains the default network on drawn chips, whose content does not matter here, in turns: the network
alone, with loss and mining, the whole step on batches that lie in memory, and the whole step on
batches as training loads and changes them. Prints chips a second and the processor's seconds a
batch, of all processes (which other programs on the machine disturb less), and writes JSON.
"""

import argparse
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from benchmarks.measuring import machine
from facesearch.core.progress import Silent
from facesearch.training.batches import Batches, loaded
from facesearch.training.checkpoint import Run
from facesearch.training.config import TrainConfig
from facesearch.training.dataset import Faces
from facesearch.training.distributed import Processes
from facesearch.training.losses import Loss, LossConfig, Mining
from facesearch.training.train import one_epoch

Batch = tuple[Tensor, Tensor]


def drawn_faces(config: TrainConfig, people: int, photos: int) -> Faces:
    """Noise: `people` with so many photos, and as many again with one."""
    rng = np.random.default_rng(config.seed)
    owners = np.concatenate([np.repeat(np.arange(people), photos), people + np.arange(people)])
    side = config.size + 2 * config.margin
    chips = rng.integers(0, 256, (len(owners), side, side, 3), dtype=np.uint8)
    return Faces(chips, np.arange(len(owners)), owners)


def passes(run: Run, batches: list[Batch], mining: bool) -> None:
    """Forward and backward, with the loss or only with a sum."""
    for chips, people in batches:
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = run.network(chips.contiguous(memory_format=torch.channels_last))
        cost = run.objective(embeddings, people) if mining else embeddings.sum()
        run.network.zero_grad(set_to_none=True)
        cost.backward()


def timed(job: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor."""

    def processor() -> float:
        kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        usages = [resource.getrusage(kind) for kind in kinds]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    wall, busy = time.perf_counter(), processor()
    job()
    return time.perf_counter() - wall, processor() - busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--loss", choices=get_args(Loss), default="contrastive")
    parser.add_argument("--mining", choices=get_args(Mining), default="all")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    cost = LossConfig(args.loss, args.mining, warmup=0)
    config = TrainConfig(cost=cost, batches=args.batches, epochs=10**6)
    faces = drawn_faces(config, args.people, config.photos)
    batches = Batches(faces, config, epoch=0)
    ready = [batches[number] for number in range(args.batches)]
    chips = sum(len(people) for _, people in ready)
    run = Run.begun(config, 2 * args.people, torch.device("cpu"))
    run.network.train()

    def epoch(source: Callable[[], object]) -> Callable[[], float]:
        def learn() -> float:
            return one_epoch(run, run.network, source(), Silent(), Processes())

        return learn

    jobs: dict[str, Callable[[], object]] = {
        "network alone": lambda: passes(run, ready, mining=False),
        "with loss and mining": lambda: passes(run, ready, mining=True),
        "whole step, batches in memory": epoch(lambda: ready),
        "whole step, batches loaded": epoch(lambda: loaded(batches)),
    }
    passes(run, ready[:2], mining=True)  # the first passes choose their kernels
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for _ in range(args.rounds):
        for name, job in jobs.items():
            times[name].append(timed(job))
    alone = min(busy for _, busy in times["network alone"])
    rows = [
        {
            "what": name,
            "chips_per_second": round(chips / statistics.median(wall for wall, _ in runs), 1),
            "processor_seconds_a_batch": round(min(busy for _, busy in runs) / args.batches, 4),
            "of_network": round(min(busy for _, busy in runs) / alone, 3),
        }
        for name, runs in times.items()
    ]
    record = {
        "machine": machine(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "load": os.getloadavg()[0],
        "batches": args.batches,
        "chips_a_batch": chips // args.batches,
        "rounds": args.rounds,
        "loss": args.loss,
        "mining": args.mining,
        "rows": rows,
    }
    if args.json:
        args.json.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{record['machine']}, torch {record['torch']},", end=" ")
    print(f"{record['threads']} threads, load {record['load']:.1f}")
    print(
        f"{args.rounds} rounds of {args.batches} batches of {record['chips_a_batch']} chips,",
        end=" ",
    )
    print(f"loss {args.loss}, mining {args.mining}\n")
    print(f"{'':32}{'chips/s':>8}  {'processor s/batch':>18}  {'of the network':>15}")
    for row in rows:
        print(
            f"{row['what']:32}{row['chips_per_second']:>8}  "
            f"{row['processor_seconds_a_batch']:>18.4f}  {row['of_network']:>15.3f}"
        )


if __name__ == "__main__":
    main()
