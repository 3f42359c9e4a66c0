"""How a network does on the people who calibrate: true accepts, and nearness to the teacher.

    python -m models.recipes.student.measure WORK [--train ../shared/data/train]

Prints the reference rows: what the shipped networks and their parts reach on the same chips, out of
WORK/labelled-looks.npy.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.recipes.student.network import Student
from models.recipes.student.teacher import Projection, opened, targets
from models.recipes.student.visits import plain
from models.recipes.train_chips import Chips
from models.recipes.train_default import true_accept_rates, unit

POPULATIONS = ("celebrities", "families")
MOST = 2500  # chips of a population

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Check:
    """The chips of the people who calibrate, one population after the other."""

    chips: Chips
    rows: dict[str, NDArray[np.int64]]
    taught: dict[str, Array]  # the teacher's, with both looks

    @classmethod
    def load(cls, train: Path, work: Path) -> "Check":
        chips = Chips.load(train, work / "labelled.npy")
        rows = {name: chips.of("calibrate", name)[:MOST] for name in POPULATIONS}
        looks = opened(work / "labelled-looks.npy", len(chips.pixels), "r")
        projection = Projection()
        taught = {name: targets(looks[some], projection) for name, some in rows.items()}
        return cls(chips, rows, taught)

    def figures(self, name: str, vectors: Array) -> tuple[float, float, float]:
        """Mean cosine to the teacher, TAR at FMR 1e-3 and at 1e-4 over all pairs."""
        cosine = float((vectors * self.taught[name]).sum(1).mean())
        return cosine, *true_accept_rates(vectors, self.chips.people[self.rows[name]])


@torch.inference_mode()
def embedded(network: Student, check: Check, name: str) -> Array:
    """One look, the chips as they are."""
    parts = []
    rows = check.rows[name]
    for at in range(0, len(rows), 32):
        parts.append(network(plain(check.chips.pixels[rows[at : at + 32]])))
    return torch.cat(parts).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--train", type=Path, default=Path("../shared/data/train"))
    args = parser.parse_args()
    check = Check.load(args.train, args.work)
    raw = opened(args.work / "labelled-looks.npy", len(check.chips.pixels), "r")
    projection = Projection()
    print("network,celebrities cosine,1e-3,1e-4,families cosine,1e-3,1e-4")
    for looks in (1, 2):
        outputs = {name: raw[rows, :looks].astype(np.float32) for name, rows in check.rows.items()}
        for network, of in {
            "accurate": lambda x: sum(projection(x[:, at]) for at in range(x.shape[1])),
            "SFace": lambda x: sum(unit(x[:, at, :128]) for at in range(x.shape[1])),
            "default": lambda x: sum(unit(x[:, at, 128:]) for at in range(x.shape[1])),
        }.items():
            cells = []
            for name in POPULATIONS:
                cells += check.figures(name, unit(of(outputs[name])))
            if network != "accurate":
                cells[0] = cells[3] = float("nan")
            text = ",".join("" if np.isnan(cell) else f"{cell:.4f}" for cell in cells)
            print(f"{network} {looks} look{'s' if looks > 1 else ''},{text}", flush=True)


if __name__ == "__main__":
    main()
