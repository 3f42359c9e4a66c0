"""Teach dlib's network more: a trial, not what is shipped (docs/development/training.md).

    python -m models.recipes.sface_embeddings ../shared/data/train .cache/sface.npy
    python -m models.recipes.train_default ../shared/data/train .cache/default --minutes 60

The student is dlib's network with dlib's weights (public domain), in its own space. Four costs: the
contrastive loss over the batch, with margins that suit that space; the same against what dlib's
network says of everybody; the teacher's ranking of everybody by likeness (the teacher is SFace and
dlib's network side by side, see make_accurate.py); and the distance from where dlib's network puts
the face, so that it forgets nothing. What was reached is kept every few minutes; --resume goes on.
models.recipes.make_default makes a model of it.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from facesearch.training.losses import contrastive_loss
from models.recipes.dlib_network import SIZE, DlibNetwork, load_dlib
from models.recipes.teachers import fetch
from models.recipes.train_chips import Chips, View, sampled

# dlib's own chips, as the similarity that brings the template's chips nearest to them: found by
# comparing the network's embeddings with those in teacher.npy
VIEW = View(SIZE, 1.525, (55.91, 70.5))
DLIB_WEIGHT = 0.35  # of dlib's squared distances in the teacher's
NEAR, FAR = 0.3, 0.52  # the margins: dlib's genuine pairs lie at 0.33, FMR 0.001 at 0.37
HELD, TAUGHT = 0.5, 0.0  # weights of the distance from dlib's network and of the teacher's ranking
CROWD = 4096  # faces that are ranked
# what makes likeness a rank: of the teacher's cosines, of the student's squared distances
TEACHER_SPREAD, STUDENT_SPREAD = 0.12, 0.05
PEOPLE, PHOTOS, OTHERS = 40, 4, 96  # of a batch; the others are any chips
RATE, WARM = 3e-5, 20  # the learning rate's peak, and the steps on the way up
AVERAGING = 0.99
SAVE_EVERY = 240.0  # seconds


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def targets(
    dlib: NDArray[np.float32], sface: NDArray[np.float32], learn: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The teachers side by side, centred, in 128 numbers: unit vectors, (N, 128)."""
    parts = []
    for vectors, weight in ((dlib, DLIB_WEIGHT), (sface, 1 - DLIB_WEIGHT)):
        vectors = unit(vectors)
        parts.append(math.sqrt(weight) * unit(vectors - vectors[learn].mean(axis=0)))
    both = np.concatenate(parts, axis=1)
    both -= both[learn].mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(both[learn].T))
    return unit(both @ axes[:, -128:].astype(np.float32))


def true_accept_rates(
    vectors: NDArray[np.float32], people: NDArray[np.int64]
) -> tuple[float, float]:
    """TAR at FMR 1e-3 and 1e-4 over all pairs."""
    similar = vectors @ vectors.T
    upper = np.triu(np.ones_like(similar, bool), 1)
    same = people[:, None] == people[None, :]
    genuine, impostor = similar[same & upper], similar[~same & upper]
    bars = np.quantile(impostor, [1 - 1e-3, 1 - 1e-4])
    return float((genuine > bars[0]).mean()), float((genuine > bars[1]).mean())


class Learning:
    """The state of a run, in memory and on disk."""

    def __init__(self, student: DlibNetwork) -> None:
        self.student = student.to(memory_format=torch.channels_last)
        self.average = {name: value.clone() for name, value in student.state_dict().items()}
        self.optimizer = torch.optim.AdamW(student.parameters(), RATE, weight_decay=0.02)
        self.step, self.seconds = 0, 0.0
        self.log: list[dict[str, float]] = []

    def save(self, path: Path) -> None:
        tensors = {f"student.{name}": value for name, value in self.student.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        note = {"step": self.step, "seconds": self.seconds, "log": self.log}
        partial = path.with_suffix(".partial")
        contiguous = {name: value.contiguous() for name, value in tensors.items()}
        save_file(contiguous, partial, {"note": json.dumps(note)})
        partial.replace(path)

    def load(self, path: Path) -> None:
        parts: dict[str, dict[str, Tensor]] = {"student": {}, "average": {}, "optimizer": {}}
        with safe_open(path, "pt") as file:
            note = json.loads(file.metadata()["note"])
            for name in file.keys():  # noqa: SIM118 - not a dictionary
                part, _, rest = name.partition(".")
                parts[part][rest] = file.get_tensor(name)
        self.student.load_state_dict(parts["student"])
        self.average = parts["average"]
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            number, _, rest = name.partition(".")
            state.setdefault(int(number), {})[rest] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.step, self.seconds, self.log = note["step"], note["seconds"], note["log"]

    def averaged(self) -> DlibNetwork:
        """The running mean of the weights, as a network."""
        network = DlibNetwork().fused()
        network.load_state_dict(self.average)
        return network.eval().to(memory_format=torch.channels_last)


class Batches:
    """Rows of the learners' chips: some people several times, and any others."""

    def __init__(self, people: NDArray[np.int64]) -> None:
        order = np.argsort(people, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(people[order])) + 1)
        self._several = [group for group in groups if len(group) > 1]
        weight = np.sqrt([len(group) for group in self._several])
        self._weight = weight / weight.sum()
        self._count = len(people)

    def rows(self, step: int) -> NDArray[np.int64]:
        rng = np.random.default_rng((0, step))
        chosen = rng.choice(len(self._several), PEOPLE, replace=False, p=self._weight)
        rows = [rng.permutation(self._several[person])[:PHOTOS] for person in chosen]
        full = PEOPLE * PHOTOS + OTHERS
        known = np.concatenate(rows)
        return np.concatenate([known, rng.choice(self._count, full - len(known), replace=False)])


