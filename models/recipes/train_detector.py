"""Train facesearch's face detector on what teachers see, and export it for ONNX Runtime.

    python -m models.recipes.face_labels ../shared/data
    python -m models.recipes.train_detector --minutes 84
    python -m models.recipes.train_detector --mine  # while it is stopped; then --resume
    python -m models.recipes.train_detector --export --out models/default

Writes detector.onnx and detector-int8.onnx. The learning rate follows the clock, not the number of
steps: training ends when it was told to, however busy the machine is. A run that was stopped goes
on with --resume. The photos are never those that benchmarks/detection.py measures on.
"""

import facesearch  # noqa: F401  # isort: skip  # before ONNX Runtime, which else calls home

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from facesearch.vision.model import DETECTOR, DETECTOR_INT8
from facesearch.vision.network_detector import decoded, merged
from models.recipes.detector_network import (
    STRIDES,
    DetectorConfig,
    DetectorNetwork,
    export_detector,
    load_detector,
)
from models.recipes.face_labels import STORE, Labelled, Labels
from models.recipes.scenes import Scene, SceneMaker, turned_boxes, warped

SIDES = ((320, 16, 0.8), (448, 8, 0.2))  # a batch's scenes: side, how many, how often
FACES, IGNORED = 32, 24  # at most, in a scene
VALIDATION = 200  # the last photos of each training set, for watching the training alone
ALARMS = STORE / "alarms.json"
CHANCES = {"lfw-train": 0.65, "wild-train": 0.35}


@dataclass(frozen=True, slots=True)
class Batch:
    """B scenes of one side. Boxes as corners in pixels; `real` and `exact` say what counts."""

    pixels: Tensor  # (B, 3, S, S) uint8
    boxes: Tensor  # (B, M, 4)
    points: Tensor  # (B, M, 5, 2)
    real: Tensor  # (B, M) bool
    exact: Tensor  # (B, M) bool
    ignored: Tensor  # (B, K, 4)


