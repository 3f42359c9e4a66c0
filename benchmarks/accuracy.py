"""The shipped networks beside SFace, on the same faces, in one run; `default` is dlib's network.

    python -m benchmarks.accuracy ../shared/data models/default models/accurate

Photos: LFW View 2 (ten folds; no network here saw LFW), all pairs of LFW's dev-test people. Chips:
the people of ../shared/data/train who measure, whom neither training nor calibration saw. Faces are
found once, by the shipped detector, and each network gets them in its own template, without and
with the mirror image averaged in. A photo without a usable face counts as a failure. Speed: the
network alone on ONNX Runtime, batches of 32, all cores, the best of three in turn.
"""

import facesearch  # noqa: F401  # isort: skip  # before ONNX Runtime, which else calls home

import argparse
import time
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.measuring import machine, this_command
from facesearch.core.face import Point, principal
from facesearch.evaluation.lfw import people_list, read_pairs
from facesearch.evaluation.model_card import write_section
from facesearch.metrics.bootstrap import Interval, intervals
from facesearch.metrics.pair_sets import AllPairs
from facesearch.metrics.pairs import NEVER, all_pairs, threshold_at_fmr
from facesearch.vision import images
from facesearch.vision.alignment import TEMPLATE, align
from facesearch.vision.embedder import in_order
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.model import CARD, GRAPHS, Model, Preprocessing
from facesearch.vision.photo_files import people_in
from models.recipes.sface_embeddings import sface
from models.recipes.train_chips import Chips

Pixels = NDArray[np.uint8]
Geometry = tuple[int, tuple[Point, ...]]
Vectors = NDArray[np.float32]
RATES = (1e-3, 1e-4)
CHIPS_PER_RUN = 32
FLIPS = ("", "with flips")
CACHE = Path(__file__).parent.parent / ".cache" / "accuracy"


@dataclass(frozen=True)
class Network:
    """A network and how its chips are made."""

    name: str
    how: Preprocessing
    graph: bytes

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])

    def run(self, chips: Pixels, *, mirrored: bool = False) -> Vectors:
        """Raw outputs, (N, D), of chips (N, S, S, 3)."""
        pixels = (chips.astype(np.float32).transpose(0, 3, 1, 2) - self.how.mean) / self.how.scale
        pixels = np.ascontiguousarray(pixels[..., ::-1] if mirrored else pixels)
        return np.asarray(self.session.run(None, {self.session.get_inputs()[0].name: pixels})[0])

    def embed(self, chips: Pixels) -> tuple[Vectors, Vectors]:
        """Unit vectors without and with the mirror image."""
        straight, both = [], []
        for at in range(0, len(chips), CHIPS_PER_RUN):
            some = chips[at : at + CHIPS_PER_RUN]
            one = unit(self.run(some))
            straight.append(one)
            both.append(unit(one + unit(self.run(some, mirrored=True))))
        return np.concatenate(straight), np.concatenate(both)


def unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def networks(models: list[Model]) -> list[Network]:
    """The models' networks in each precision they have, then SFace."""
    found = []
    for model in models:
        how = replace(model.preprocessing, flip_average=False)
        for precision, file in GRAPHS.items():
            if (model.folder / file).is_file():
                graph = (model.folder / file).read_bytes()
                found.append(Network(f"{model.name}, {precision}", how, graph))
    return [*found, Network("SFace", Preprocessing(112, TEMPLATE, 0.0, 1.0), sface())]


class Views:
    """The chips of some faces: an array for each geometry that some network needs."""

    def __init__(self, name: str, nets: list[Network], detector_files: list[Path]) -> None:
        """name: of the set of faces. detector_files: of the detector that found them."""
        self.geometries = {(net.how.size, net.how.template) for net in nets}
        self._chips: dict[Geometry, list[Pixels]] = {one: [] for one in self.geometries}
        self._name, self._detector = name, b"".join(path.read_bytes() for path in detector_files)

    def add(self, cut: dict[Geometry, Pixels]) -> None:
        for geometry, chip in cut.items():
            self._chips[geometry].append(chip)

    def embedded(self, net: Network) -> tuple[Vectors, Vectors]:
        """The embeddings that `net` makes of them; kept in the cache."""
        chips = self._chips[net.how.size, net.how.template]
        key = sha256(net.graph + self._detector + repr((net.how, len(chips))).encode()).hexdigest()
        path = CACHE / f"{self._name}-{key[:16]}.npz"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            straight, both = net.embed(np.stack(chips))
            np.savez(path, straight=straight, both=both)
        kept = np.load(path)
        return kept["straight"], kept["both"]


