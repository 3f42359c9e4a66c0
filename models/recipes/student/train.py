"""Teach the student: each visit of a face another one, the answer always the clean chip's.

    python -m models.recipes.student.train WORK [--train ../shared/data/train]
    python -m models.recipes.student.train WORK --anneal 600

WORK holds what teacher.py, stem.py and leave_out.py made. The run has no planned end: the rate is
constant, the averaged weights are what is measured; it goes on from WORK/checkpoint.pt, takes up
faces that a teacher has looked at since, and ends orderly on SIGTERM or when WORK/stop is there.
--anneal takes the rate of a copy of the checkpoint to nothing over so many steps, and writes the
student that is worth exporting to WORK/annealed.safetensors. Every half hour adds a line to
WORK/curve.csv.
"""

import argparse
import csv
import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from models.recipes.sface_embeddings import sface
from models.recipes.student.chips import Faces, faces_of
from models.recipes.student.measure import POPULATIONS, Check, embedded
from models.recipes.student.network import DIMENSION, Example, Original, ScaledAdam, Student, read
from models.recipes.student.teacher import Projection, opened, targets
from models.recipes.student.visits import plain, visited

BATCH = 32
RATE, WARM = 1.5e-3, 200  # a step's share of the weights; the steps on the way up
GONE = 1500  # the step at which no slope is left
# while the slopes go SFace shows what these layers gave, for so many chips of a batch; its weight
SHOWN, SHOWN_CHIPS, SHOWN_WEIGHT = (8, 12, 16, 20, 24, 26), 16, 0.3
AVERAGING = 0.9995
SAVE_EVERY, CHECK_EVERY, REFRESH_EVERY, TELL_EVERY = 600.0, 1800.0, 300, 20  # seconds, steps

Array = NDArray[np.float32]


@dataclass(slots=True)
class Pool:
    """The faces that teach, of all sets, and what the teacher says of them."""

    sets: list[Faces]
    which: NDArray[np.int64]  # (N,): the set of each
    rows: NDArray[np.int64]  # (N,): its row there
    taught: Array  # (N, 128)

    @classmethod
    def load(cls, work: Path, sets: list[Faces], projection: Projection) -> "Pool":
        which, rows, taught = [], [], []
        for number, faces in enumerate(sets):
            looks = opened(work / f"{faces.name}-looks.npy", len(faces.pixels), "r")
            left_out = work / f"{faces.name}-left-out.npy"
            allowed = faces.teach.copy()
            if left_out.exists():
                allowed &= ~np.load(left_out)
            some = np.flatnonzero(allowed & np.isfinite(looks[:, 0, 0]))
            which.append(np.full(len(some), number))
            rows.append(some)
            taught.append(targets(looks[some], projection))
        return cls(sets, np.concatenate(which), np.concatenate(rows), np.concatenate(taught))

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """What the student sees and what it should say."""
        rng = np.random.default_rng((0, step))
        some = rng.choice(len(self.rows), BATCH, replace=False)
        pixels = np.stack([self.sets[self.which[at]].pixels[self.rows[at]] for at in some])
        frames = np.stack([self.sets[self.which[at]].frames[self.rows[at]] for at in some])
        return visited(pixels, frames, step), torch.from_numpy(self.taught[some])


def sets_of(work: Path, train: Path) -> list[Faces]:
    """The labelled faces, and the photographs once it is known who must be left out."""
    sets = [faces_of("labelled", work, train)]
    if (work / "photos-left-out.npy").exists():
        sets.append(faces_of("photos", work, train))
    return sets


def refit(student: Student, work: Path, faces: Faces, projection: Projection) -> None:
    """The head led to the teacher's numbers: SFace's 128 numbers onto them, by least squares."""
    looks = opened(work / "labelled-looks.npy", len(faces.pixels), "r")
    some = np.flatnonzero(faces.teach & np.isfinite(looks[:, 0, 0]))
    said = looks[some, 0, :DIMENSION].astype(np.float64)
    size = np.linalg.norm(said, axis=1, keepdims=True)
    before = np.hstack([said / size, np.ones((len(some), 1))])
    fitted, *_ = np.linalg.lstsq(before, targets(looks[some], projection), rcond=None)
    turn = torch.from_numpy(fitted[:-1].T.astype(np.float32))
    shift = torch.from_numpy(fitted[-1].astype(np.float32)) * float(size.mean())
    with torch.no_grad():
        student.head.weight.copy_(turn @ student.head.weight)
        student.head.bias.copy_(turn @ student.head.bias + shift)


class Showing:
    """SFace as it was, and the cost of a student's layers being unlike its."""

    def __init__(self, original: Original, chips: Tensor) -> None:
        """chips: some, to find how much the layers vary."""
        self._example = Example(original, SHOWN).to(memory_format=torch.channels_last)
        self._weights = [
            1 / z.var((0, 2, 3), keepdim=True).clamp_min(1e-6) for z in self._example(chips)
        ]

    def cost(self, chips: Tensor, seen: list[Tensor]) -> Tensor:
        """The mean share of the variance that is missed."""
        parts = [
            ((mine[:SHOWN_CHIPS] - own).pow(2) * weight).mean()
            for mine, own, weight in zip(
                seen, self._example(chips[:SHOWN_CHIPS]), self._weights, strict=True
            )
        ]
        return torch.stack(parts).mean()