class Scenes(IterableDataset[Batch]):
    """Endless batches, different in every worker."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __iter__(self) -> Iterator[Batch]:
        worker = torch.utils.data.get_worker_info()
        os.nice(0 if worker is None else 5)
        sets = []
        for name, chance in CHANCES.items():
            photos = Labelled(name)
            turned = [profiles(photos.labels[at]) for at in range(len(photos) - VALIDATION)]
            which = np.repeat(np.arange(len(turned)), np.where(turned, 3, 1))
            sets.append((photos, which, chance))
        maker = SceneMaker(sets, self._seed + (worker.id if worker else 0), mined())
        chances = [chance for *_, chance in SIDES]
        while True:
            side, count, _ = SIDES[maker.rng.choice(len(SIDES), p=chances)]
            yield batch([maker.scene(side) for _ in range(count)])


def profiles(labels: Labels) -> bool:
    """Whether a photo has a face seen from the side: rare, and harder than the rest.

    The eyes are close together then, for the distance of the mouth, or the teachers differ.
    """
    eyes = np.linalg.norm(labels.points[:, 1] - labels.points[:, 0], axis=1)
    down = labels.points[:, 3:].mean(axis=1) - labels.points[:, :2].mean(axis=1)
    return bool((eyes < 0.65 * np.linalg.norm(down, axis=1)).any() or not labels.exact.all())


def mined() -> list[tuple[int, int, NDArray[np.float64]]]:
    """The false alarms that `mine` found, if it has been asked: set, photo, box (4,)."""
    if not ALARMS.exists():
        return []
    return [(which, at, np.array(box)) for which, at, *box in json.loads(ALARMS.read_text())]


@torch.no_grad()
def mine(network: DetectorNetwork, least: float = 0.15) -> None:
    """Keep what the network takes for faces, where no teacher does, on the training photos."""
    found: list[list[float]] = []
    for which, name in enumerate(CHANCES):
        photos = Labelled(name)
        for at in range(len(photos) - VALIDATION):
            pixels, labels = photos.pixels(at), photos.labels[at]
            height, width = (-(-side // 32) * 32 for side in pixels.shape[:2])
            padded = torch.zeros(1, 3, height, width)
            padded[0, :, : pixels.shape[0], : pixels.shape[1]] = torch.from_numpy(
                pixels.transpose(2, 0, 1).copy()
            )
            said = [fields[0].numpy() for fields in network(padded)]
            boxes, _, _ = merged(*decoded(said, least))
            faces = np.concatenate([labels.boxes, labels.unsure[:, :4]])
            for box in boxes:
                if not len(faces) or shared(box, faces).max() < 0.1:
                    found.append([which, at, *box.round(1).tolist()])
    ALARMS.write_text(json.dumps(found))
    print(f"{len(found)} false alarms with a score of {least} or more", flush=True)


def shared(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the smaller of a box, (4,), and each of others, (N, 4), that lies in both."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    own = (box[2:] - box[:2]).prod()
    return np.asarray((high - low).clip(0).prod(axis=1) / np.minimum(areas, own))


def batch(scenes: list[Scene]) -> Batch:
    count = len(scenes)
    # no more room than the fullest scene needs: every cell is compared with every place
    faces = min(FACES, max(1, *(len(scene.boxes) for scene in scenes)))
    doubts = min(IGNORED, max(1, *(len(scene.ignored) for scene in scenes)))
    boxes, points = np.zeros((count, faces, 4)), np.zeros((count, faces, 5, 2))
    real, exact = np.zeros((count, faces), bool), np.zeros((count, faces), bool)
    ignored = np.zeros((count, doubts, 4))
    for at, scene in enumerate(scenes):
        n, m = min(len(scene.boxes), faces), min(len(scene.ignored), doubts)
        boxes[at, :n], points[at, :n] = scene.boxes[:n], scene.points[:n]
        real[at, :n], exact[at, :n] = True, scene.exact[:n]
        ignored[at, :m] = scene.ignored[:m]
    pixels = np.stack([scene.pixels for scene in scenes]).transpose(0, 3, 1, 2)
    return Batch(
        torch.from_numpy(np.ascontiguousarray(pixels)),
        torch.from_numpy(boxes).float(),
        torch.from_numpy(points).float(),
        torch.from_numpy(real),
        torch.from_numpy(exact),
        torch.from_numpy(ignored).float(),
    )


@dataclass(frozen=True, slots=True)
class Cells:
    """The network's output for every cell of every stride, A in all, in pixels."""

    centres: Tensor  # (A, 2)
    strides: Tensor  # (A,)
    logits: Tensor  # (B, A)
    boxes: Tensor  # (B, A, 4)
    points: Tensor  # (B, A, 5, 2)


def cells(maps: list[Tensor]) -> Cells:
    centres, strides, fields = [], [], []
    for stride, values in zip(STRIDES, maps, strict=True):
        height, width = values.shape[2:]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        centres.append((torch.stack([columns, rows], dim=-1).reshape(-1, 2) + 0.5) * stride)
        strides.append(torch.full((height * width,), float(stride)))
        fields.append(values.flatten(2).transpose(1, 2))
    centre, stride_of = torch.cat(centres), torch.cat(strides)
    field = torch.cat(fields, dim=1).float()
    scale = stride_of[:, None]
    middle = centre + field[..., 1:3] * scale
    half = field[..., 3:5].clamp(max=6).exp() * scale / 2
    points = centre[:, None] + field[..., 5:].unflatten(-1, (5, 2)) * scale[..., None]
    return Cells(
        centre, stride_of, field[..., 0], torch.cat([middle - half, middle + half], -1), points
    )