def photo_views(
    model: Model, nets: list[Network], photos: list[Path]
) -> tuple[Views, NDArray[np.int64]]:
    """The faces that photos are about, and the row of each photo; -1 without a usable face."""
    reader = FaceReader(model.preprocessing, model.detector_files)
    views = Views("lfw", nets, model.detector_files)

    def look(path: Path) -> dict[Geometry, Pixels] | None:
        portrait = reader.read(path)
        if not portrait.faces:
            return None
        face = principal(portrait.faces, portrait.width, portrait.height)
        if portrait.reasons[portrait.faces.index(face)]:
            return None
        pixels = images.read(path)
        return {
            (size, template): align(pixels, face.points, size, template=template)
            for size, template in views.geometries
        }

    rows = np.full(len(photos), -1)
    for number, (_, cut) in enumerate(in_order(look, photos)):
        if isinstance(cut, dict):
            views.add(cut)
            rows[number] = rows.max() + 1
    return views, rows


def tars(vectors: Vectors, people: NDArray[np.int64], failed: int) -> list[float]:
    """TAR at RATES over all pairs. failed: genuine pairs without a face, which count as missed."""
    genuine, impostor = all_pairs(vectors, people)
    bars = [threshold_at_fmr(impostor, rate) for rate in RATES]
    return [float((genuine <= bar).sum() / (len(genuine) + failed)) for bar in bars]


def spread(vectors: Vectors, people: NDArray[np.int64]) -> list[Interval | None]:
    """The 95 % intervals of the TARs at RATES, over people drawn again."""
    numbers = np.unique(people, return_inverse=True)[1]
    pairs = AllPairs(vectors, numbers, np.ones(len(numbers), bool), 1.0)

    def figures(weights: NDArray[np.float64]) -> list[float]:
        return [1 - miss for miss in pairs.figures(weights)[-len(RATES) :]]

    return intervals(figures, int(numbers.max()) + 1)


def folds(distance: NDArray[np.float64], same: NDArray[np.bool_], fold: NDArray[np.int64]) -> float:
    """Accuracy over ten folds, each at the threshold that is most accurate on the others."""
    rates = []
    for number in np.unique(fold):
        others, mine = fold != number, fold == number
        order = np.argsort(distance[others])
        right = np.cumsum(np.where(same[others][order], 1, -1))
        bar = distance[others][order][right.argmax()]
        rates.append(np.mean((distance[mine] <= bar) == same[mine]))
    return float(np.mean(rates))


def speeds(nets: list[Network]) -> dict[str, float]:
    best = dict.fromkeys((net.name for net in nets), 0.0)
    for _ in range(3):
        for net in nets:
            chips = np.random.default_rng(0).integers(
                0, 255, (CHIPS_PER_RUN, net.how.size, net.how.size, 3)
            )
            net.run(chips.astype(np.uint8))
            started = time.perf_counter()
            for _ in range(6):
                net.run(chips.astype(np.uint8))
            rate = 6 * CHIPS_PER_RUN / (time.perf_counter() - started)
            best[net.name] = max(best[net.name], rate)
    return best


Spreads = dict[tuple[str, str], list[Interval | None]]  # network, people: at RATES
Rows = dict[tuple[str, str], dict[str, float]]  # network and flips, then measure, to a figure


