"""From the ancestor's recipe to this one, a change at a time; F1 on people seen and unseen.

    python -m experiments.ladder ../shared/data/lfw

The ancestor: dlib's box with 20 % margin, resized to 160 x 160, no landmarks; outputs as they
come; contrastive with margin 2, one random impostor pair for each genuine one; flips and
rotations; photos, not people, held out. Every rung has the same network, the same number of chips
to learn from, and the same measurement: pairs of held-out photos of people whose other photos it
learnt from (seen), and `pairsDevTest.txt` (unseen), both at the rung's own threshold.
"""

import argparse
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import dlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from facesearch.core.errors import PhotoError
from facesearch.core.paths import find_model
from facesearch.evaluation.lfw import Pair, read_pairs
from facesearch.metrics.pairs import best_f1, evaluate_pairs
from facesearch.training.augmentation import augmented
from facesearch.training.checkpoint import one_cycle
from facesearch.training.dataset import split_people
from facesearch.training.losses import LossConfig, Objective
from facesearch.training.network import EmbeddingNetwork, NetworkConfig
from facesearch.vision import images
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.model import Model, Preprocessing
from facesearch.vision.photo_files import people_in

CACHE = Path(__file__).parent.parent / ".cache" / "ladder"
WIDTHS = (16, 32, 64, 128)
ANCESTOR = LossConfig(mining="random", near=0.0, far=2.0)
LOST = 1e6  # the distance of a pair with a photo in which no face was found


@dataclass(frozen=True)
class Rung:
    """A recipe of training."""

    name: str
    by_person: bool = False  # hold out people for the threshold, not photos of the same people
    landmarks: bool = False  # chips aligned by five points instead of enlarged boxes
    size: int = 160
    unit: bool = False  # embeddings of length one
    cost: LossConfig = ANCESTOR
    batch: tuple[int, int, int] = (32, 2, 0)  # people, photos of each, people with one photo
    ours: bool = False  # augmentation: flips and rotations, or all of facesearch's
    schedule: bool = False  # AdamW, one cycle and averaged weights, or Adam at 1e-3
    longer: int = 1
    mirror: bool = False  # average the mirror image in when measuring


def rungs() -> list[Rung]:
    """The rungs, each with one change more than the one before."""
    changes: list[tuple[str, dict[str, object]]] = [
        ("the ancestor's recipe", {}),
        ("threshold from people held out, not from photos", {"by_person": True}),
        ("chips aligned by five points", {"landmarks": True}),
        ("chips of 64 pixels", {"size": 64}),
        (
            "embeddings of length one, margin 1.25",
            {"unit": True, "cost": LossConfig("contrastive", "random", 0.0)},
        ),
        (
            "all pairs of a batch that cost something",
            {"cost": LossConfig("contrastive", "all", 0.0)},
        ),
        ("a margin for genuine pairs, 0.3", {"cost": LossConfig()}),
        (
            "batches of 48 people, 4 photos each, and 32 people with one photo",
            {"batch": (48, 4, 32)},
        ),
        ("light, colour, resolution, patches", {"ours": True}),
        ("AdamW, one cycle, averaged weights", {"schedule": True}),
        ("an identity softmax beside, weight 0.1", {"cost": LossConfig(identity=0.1)}),
        ("mirror images averaged in", {"mirror": True}),
        ("four times as long", {"longer": 4}),
    ]
    found: list[Rung] = []
    for name, change in changes:
        found.append(replace(found[-1], name=name, **change) if found else Rung(name))
    return found


@dataclass(frozen=True)
class Photos:
    """Every photo of LFW as one kind of chip, and what it is used for."""

    chips: NDArray[np.uint8]  # (N, E, E, 3)
    found: NDArray[np.bool_]  # (N,): whether there is a face
    place: dict[Path, int]

    @classmethod
    def load(cls, paths: list[Path], rung: Rung) -> "Photos":
        """Made once, kept in CACHE."""
        margin = rung.size // 5 if rung.size < 160 else 0
        name = f"{'aligned' if rung.landmarks else 'boxes'}-{rung.size}"
        file, which = CACHE / f"{name}.npy", CACHE / f"{name}-found.npy"
        side = rung.size + 2 * margin
        if not which.exists():
            print(f"{name}: finding faces", flush=True)
            CACHE.mkdir(parents=True, exist_ok=True)
            how = Preprocessing(size=rung.size, detector="network")
            reader = FaceReader(how, Model(find_model("default")).detector_files)
            detector = dlib.get_frontal_face_detector()
            chips = np.lib.format.open_memmap(file, "w+", np.uint8, (len(paths), side, side, 3))
            found = np.zeros(len(paths), bool)
            for number, path in enumerate(paths):
                if rung.landmarks:
                    chip = reader.read_principal(path, margin)
                    chip = None if isinstance(chip, PhotoError) else chip
                else:
                    chip = boxed(images.read(path), detector, rung.size)
                if chip is not None:
                    chips[number], found[number] = chip, True
            chips.flush()
            np.save(which, found)
        place = {path: number for number, path in enumerate(paths)}
        return cls(np.load(file, mmap_mode="r"), np.load(which), place)