def pairwise_overlap(a: Tensor, b: Tensor) -> Tensor:
    """IoU of (B, M, 4) with (B, A, 4): (B, M, A)."""
    low = torch.maximum(a[:, :, None, :2], b[:, None, :, :2])
    high = torch.minimum(a[:, :, None, 2:], b[:, None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=-1)
    area_a = (a[..., 2:] - a[..., :2]).prod(dim=-1)[:, :, None]
    area_b = (b[..., 2:] - b[..., :2]).prod(dim=-1)[:, None]
    return shared / (area_a + area_b - shared + 1e-6)


@torch.no_grad()
def assign(said: Cells, target: Batch, most: int = 8) -> tuple[Tensor, Tensor]:
    """Which face each cell answers for, (B, A) with -1 for none, and the score it should have.

    A face goes to the `most` cells inside it that are surest and fit best, in the strides that suit
    its size; they learn scores in proportion to that, the best its overlap.
    Source: task-aligned assignment, Feng et al., ICCV 2021.
    """
    x, y = said.centres.unbind(-1)
    left, top, right, bottom = (side[..., None] for side in target.boxes.unbind(-1))
    sides = ((right - left) * (bottom - top)).clamp(min=1).sqrt()
    # an ellipse rather than the box, whose corners lie outside a turned face
    u = (x - (left + right) / 2) / (right - left).clamp(min=1)
    v = (y - (top + bottom) / 2) / (bottom - top).clamp(min=1)
    inside = (u**2 + v**2 < 0.16) | (u.abs().maximum(v.abs()) * sides < 0.5 * said.strides)
    ratio = sides / said.strides
    fits = ((ratio >= 1.4) | (said.strides == STRIDES[0])) & (
        (ratio < 9) | (said.strides == STRIDES[-1])
    )
    possible = inside & fits & target.real[..., None]
    overlap = pairwise_overlap(target.boxes, said.boxes) * possible
    score = said.logits.sigmoid()[:, None]
    fitness = (score.sqrt() * overlap**4 + 1e-9) * possible
    chosen = torch.zeros_like(possible)
    best = fitness.topk(most, dim=-1)
    chosen.scatter_(-1, best.indices, best.values > 0)
    fitness = fitness * chosen
    # a cell in two faces answers for the one it fits better
    strongest, face = fitness.max(dim=1)
    taken = strongest > 0
    highest = fitness.amax(dim=-1).gather(1, face)
    reach = (overlap * chosen).amax(dim=-1).gather(1, face)
    wanted = torch.where(taken, strongest / highest.clamp(min=1e-12) * reach, 0.0)
    return torch.where(taken, face, -1), wanted


def generalised_overlap(a: Tensor, b: Tensor) -> Tensor:
    """GIoU of (N, 4) with (N, 4), in (-1, 1). Source: Rezatofighi et al., CVPR 2019."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0)
    hull = torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])
    union = (a[:, 2:] - a[:, :2]).prod(-1) + (b[:, 2:] - b[:, :2]).prod(-1) - shared.prod(-1)
    around = hull.prod(-1).clamp(min=1e-6)
    return shared.prod(-1) / union.clamp(min=1e-6) - (around - union) / around


def losses(said: Cells, target: Batch) -> dict[str, Tensor]:
    """The parts of the loss, each a scalar, weighted."""
    face, wanted = assign(said, target)
    total = wanted.sum().clamp(min=1.0)
    score = functional.binary_cross_entropy_with_logits(said.logits, wanted, reduction="none")
    x, y = said.centres.unbind(-1)
    left, top, right, bottom = (side[..., None] for side in target.ignored.unbind(-1))
    doubtful = ((x > left) & (x < right) & (y > top) & (y < bottom)).any(dim=1) & (face < 0)
    parts = {"score": (score * ~doubtful).sum() / total}
    rows, columns = (face >= 0).nonzero(as_tuple=True)
    which = face[rows, columns]
    weight = wanted[rows, columns]
    boxes = target.boxes[rows, which]
    loose = 1 - generalised_overlap(said.boxes[rows, columns], boxes)
    parts["box"] = 2.5 * (loose * weight).sum()
    side = (boxes[:, 2:] - boxes[:, :2]).prod(-1).clamp(min=1).sqrt()
    apart = said.points[rows, columns] - target.points[rows, which]
    miss = apart.abs().mean(dim=(1, 2)) / side
    parts["points"] = 8.0 * (miss * weight * target.exact[rows, which]).sum()
    return {"score": parts["score"], "box": parts["box"] / total, "points": parts["points"] / total}


def learning_rate(progress: float, peak: float) -> float:
    """Up in the first 3 %, then down along a cosine."""
    if progress < 0.03:
        return peak * (0.05 + 0.95 * progress / 0.03)
    return peak * (0.005 + 0.995 * (1 + math.cos(math.pi * (progress - 0.03) / 0.97)) / 2)


def validation_scene(
    pixels: NDArray[np.uint8], box: NDArray[np.float64], kind: str, angle: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A photo turned, shrunk or covered, on a canvas of 384 x 384, and where its face is then."""
    side = float(np.sqrt((box[2:] - box[:2]).prod()))
    scale = 24 / side if kind == "tiny" else min(1.0, 384 / max(pixels.shape[:2]))
    pixels = pixels.copy()
    if kind == "covered":
        left, top, right, bottom = (max(0, round(edge)) for edge in box)
        pixels[round(top + 0.6 * (bottom - top)) : bottom, left:right] = 0
    turn = np.radians(angle if kind == "turned" else 0)
    spin = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = (box[:2] + box[2:]) / 2
    matrix = np.column_stack([spin, np.array([192, 192]) - spin @ middle])
    tile, _ = warped(pixels, matrix, (384, 384))
    return tile, turned_boxes(box[None], matrix)[0]


@torch.no_grad()
def validate(network: DetectorNetwork, count: int = 120) -> dict[str, float]:
    """Recall at a score of 0.5 in several conditions, and false alarms in a megapixel."""
    rng = np.random.default_rng(7)
    result = {}
    chosen = [
        (photos, at)
        for photos in (Labelled(name) for name in CHANCES)
        for at in range(len(photos) - VALIDATION, len(photos))
        if len(photos.labels[at].boxes) == 1 and not len(photos.labels[at].unsure)
    ]
    chosen = [chosen[at] for at in rng.permutation(len(chosen))[:count]]
    alarms = 0
    for kind in ("plain", "turned", "tiny", "covered"):
        hits = 0
        for photos, at in chosen:
            angle = float(rng.uniform(-180, 180))
            box = photos.labels[at].boxes[0]
            tile, where = validation_scene(photos.pixels(at), box, kind, angle)
            said = cells(network(torch.from_numpy(tile.transpose(2, 0, 1)[None].copy()).float()))
            sure = said.logits[0] > 0
            found = said.boxes[0][sure].numpy()
            there = torch.from_numpy(where[None, None]).float()
            fit = pairwise_overlap(there, said.boxes[:, sure])[0, 0].numpy()
            hits += bool((fit > 0.4).any())
            if kind == "plain" and len(found):
                alarms += bool((fit < 0.05).any())
        result[kind] = hits / len(chosen)
    result["alarms_per_megapixel"] = alarms / (len(chosen) * 384 * 384 / 1e6)
    return {name: round(value, 4) for name, value in result.items()}


def save(folder: Path, tensors: dict[str, dict[str, Tensor]], record: dict[str, object]) -> None:
    """Write the state of a run; each file replaces its old one only when it is whole."""
    for name, part in tensors.items():
        temporary = folder / f"{name}.tmp"
        save_file({key: value.contiguous() for key, value in part.items()}, temporary)
        temporary.replace(folder / f"{name}.safetensors")
    (folder / "run.json").write_text(json.dumps(record, indent=1) + "\n")


def optimiser_tensors(network: nn.Module, optimiser: torch.optim.AdamW) -> dict[str, Tensor]:
    """AdamW's state under the names of the weights."""
    return {
        f"{name}.{key}": value
        for name, weight in network.named_parameters()
        for key, value in optimiser.state[weight].items()
    }


def restore_optimiser(
    network: nn.Module, optimiser: torch.optim.AdamW, tensors: dict[str, Tensor]
) -> None:
    for name, weight in network.named_parameters():
        optimiser.state[weight] = {
            key: tensors[f"{name}.{key}"].clone() for key in ("step", "exp_avg", "exp_avg_sq")
        }


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    args.run.mkdir(parents=True, exist_ok=True)
    network = DetectorNetwork(DetectorConfig())
    average = copy.deepcopy(network).eval()
    spent, step, faces = 0.0, 0, 0
    decayed = [weight for weight in network.parameters() if weight.ndim > 1]
    plain = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=args.peak)
    if args.resume:
        record = json.loads((args.run / "run.json").read_text())
        spent, step, faces = record["seconds"], record["steps"], record["faces"]
        network.load_state_dict(load_file(args.run / "network.safetensors"))
        average.load_state_dict(load_file(args.run / "average.safetensors"))
        restore_optimiser(network, optimiser, load_file(args.run / "optimiser.safetensors"))
    network = network.to(memory_format=torch.channels_last).train()
    average = average.to(memory_format=torch.channels_last)
    weights = sum(weight.numel() for weight in network.parameters())
    print(f"{weights:,} weights, {spent:.0f} of {args.minutes * 60:.0f} s done", flush=True)
    # other photos after a stop: the loader's place is not kept
    loader = DataLoader(Scenes(args.seed + 100 + step), batch_size=None, num_workers=args.workers)
    means: dict[str, float] = {}
    begun, shown, saved, waited = time.monotonic() - spent, spent, spent, 0.0
    batches = iter(loader)
    while spent < args.minutes * 60:
        asked = time.monotonic()
        target = next(batches)
        waited += time.monotonic() - asked
        rate = learning_rate(spent / (args.minutes * 60), args.peak)
        for group in optimiser.param_groups:
            group["lr"] = rate
        pixels = target.pixels.float().contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            maps = network(pixels)
        parts = losses(cells(maps), target)
        loss = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        step, faces = step + 1, faces + int(target.real.sum())
        share = max(1 / (step + 1), 1 / 400)
        with torch.no_grad():
            new = network.state_dict()
            for name, value in average.state_dict().items():
                if value.dtype.is_floating_point:
                    value.lerp_(new[name], share)
                else:
                    value.copy_(new[name])
        for name, part in parts.items():
            value = part.item()
            means[name] = 0.98 * means.get(name, value) + 0.02 * value
        spent = time.monotonic() - begun
        if spent - shown > 20:
            text = ", ".join(f"{name} {value:.3f}" for name, value in means.items())
            print(
                f"{spent:.0f} s, step {step}, {faces} faces, {text}, rate {rate:.5f}, "
                f"waited {waited:.0f} s",
                flush=True,
            )
            shown = spent
        if spent - saved > args.every or spent >= args.minutes * 60:
            tensors = {
                "network": network.state_dict(),
                "average": average.state_dict(),
                "optimiser": optimiser_tensors(network, optimiser),
            }
            record = {"seconds": spent, "steps": step, "faces": faces, "seed": args.seed}
            record |= {"minutes": args.minutes, "config": asdict(network.config)}
            record["validation"] = validate(average)
            save(args.run, tensors, record)
            print(f"{spent:.0f} s: {record['validation']}", flush=True)
            saved = spent


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Training scenes, one at a time, for the ranges of the int8 graph."""

    def __init__(self, count: int = 64) -> None:
        batches = iter(Scenes(seed=5))
        pixels = [scene for _ in range(-(-count // 8)) for scene in next(batches).pixels]
        self._left = [{"pixels": scene[None].float().numpy()} for scene in pixels[:count]]

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return self._left.pop() if self._left else None


def kept(run: Path, averaged: bool = True) -> DetectorNetwork:
    """The network of a run's last checkpoint."""
    fields = json.loads((run / "run.json").read_text())["config"]
    sizes = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    name = "average" if averaged else "network"
    return load_detector(DetectorConfig(**sizes), run / f"{name}.safetensors")