def measure_photos(
    rows: Rows, spreads: Spreads, nets: list[Network], detector_model: Model, lfw: Path
) -> str:
    """View 2 and all pairs of LFW's dev-test people. Returns a remark."""
    pairs = read_pairs(lfw / "pairs.txt", lfw)
    found = people_in(lfw)
    test = [path for name in people_list(lfw / "peopleDevTest.txt") for path in found[name]]
    every = sorted({path for pair in pairs for path in (pair.a, pair.b)} | set(test))
    views, place = photo_views(detector_model, nets, every)
    where = dict(zip(every, place, strict=True))
    first, second = (np.array([where[getattr(pair, side)] for pair in pairs]) for side in "ab")
    same = np.array([pair.same for pair in pairs])
    fold = np.array([pair.fold for pair in pairs])
    missing = (first < 0) | (second < 0)
    mine = np.array([where[path] for path in test])
    owners = np.unique([path.parent.name for path in test], return_inverse=True)[1]
    whole = np.bincount(owners)
    kept = np.bincount(owners[mine >= 0], minlength=len(whole))
    lost = int((whole * (whole - 1) // 2 - kept * (kept - 1) // 2).sum())
    for net in nets:
        for flips, vectors in zip(FLIPS, views.embedded(net), strict=True):
            row = rows[net.name, flips]
            distance = np.linalg.norm(vectors[first] - vectors[second], axis=1).astype(float)
            distance[missing] = NEVER
            row["View 2"] = folds(distance, same, fold)
            bar = threshold_at_fmr(distance[~same], 1e-3)
            row["View 2 1e-3"] = float((distance[same] <= bar).mean())
            rates = tars(vectors[mine[mine >= 0]], owners[mine >= 0], lost)
            row["dev-test 1e-3"], row["dev-test 1e-4"] = rates
            if flips:
                spreads[net.name, "dev-test"] = spread(vectors[mine[mine >= 0]], owners[mine >= 0])
    return (
        f"{int((place < 0).sum())} of {len(every)} LFW photos without a usable face are failures."
    )


def measure_chips(rows: Rows, spreads: Spreads, nets: list[Network], train: Path, most: int) -> str:
    """The people who measure, at most so many chips of a population. Returns a remark."""
    chips = Chips.load(train)
    remarks = []
    for name in ("celebrities", "families"):
        some = chips.of("measure", name)[:most]
        views = Views(name, nets, [])
        for row in some:
            views.add({one: chips.aligned(row, Preprocessing(*one)) for one in views.geometries})
        for net in nets:
            for flips, vectors in zip(FLIPS, views.embedded(net), strict=True):
                rates = tars(vectors, chips.people[some], 0)
                rows[net.name, flips][f"{name} 1e-3"] = rates[0]
                rows[net.name, flips][f"{name} 1e-4"] = rates[1]
                if flips:
                    spreads[net.name, name] = spread(vectors, chips.people[some])
        people = len(np.unique(chips.people[some]))
        remarks.append(f"{name}: {len(some)} chips of {people} people held out.")
    return " ".join(remarks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="+", help="the first one's detector finds faces")
    parser.add_argument(
        "--quick", type=int, help="no photos, and at most so many chips of each kind"
    )
    args = parser.parse_args()
    models = [Model(folder) for folder in args.models]
    nets = networks(models)
    rows: Rows = {(net.name, flips): {} for net in nets for flips in FLIPS}
    rate = speeds(nets)
    for (name, flips), row in rows.items():
        row["faces/s"] = rate[name] / (2 if flips else 1)
    spreads: Spreads = {}
    remarks = []
    if args.quick is None:
        remarks.append(measure_photos(rows, spreads, nets, models[0], args.data / "lfw"))
    most = args.quick or 10**6
    remarks.append(measure_chips(rows, spreads, nets, args.data / "train", most))
    columns = list(next(iter(rows.values())))
    lines = [f"| network | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for (name, flips), row in rows.items():
        cells = [f"{row[c]:.0f}" if c == "faces/s" else f"{100 * row[c]:.2f}" for c in columns]
        lines.append(f"| {name}{', ' + flips if flips else ''} | {' | '.join(cells)} |")
    kinds = list(dict.fromkeys(people for _, people in spreads))
    heads = [f"{people} {rate:.0e}".replace("e-0", "e-") for people in kinds for rate in RATES]
    lines += [
        "",
        "95 % intervals over people, with flips:",
        "",
        f"| network | {' | '.join(heads)} |",
    ]
    lines.append("|---" * (len(heads) + 1) + "|")
    for net in nets:
        found = [each for people in kinds for each in spreads[net.name, people]]
        cells = [f"{100 * each[0]:.1f} to {100 * each[1]:.1f}" if each else "" for each in found]
        lines.append(f"| {net.name} | {' | '.join(cells)} |")
    text = f"""Measured by `{this_command()}`
({machine()}, ONNX Runtime {onnxruntime.__version__}). Per cent: TAR at FMR 1e-3
and 1e-4 over all pairs, and the accuracy on View 2. {" ".join(remarks)}

{chr(10).join(lines)}"""
    print(text)
    for model in models:
        write_section(model.folder / CARD, "## Beside other networks", text)


if __name__ == "__main__":
    main()