class Run:
    """A student, how it learns, and its way to disk and back."""

    def __init__(self, work: Path, student: Student, showing: Showing) -> None:
        self.work, self.student, self.showing = work, student, showing
        self.learner = ScaledAdam(student)
        self.step, self.seconds = 0, 0.0

    def save(self, path: Path) -> None:
        state = {
            "weights": dict(self.student.state_dict()),
            "learner": dict(self.learner.state()),
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.student.load_state_dict(state["weights"])
        self.learner.load(state["learner"], state["step"])
        self.step, self.seconds = state["step"], state["seconds"]

    def write_average(self, path: Path) -> None:
        tensors = {name: value.contiguous() for name, value in self.learner.average.items()}
        partial = path.with_suffix(".partial")
        save_file(tensors, partial, {"step": str(self.step), "share": str(self.student.share)})
        partial.replace(path)

    def learn(self, pool: Pool, rate: float) -> tuple[float, float, float]:
        """One step. Returns how far from the teacher, how unlike SFace, and the gradient's norm."""
        shown = self.student.share = max(0.0, 1 - self.step / GONE)
        x, taught = pool.batch(self.step)
        vectors, seen = self.student.seen(x, SHOWN if shown else ())
        loss = (1 - (vectors * taught).sum(1)).mean()
        unlike = self.showing.cost(x, seen) if shown else torch.zeros(())
        (loss + SHOWN_WEIGHT * shown * unlike).backward()
        averaging = min(AVERAGING, (self.step + 1) / (self.step + 20))
        norm = self.learner.update(rate, averaging)
        self.step += 1
        return float(loss.detach()), float(unlike.detach()), norm


def measured(run: Run, check: Check, loss: float, rate: float, name: str) -> float:
    """Add a line to the curve. Returns the mean of the TARs."""
    own = {key: value.detach().clone() for key, value in run.student.named_parameters()}
    with torch.no_grad():
        for key, value in run.student.named_parameters():
            value.copy_(run.learner.average[key])
    cells: list[float] = []
    for population in POPULATIONS:
        cells += check.figures(population, embedded(run.student, check, population))
    with torch.no_grad():
        for key, value in run.student.named_parameters():
            value.copy_(own[key])
    curve = run.work / "curve.csv"
    new = not curve.exists()
    with curve.open("a", newline="", encoding="utf-8") as file:
        line = csv.writer(file)
        if new:
            figures = [f"{p} {f}" for p in POPULATIONS for f in ("cosine", "1e-3", "1e-4")]
            line.writerow(
                ["time", "run", "step", "chips", "hours", "share", "rate", "loss", *figures]
            )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        hours = f"{run.seconds / 3600:.2f}"
        state = [now, name, run.step, run.step * BATCH, hours, f"{run.student.share:.3f}"]
        line.writerow([*state, f"{rate:.1e}", f"{loss:.4f}", *(f"{cell:.4f}" for cell in cells)])
    print(f"{run.step} measured {' '.join(f'{cell:.4f}' for cell in cells)}", flush=True)
    return float(np.mean([cells[1], cells[2], cells[4], cells[5]]))


def begun(work: Path, projection: Projection, faces: Faces) -> Run:
    original = read(onnx.load_from_string(sface()).graph)
    student = Student(original)
    refit(student, work, faces, projection)
    student.load_state_dict(load_file(work / "stem.safetensors"), strict=False)
    some = np.flatnonzero(faces.teach)[:64]
    showing = Showing(original, plain(faces.pixels[some]))
    return Run(work, student.to(memory_format=torch.channels_last), showing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--train", type=Path, default=Path("../shared/data/train"))
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--anneal", type=int, default=0, help="steps down to no rate, on a copy")
    parser.add_argument("--steps", type=int, default=10**9, help="stop after so many")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    work, projection = args.work, Projection()
    pool = Pool.load(work, sets_of(work, args.train), projection)
    check = Check.load(args.train, work)
    run = begun(work, projection, pool.sets[0])
    checkpoint, best = work / "checkpoint.pt", 0.0
    if checkpoint.exists():
        run.load(checkpoint)
    print(f"step {run.step}, {len(pool.rows)} faces", flush=True)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    name, first, last = "train", run.step, args.steps
    if args.anneal:
        name, last = "anneal", run.step + args.anneal
    elif run.step == 0:
        measured(run, check, float("nan"), 0.0, name)
    began = time.monotonic() - run.seconds
    saved = checked = run.seconds
    mean, best = float("nan"), _best(work)
    while run.step < last and not stopping and not (work / "stop").exists():
        rate = args.rate * min(1.0, (run.step + 1) / WARM)
        if args.anneal:
            rate *= (last - run.step) / (last - first)
        elif run.step % REFRESH_EVERY == 0:
            pool = Pool.load(work, sets_of(work, args.train), projection)
        loss, unlike, norm = run.learn(pool, rate)
        mean = loss if np.isnan(mean) else 0.98 * mean + 0.02 * loss
        run.seconds = time.monotonic() - began
        if run.step % TELL_EVERY == 0:
            state = f"{run.seconds:.0f} s, loss {mean:.4f}, unlike {unlike:.3f}, norm {norm:.3f}"
            print(f"{run.step} {state}, {len(pool.rows)} faces", flush=True)
        if args.anneal:
            continue
        if run.seconds - checked > CHECK_EVERY:
            checked = run.seconds
            reached = measured(run, check, mean, rate, name)
            if reached > best and run.student.share == 0:
                best = reached
                run.write_average(work / "best.safetensors")
                (work / "best.txt").write_text(f"{best:.5f} {run.step}\n", encoding="utf-8")
        if run.seconds - saved > SAVE_EVERY:
            run.save(checkpoint)
            saved = run.seconds
    if args.anneal:
        measured(run, check, mean, 0.0, name)
        run.write_average(work / "annealed.safetensors")
    else:
        run.save(checkpoint)


def _best(work: Path) -> float:
    path = work / "best.txt"
    return float(path.read_text(encoding="utf-8").split()[0]) if path.exists() else 0.0


if __name__ == "__main__":
    main()