@torch.inference_mode()
def embedded(network: DlibNetwork, chips: Chips, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Unit vectors of the chips as they are and their mirror images, (N, 128)."""
    parts = []
    for at in range(0, len(rows), 128):
        some = rows[at : at + 128]
        pixels = torch.from_numpy(chips.pixels[some])
        x = sampled(pixels, torch.from_numpy(chips.frames[some]), VIEW, None)
        x = torch.cat([x, x.flip(3)]).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            e = network(x)
        parts.append((e[: len(some)] + e[len(some) :]).numpy())
    return unit(np.concatenate(parts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sface", type=Path, default=Path(".cache/sface.npy"))
    parser.add_argument("--minutes", type=float, default=100, help="of the whole schedule")
    parser.add_argument("--steps", type=int, default=10**9, help="stop after so many")
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    checkpoint = args.out / "checkpoint.safetensors"
    chips = Chips.load(args.train)
    parts = chips.parts
    learn = parts == "learn"
    dlib = np.load(args.train / "teacher.npy").astype(np.float32)
    teachers = targets(dlib, np.load(args.sface), learn)
    rows = np.flatnonzero(learn)
    people = chips.people[rows]
    held, taught = torch.from_numpy(unit(dlib)[rows]), torch.from_numpy(teachers[rows])
    bank, owners = held.T.contiguous(), torch.from_numpy(people)
    check = {name: chips.of("calibrate", name)[:2500] for name in ("celebrities", "families")}
    for name, some in check.items():
        rates = true_accept_rates(teachers[some], chips.people[some])
        print(f"teachers: {name} {rates[0]:.4f} {rates[1]:.4f}", flush=True)
    path = fetch("face_recognition_models", "dlib_face_recognition_resnet_model_v1.dat")
    run = Learning(load_dlib(path).fused().train())
    if args.resume and checkpoint.exists():
        run.load(checkpoint)
        print(f"goes on from step {run.step}", flush=True)
    batches = Batches(people)
    begun = time.monotonic() - run.seconds
    saved = checked = run.seconds
    if run.step == 0:
        _check(run, chips, check)
    total = args.minutes * 60
    sums = np.zeros(5)
    while run.seconds < total and run.step < args.steps:
        some = batches.rows(run.step)
        rng = torch.Generator().manual_seed(run.step)
        pixels = torch.from_numpy(chips.pixels[rows[some]])
        frames = torch.from_numpy(chips.frames[rows[some]])
        x = sampled(pixels, frames, VIEW, rng).contiguous(memory_format=torch.channels_last)
        phase = run.seconds / total
        rate = (
            RATE
            * min(1, (run.step + 1) / WARM)
            * (0.01 + 0.99 * math.cos(phase * math.pi / 2) ** 2)
        )
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            e = run.student(x)
        who = owners[some]
        away = (2 - 2 * (e * held[some]).sum(1)).mean()
        apart = contrastive_loss(e, who, NEAR, FAR)
        squared = (2 - 2 * e @ bank).clamp_min(1e-6)
        costs = functional.relu(FAR - squared.sqrt()).pow(2) * (who[:, None] != owners[None])
        others = costs.sum() / (costs > 0).sum().clamp_min(1)
        crowd = torch.randint(len(taught), (CROWD,), generator=rng)
        wanted = (taught[some] @ taught[crowd].T / TEACHER_SPREAD).log_softmax(1)
        ranked = (-squared[:, crowd] / STUDENT_SPREAD).log_softmax(1)
        ranking = functional.kl_div(ranked, wanted, log_target=True, reduction="batchmean")
        loss = apart + others + HELD * away + TAUGHT * ranking
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(run.student.parameters(), 1.0)
        run.optimizer.step()
        run.step += 1
        decay = min(AVERAGING, run.step / (run.step + 10))
        with torch.no_grad():
            for name, value in run.student.state_dict().items():
                run.average[name].lerp_(value, 1 - decay)
        sums += [float(cost.detach()) for cost in (away, apart, others, ranking, norm)]
        run.seconds = time.monotonic() - begun
        if run.step % 50 == 0:
            mean = " ".join(f"{value:.4f}" for value in sums / 50)
            print(f"{run.step:6d} {run.seconds:6.0f} s  {mean}  rate {rate:.2e}", flush=True)
            sums[:] = 0
        if run.seconds - checked > 900:
            _check(run, chips, check)
            checked = run.seconds
        if run.seconds - saved > SAVE_EVERY:
            run.save(checkpoint)
            saved = run.seconds
    _check(run, chips, check)
    run.save(checkpoint)


def _check(run: Learning, chips: Chips, check: dict[str, NDArray[np.int64]]) -> None:
    """TAR at FMR 1e-3 and 1e-4 of the people who calibrate, on the averaged weights."""
    network = run.averaged()
    for name, some in check.items():
        rates = true_accept_rates(embedded(network, chips, some), chips.people[some])
        run.log.append({"step": run.step, "seconds": run.seconds, name: rates[0]})
        print(f"{run.step:6d} {name} {rates[0]:.4f} {rates[1]:.4f}", flush=True)


if __name__ == "__main__":
    main()