def export(run: Path, out: Path) -> None:
    """detector.onnx and detector-int8.onnx of a run's averaged weights."""
    network = kept(run)
    whole, small = out / DETECTOR, out / DETECTOR_INT8
    export_detector(network, whole)
    prepared = run / "prepared.onnx"
    quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
    graph = onnx.load(prepared).graph
    # the last layer of each head stays whole: points need more than eight bits
    heads = [node.name for node in graph.node if set(node.output) & {o.name for o in graph.output}]
    quantize_static(
        str(prepared),
        str(small),
        Calibration(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        # seven bits of weight: processors without VNNI add pairs of products in sixteen
        reduce_range=True,
        op_types_to_quantize=["Conv", "Add", "Resize"],
        nodes_to_exclude=heads,
    )
    for path in (whole, small):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="the model folder to export to")
    parser.add_argument("--run", type=Path, default=STORE / "run", help="where checkpoints are")
    parser.add_argument("--minutes", type=float, default=85.0)
    parser.add_argument("--every", type=float, default=240.0, help="seconds between checkpoints")
    parser.add_argument("--peak", type=float, default=3e-3, help="learning rate")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument(
        "--mine", action="store_true", help="only look for false alarms to train on from now on"
    )
    parser.add_argument("--export", action="store_true", help="only export the last checkpoint")
    args = parser.parse_args()
    if args.mine:
        mine(kept(args.run, averaged=False))  # which errs more, and shows more to learn from
        return
    if not args.export:
        train(args)
    if args.out:
        export(args.run, args.out)


if __name__ == "__main__":
    main()