def boxed(
    photo: NDArray[np.uint8], detector: "dlib.fhog_object_detector", size: int
) -> NDArray[np.uint8] | None:
    """dlib's largest box with 20 % margin, resized; None where dlib finds nobody."""
    boxes = detector(photo, 1)
    if not boxes:
        return None
    box = max(boxes, key=lambda box: box.area())
    across, down = box.width() / 5, box.height() / 5
    edges = box.left() - across, box.top() - down, box.right() + across, box.bottom() + down
    part = Image.fromarray(photo).crop(tuple(round(edge) for edge in edges))
    return np.asarray(part.resize((size, size), Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class Task:
    """Who learns and what is measured; photos are numbers."""

    learn: dict[str, list[int]]
    seen: list[Pair]
    held_out: list[Pair]  # pairs of people kept out of training: for the threshold
    unseen: list[Pair]


def task(lfw: Path, photos: Photos, rung: Rung) -> Task:
    """The task of a rung; the same photos are held out for all."""
    people = people_in(lfw)
    split = split_people(lfw, people, 0)
    rng = np.random.default_rng(0)
    learn: dict[str, list[int]] = {}
    pair_of: dict[str, list[Path]] = {}
    for name, paths in (
        split.train.items() if rung.by_person else (split.train | split.validation).items()
    ):
        kept = list(paths)
        if len(kept) >= 4 and name in split.train:
            two = np.random.default_rng(len(name) + sum(map(ord, name))).permutation(len(kept))[:2]
            pair_of[name] = [kept[number] for number in two]
            kept = [path for path in kept if path not in pair_of[name]]
        found = [photos.place[path] for path in kept if photos.found[photos.place[path]]]
        if found:
            learn[name] = found
    held_out = pairs_of({n: p for n, p in split.validation.items() if len(p) > 1}, rng)
    return Task(
        learn,
        pairs_of(pair_of, rng),
        held_out,
        read_pairs(lfw / "pairsDevTest.txt", lfw),
    )


def pairs_of(people: dict[str, list[Path]], rng: np.random.Generator) -> list[Pair]:
    """Two photos of each person, and as many pairs of two people's."""
    names = list(people)
    other = np.roll(rng.permutation(len(names)), 1)
    pairs = [Pair(people[name][0], people[name][1], True, 0) for name in names]
    for number, name in enumerate(names):
        stranger = names[other[number]] if names[other[number]] != name else names[number - 1]
        pairs.append(Pair(people[name][0], people[stranger][1], False, 0))
    return pairs


class Network(nn.Module):
    """facesearch's network, with outputs of length one or as they come."""

    def __init__(self, rung: Rung) -> None:
        super().__init__()
        self.inner = EmbeddingNetwork(NetworkConfig(WIDTHS), rung.size)
        self.unit = rung.unit
        if not rung.unit:
            self.inner.head[3] = nn.Identity()

    def forward(self, chips: Tensor) -> Tensor:
        out = self.inner.head(self.inner.stages(self.inner.stem(chips))).float()
        return functional.normalize(out, dim=1) if self.unit else out


def trained(rung: Rung, photos: Photos, learn: dict[str, list[int]], budget: int) -> Network:
    """Learn from `budget` chips."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    draws = torch.Generator().manual_seed(0)
    network = Network(rung).to(memory_format=torch.channels_last)
    average = Network(rung)
    average.load_state_dict(network.state_dict())
    groups = [np.array(group) for group in learn.values()]
    several = [number for number, group in enumerate(groups) if len(group) > 1]
    single = [number for number, group in enumerate(groups) if len(group) == 1]
    people, each, lone = rung.batch
    steps = budget * rung.longer // (people * each + lone)
    objective = Objective(rung.cost, 128, len(groups))
    if rung.schedule:
        decayed = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        others.extend(objective.parameters())
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
        )
        schedule = one_cycle(optimizer, 3e-3, steps)
    else:
        optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for step in range(steps):
        members, who = [], []
        drawn = list(rng.choice(several, people, replace=False))
        for person in drawn + list(rng.choice(single, lone, replace=False)):
            wanted = each if len(groups[person]) > 1 else 1
            chosen = rng.choice(groups[person], wanted, replace=len(groups[person]) < wanted)
            members.extend(chosen)
            who.extend([person] * wanted)
        order = np.argsort(members)
        chips = torch.from_numpy(photos.chips[np.array(members)[order]])
        identities = torch.tensor(np.array(who)[order])
        pixels = augmented(chips, rung.size, draws) if rung.ours else turned(chips, rung, draws)
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = network(pixels.contiguous(memory_format=torch.channels_last))
        cost = objective(embeddings, identities)
        optimizer.zero_grad(set_to_none=True)
        cost.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        if rung.schedule:
            schedule.step()
        decay = min(0.998, (1 + step) / (10 + step)) if rung.schedule else 0.0
        with torch.no_grad():
            for kept, value in zip(
                average.state_dict().values(), network.state_dict().values(), strict=True
            ):
                if value.is_floating_point():
                    kept.lerp_(value, 1 - decay)
    return average.eval().to(memory_format=torch.channels_last)


def turned(chips: Tensor, rung: Rung, rng: torch.Generator) -> Tensor:
    """Flips and rotations up to 15 degrees, as the ancestor did."""
    pixels = inner(chips, rung.size)
    angle = (torch.rand(len(chips), generator=rng) * 2 - 1) * np.radians(15)
    mirror = torch.where(torch.rand(len(chips), generator=rng) < 0.5, -1.0, 1.0)
    cosine, sine, none = torch.cos(angle), torch.sin(angle), torch.zeros(len(chips))
    turn = torch.stack([cosine * mirror, -sine, none, sine * mirror, cosine, none], 1)
    grid = functional.affine_grid(turn.reshape(-1, 2, 3), list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def inner(chips: Tensor, size: int) -> Tensor:
    """(B, E, E, 3) uint8 to (B, 3, size, size) in [-1, 1], without the margin."""
    edge = (chips.shape[1] - size) // 2
    part = chips[:, edge : edge + size, edge : edge + size]
    return (part.permute(0, 3, 1, 2).float() - 127.5) / 127.5


@torch.no_grad()
def separations(
    network: Network, photos: Photos, pairs: list[Pair], rung: Rung
) -> NDArray[np.float64]:
    paths = sorted({path for pair in pairs for path in (pair.a, pair.b)})
    numbers = np.array([photos.place[path] for path in paths])
    vectors = []
    for at in range(0, len(numbers), 128):
        pixels = inner(torch.from_numpy(photos.chips[numbers[at : at + 128]]), rung.size)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            some = network(pixels)
            if rung.mirror:
                some = functional.normalize(some + network(pixels.flip(3)), dim=1)
        vectors.append(some)
    by_path = dict(zip(paths, torch.cat(vectors).double().numpy(), strict=True))
    found = {path: bool(photos.found[photos.place[path]]) for path in paths}
    return np.array(
        [
            float(np.linalg.norm(by_path[pair.a] - by_path[pair.b]))
            if found[pair.a] and found[pair.b]
            else LOST
            for pair in pairs
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lfw", type=Path)
    parser.add_argument("--chips", type=int, default=112_000, help="to learn from, for a rung")
    args = parser.parse_args()
    paths = [path for photos in people_in(args.lfw).values() for path in photos]
    for number, rung in enumerate(rungs()):
        kept = CACHE / f"{number}-{args.chips}.json"
        if not kept.exists():
            began = time.time()
            photos = Photos.load(paths, rung)
            what = task(args.lfw, photos, rung)
            network = trained(rung, photos, what.learn, args.chips)
            found = {
                name: separations(network, photos, pairs, rung)
                for name, pairs in vars(what).items()
                if name != "learn"
            }
            source = "held_out" if rung.by_person else "seen"
            same = {name: np.array([pair.same for pair in getattr(what, name)]) for name in found}
            threshold, _ = best_f1(found[source][same[source]], found[source][~same[source]])
            row: dict[str, float] = {}
            for name in ("seen", "unseen"):
                fold = np.zeros(len(same[name]), np.int64)
                row[name] = evaluate_pairs(found[name], same[name], fold, threshold).f1
                genuine, impostor = found[name][same[name]], found[name][~same[name]]
                row[f"{name}, best threshold"] = best_f1(genuine, impostor)[1]
            row["minutes"] = (time.time() - began) / 60
            kept.write_text(json.dumps(row))
        row = json.loads(kept.read_text())
        if number == 0:
            print("| rung | " + " | ".join(row) + " |\n|" + "---|" * (len(row) + 1))
        print(f"| {rung.name} | " + " | ".join(f"{v:.3f}" for v in row.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
