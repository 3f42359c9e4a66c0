"""Make a model: chips of a folder of people, the Siamese training, calibration, the test once."""

import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset

from facesearch.core.arrays import Chips, Embeddings, FlipConsistencies, content_key
from facesearch.core.errors import DataError, ModelError, TrainingCollapsed
from facesearch.core.paths import DETAIL, MIN_FACE
from facesearch.core.progress import Progress, Silent
from facesearch.core.version import __version__
from facesearch.evaluation.model_card import REPORT, SplitResult, write_report
from facesearch.evaluation.plots import SamplePairs
from facesearch.matching.calibration import calibrate
from facesearch.matching.cohort import Cohort
from facesearch.metrics.pairs import all_pairs, auc, balanced, evaluate_pairs, fnmr_at_fmr, sample
from facesearch.training.augmentation import augmented
from facesearch.training.dataset import ChipCache, Split, fingerprint, split_people
from facesearch.training.distributed import Processes, processes
from facesearch.training.losses import LossConfig, Objective, contrastive_loss, distances
from facesearch.training.network import EmbeddingNetwork, NetworkConfig, export_onnx, save_weights
from facesearch.vision import images, model
from facesearch.vision.face_reader import FaceReader
from facesearch.vision.model import Model, Preprocessing
from facesearch.vision.photo_files import People, people_in

WORK = ".work"  # the folder for chips and checkpoints inside a model under construction
CHECKPOINT = "checkpoint.safetensors"
COLLAPSED = 0.05  # a batch whose people lie no further apart than this has collapsed


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides what a training run does, but for its photos."""

    size: int = 80  # pixels of a chip's side
    network: NetworkConfig = field(default_factory=NetworkConfig)
    people: int = 48  # with several photos, in a batch
    photos: int = 4  # of each of them; one with fewer is shown in several variations
    singles: int = 32  # people with one photo in a batch: they are only ever impostors
    cost: LossConfig = field(default_factory=LossConfig)
    epochs: int = 60
    batches: int = 100  # in an epoch
    rate: float = 3e-3  # the learning rate's peak
    weight_decay: float = 0.05
    clip: float = 5.0  # the gradient's largest norm
    averaging: float = 0.998  # decay of the running mean of the weights, which is what is kept
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % 16:
            raise DataError(f"chips of {self.size} pixels: 32 or more, and a multiple of 16, work")
        if not self.rate > 0:
            raise DataError(f"a learning rate of {self.rate:g}: it must be above 0")

    @property
    def margin(self) -> int:
        """Pixels kept around a chip, so that it can be turned and moved."""
        return self.size // 5


@dataclass(frozen=True, slots=True)
class Faces:
    """The chips of one part of the people."""

    chips: Chips  # (M, S + 2 margin, S + 2 margin, 3): of all parts
    rows: NDArray[np.int64]  # of this part, (N,)
    people: NDArray[np.int64]  # who is on each, (N,)

    def __len__(self) -> int:
        return len(self.rows)

    def inner(self, size: int, faces: NDArray[np.int64] | None = None) -> Chips:
        """The chips of some faces, or of all, without their margin, (N, size, size, 3)."""
        edge = (self.chips.shape[1] - size) // 2
        rows = self.rows if faces is None else self.rows[faces]
        return self.chips[rows, edge : edge + size, edge : edge + size]


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """Item i is batch i of an epoch; it depends on seed, epoch and i, and on nothing else.

    Chips (B, 3, S, S), of which each process gets its share, and the people on all of them.
    """

    def __init__(
        self, faces: Faces, config: TrainConfig, epoch: int, group: Processes | None = None
    ) -> None:
        self._faces, self._config, self._epoch = faces, config, epoch
        self._group = group or Processes()
        order = np.argsort(faces.people, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(faces.people[order])) + 1)
        self._several = [group for group in groups if len(group) > 1]
        self._single = [group for group in groups if len(group) == 1]
        # people with many photos come more often, but not by as much
        weight = np.sqrt([len(group) for group in self._several])
        self._weight = weight / weight.sum()

    def __len__(self) -> int:
        return self._config.batches

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        config, faces = self._config, self._faces
        rng = np.random.default_rng((config.seed, self._epoch, number))
        count = min(config.people, len(self._several))
        drawn = rng.choice(len(self._several), count, replace=False, p=self._weight)
        members: list[int] = []
        for person in drawn:
            group = self._several[person]
            members.extend(rng.permutation(group)[: config.photos])
            members.extend(rng.choice(group, max(0, config.photos - len(group))))
        count = min(config.singles, len(self._single))
        if count:
            lone = rng.choice(len(self._single), count, replace=False)
            members.extend(self._single[person][0] for person in lone)
        share = self._group.share(len(members))
        chips = torch.from_numpy(faces.chips[faces.rows[members[share]]])
        draws = torch.Generator().manual_seed(int(rng.integers(2**62)) + self._group.rank)
        return augmented(chips, config.size, draws), torch.from_numpy(faces.people[members])


@dataclass
class Run:
    """The state of a training run between two epochs, and its way to disk and back."""

    network: EmbeddingNetwork
    average: EmbeddingNetwork  # the running mean of the weights
    objective: Objective
    optimizer: torch.optim.Optimizer
    history: list[dict[str, float]] = field(default_factory=list)  # a record for each epoch

    def save(self, path: Path, origin: dict[str, str]) -> None:
        """origin: the configuration and the data, which a resumed run must share."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for name, value in self.objective.state_dict().items():
            tensors[f"objective.{name}"] = value
        for number, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        note = {**origin, "history": json.dumps(self.history)}
        partial = path.with_suffix(".partial")
        save_file(
            {name: value.cpu().contiguous() for name, value in tensors.items()}, partial, note
        )
        partial.replace(path)

    def load(self, path: Path, origin: dict[str, str]) -> None:
        """Raises ModelError if the checkpoint belongs to another run, or is damaged."""
        names = ("network", "average", "objective", "optimizer")
        parts: dict[str, dict[str, Tensor]] = {name: {} for name in names}
        try:
            with safe_open(path, "pt") as file:
                note = file.metadata()
                for name in file.keys():  # noqa: SIM118 - not a dictionary
                    part, _, rest = name.partition(".")
                    parts[part][rest] = file.get_tensor(name)
        except SafetensorError as error:
            raise ModelError(f"{path}: damaged; --restart begins anew ({error})") from error
        for key, what in (("config", "settings"), ("data", "photos"), ("split", "people's lists")):
            if note.get(key) != origin[key]:
                raise ModelError(
                    f"{path}: this run was begun with other {what}; give the same ones, "
                    "or --restart"
                )
        self.network.load_state_dict(parts["network"])
        self.average.load_state_dict(parts["average"])
        self.objective.load_state_dict(parts["objective"])
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            number, _, rest = name.partition(".")
            state.setdefault(int(number), {})[rest] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.history = json.loads(note["history"])


def train(
    data: Path,
    out: Path,
    config: TrainConfig,
    detector_files: Sequence[Path],
    progress: Progress,
    *,
    detail: int = DETAIL,
    min_face: float = MIN_FACE,
    device: str = "auto",
    resume: bool = False,
    restart: bool = False,
    pictures: bool = True,
    command: str = "",
) -> Model:
    """Train on the people of the folder `data` and leave a whole model in the folder `out`.

    pictures: whether the report may show photos of the data. command: for the card.
    finders: the files of another model, with which this one is to find faces; landmarks.dat with
    the file of its error beside it, if that is known.
    detail, min_face: see FaceReader.
    resume: go on with an unfinished run, if there is one. restart: discard it; a finished model
    stays in place until the new one is whole.
    Raises DataError for data that cannot be split, ModelError if `out` is taken, and
    TrainingCollapsed. What an interrupted run reached stays in `out`, for `resume`.
    """
    work = out / WORK
    checkpoint = work / CHECKPOINT
    unfinished = checkpoint.exists()
    if unfinished and not (resume or restart):
        raise ModelError(
            f"{out}: an unfinished run is here; --resume goes on, --restart begins anew"
        )
    if (out / model.CONFIG).exists() and not unfinished and not restart:
        raise ModelError(f"{out}: this model is finished; --restart makes it anew, --out another")
    split = split_people(data, people_in(data), config.seed)
    place = _device(device)
    names = tuple(path.name for path in detector_files)
    detector = {files: name for name, files in model.DETECTOR_FILES.items()}[names]
    how = Preprocessing(size=config.size, detector=detector)
    reader = FaceReader(how, detector_files, detail, min_face)
    with processes(place) as group, _alone(work, group):
        if restart and group.first:
            checkpoint.unlink(missing_ok=True)
        progress = progress if group.first else Silent()
        ready = prepare(data, split, work, config, reader, progress, group)
        run = learn(ready, config, checkpoint, progress, place, group)
        if group.first:
            made = _make(ready, work, config, run, progress, pictures, command)
            (out / model.CONFIG).unlink(missing_ok=True)  # a folder without it is no model
            shutil.rmtree(out / REPORT, ignore_errors=True)
            for path in sorted(made.iterdir(), key=lambda path: path.name == model.CONFIG):
                path.replace(out / path.name)
            shutil.rmtree(work)
        group.wait()
    return Model(out)


@contextmanager
def _alone(work: Path, group: Processes) -> Iterator[None]:
    """Raises ModelError if another run is training here."""
    if not group.first:
        yield
        return
    work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / "lock", timeout=0):
            yield
    except Timeout as error:
        raise ModelError(f"{work.parent}: another facesearch is training here") from error


@dataclass(frozen=True, slots=True)
class Prepared:
    """Everything that is known before the first step."""

    data: Path
    split: Split
    reader: FaceReader
    cache: ChipCache
    identity: str  # of the photos
    parts: dict[str, Faces]

    def origin(self, config: TrainConfig) -> dict[str, str]:
        """What a resumed run must share."""
        settings = json.dumps(asdict(config))
        return {"config": settings, "data": self.identity, "split": self.split.source}


def prepare(
    data: Path,
    split: Split,
    work: Path,
    config: TrainConfig,
    reader: FaceReader,
    progress: Progress,
    group: Processes,
) -> Prepared:
    cache = ChipCache(work, reader, config.margin)
    sorts = {"train": split.train, "validation": split.validation, "test": split.test}
    photos = [path for part in sorts.values() for path in _all(part)]
    if group.first:
        cache.fill(photos, progress)
    group.wait()
    if not group.first:
        cache.recall()
    parts = {name: _faces(part, cache, data) for name, part in sorts.items()}
    return Prepared(data, split, reader, cache, fingerprint(photos, data), parts)


def _make(
    ready: Prepared,
    work: Path,
    config: TrainConfig,
    run: Run,
    progress: Progress,
    pictures: bool,
    command: str,
) -> Path:
    """The whole model, in a folder below `work`."""
    detector_files, parts, cache = ready.reader.detector_files, ready.parts, ready.cache
    staging = work / "model"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    save_weights(run.average, staging / model.WEIGHTS)
    export_onnx(run.average, config.size, staging / model.GRAPH)
    for finder in detector_files:
        shutil.copyfile(finder, staging / finder.name)
    landmarks_error = detector_files[-1].with_name(model.LANDMARKS_ERROR)
    if landmarks_error.is_file():
        shutil.copyfile(landmarks_error, staging / model.LANDMARKS_ERROR)
    record = {
        "format": 1,
        "architecture": asdict(config.network),
        "preprocessing": asdict(ready.reader.preprocessing),
        "training": asdict(config),
        "data": {
            "folder": ready.data.name,
            "fingerprint": ready.identity,
            "split": ready.split.source,
            "people": {name: len(np.unique(faces.people)) for name, faces in parts.items()},
            "photos": {name: len(faces) for name, faces in parts.items()},
            "left_out": len(cache.left_out),
        },
        "code_version": __version__,
        "command": command,
    }
    (staging / model.CONFIG).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    kept = [photo for photo in _all(ready.split.validation) if cache.row(photo) is not None]
    keys = np.array([content_key(images.sha256(photo)) for photo in kept], np.uint64)
    _measure(staging, record, parts, keys, config, run.history, progress, pictures)
    (staging / "left_out.txt").write_bytes(os.fsencode("\n".join([*cache.left_out.values(), ""])))
    return staging


def _measure(
    folder: Path,
    record: dict[str, Any],
    parts: dict[str, Faces],
    keys: NDArray[np.uint64],
    config: TrainConfig,
    history: list[dict[str, float]],
    progress: Progress,
    pictures: bool,
) -> None:
    """Calibrate on the validation people, then measure every part, the test people once.

    keys: `content_key` of the validation people's photos.
    """
    serving = Model(folder)
    progress.start("measuring", len(parts))
    embeddings: dict[str, Embeddings] = {}
    flip_consistencies: dict[str, FlipConsistencies] = {}
    for name, faces in parts.items():
        embeddings[name], flip_consistencies[name] = serving.embed_with_consistency(
            faces.inner(config.size)
        )
        progress.advance(name)
    cohort = Cohort.drawn(
        embeddings["validation"],
        flip_consistencies["validation"],
        parts["validation"].people,
        keys,
        record["data"]["folder"],
        config.seed,
    )
    calibration = calibrate(cohort, config.seed)
    cohort.save(folder / model.COHORT)
    calibration.save(folder / model.CALIBRATION)
    splits, samples = [], []
    for name, faces in parts.items():
        rows = sample(faces.people, config.seed)
        genuine, impostor = all_pairs(embeddings[name][rows], faces.people[rows])
        distance, same = balanced(genuine, impostor, config.seed)
        one_fold = np.zeros(len(same), np.int64)
        result = evaluate_pairs(distance, same, one_fold, calibration.f1_threshold)
        splits.append(SplitResult(name, result, genuine, impostor))
        if pictures:
            samples.append(_samples(name, faces, embeddings[name], config))
    write_report(folder, record, history, calibration, splits, samples)


def _samples(
    name: str, faces: Faces, embeddings: Embeddings, config: TrainConfig, count: int = 12
) -> SamplePairs:
    """Genuine and as many impostor pairs, drawn."""
    rng = np.random.default_rng(config.seed)
    several = np.flatnonzero(np.bincount(faces.people)[faces.people] > 1)
    first, second = [], []
    for same, drawn in ((True, rng.choice(several, count)), (False, rng.choice(len(faces), count))):
        for face in drawn:
            others = np.flatnonzero((faces.people == faces.people[face]) == same)
            first.append(face)
            second.append(rng.choice(others[others != face]))
    distance = np.linalg.norm(embeddings[first] - embeddings[second], axis=1).astype(np.float64)
    a, b = (faces.inner(config.size, np.array(side)) for side in (first, second))
    return SamplePairs(name, a, b, np.arange(2 * count) < count, distance)


def _all(people: People) -> list[Path]:
    return [photo for photos in people.values() for photo in photos]


def _faces(part: People, cache: ChipCache, data: Path) -> Faces:
    rows, owners = [], []
    for number, photos in enumerate(part.values()):
        for photo in photos:
            row = cache.row(photo)
            if row is not None:
                rows.append(row)
                owners.append(number)
    people = np.array(owners, np.int64)
    if len(people) == 0 or sum(np.bincount(people) > 1) < 2:
        raise DataError(
            f"{data}: too few people with two photos in which a face is found; "
            "at least 2 are needed for each of training, validation and test"
        )
    return Faces(cache.chips, np.array(rows, np.int64), people)


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise DataError("cuda: PyTorch sees no such device here; --device cpu works everywhere")
    return torch.device(name)


def learn(
    ready: Prepared,
    config: TrainConfig,
    checkpoint: Path,
    progress: Progress,
    device: torch.device,
    group: Processes,
) -> Run:
    """Train to the last epoch, from the checkpoint on if there is one."""
    parts, origin = ready.parts, ready.origin(config)
    torch.manual_seed(config.seed)
    network = EmbeddingNetwork(config.network, config.size)
    network = network.to(device).to(memory_format=torch.channels_last)
    average = EmbeddingNetwork(config.network, config.size).to(device)
    average.load_state_dict(network.state_dict())
    average = average.to(memory_format=torch.channels_last)
    decayed = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    people = int(parts["train"].people.max()) + 1
    objective = Objective(config.cost, config.network.dimension, people).to(device)
    others.extend(objective.parameters())
    optimizer = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=config.rate,
    )
    run = Run(network, average, objective, optimizer)
    if checkpoint.exists():
        run.load(checkpoint, origin)
    shared: nn.Module = network
    if group.count > 1:
        shared = DistributedDataParallel(network)
    for epoch in range(len(run.history), config.epochs):
        progress.start(f"epoch {epoch + 1} of {config.epochs}", config.batches)
        # dropout: the same on a resumed run, another in each process
        torch.manual_seed((config.seed + epoch) * group.count + group.rank)
        batches = loaded(Batches(parts["train"], config, epoch, group))
        loss = one_epoch(run, shared, batches, config, epoch, progress, group)
        record = {"epoch": epoch + 1, "train_loss": loss}
        if group.first:
            record |= _validate(run.average, parts["validation"], config)
        run.history.append(record)
        if group.first:
            run.save(checkpoint, origin)
    return run


def loaded(batches: Batches) -> Iterable[tuple[Tensor, Tensor]]:
    """The batches in order, made by other processes while the network learns."""
    workers = max(1, (os.cpu_count() or 1) // 2)
    return DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=4)


def one_epoch(
    run: Run,
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    config: TrainConfig,
    epoch: int,
    progress: Progress,
    group: Processes,
) -> float:
    """One pass over an epoch's batches, see Batches; returns the mean loss.

    network: the run's, or what shares it among processes.
    """
    device = next(run.network.parameters()).device
    steps = config.epochs * config.batches
    run.network.train()
    total = 0.0
    for number, (chips, people) in enumerate(batches):
        step = epoch * config.batches + number
        for weights in run.optimizer.param_groups:
            weights["lr"] = config.rate * one_cycle(step / steps)
        chips = chips.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            mine = network(chips)
        embeddings = group.together(mine, len(people))
        loss = run.objective(embeddings, people.to(device))
        _check_health(loss, embeddings, epoch, number)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), config.clip)
        run.optimizer.step()
        _average(run, min(config.averaging, (1 + step) / (10 + step)))
        total += float(loss.detach())
        progress.advance(f"loss {total / (number + 1):.4f}")
    return total / config.batches


def one_cycle(share: float) -> float:
    """The learning rate after `share` of all steps, of its peak: a fifth up, the rest down.

    Source: Smith and Topin, "Super-Convergence", 2018, with cosines for the lines.
    """
    if share < 0.2:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * share / 0.2)) / 2
    return (1 + math.cos(math.pi * (share - 0.2) / 0.8)) / 2


@torch.no_grad()
def _average(run: Run, decay: float) -> None:
    """Move the running mean a step nearer to the weights."""
    kept = run.average.state_dict()
    for name, value in run.network.state_dict().items():
        if value.is_floating_point():
            kept[name].lerp_(value, 1 - decay)
        else:
            kept[name].copy_(value)


@torch.no_grad()
def _check_health(loss: Tensor, embeddings: Tensor, epoch: int, number: int) -> None:
    where = f"in epoch {epoch + 1}, batch {number + 1}"
    if not torch.isfinite(loss):
        raise TrainingCollapsed(f"the loss is no number any more {where}; lower --rate")
    count = len(embeddings)
    if count > 1 and distances(embeddings, embeddings).sum() / (count * (count - 1)) < COLLAPSED:
        raise TrainingCollapsed(
            f"all embeddings are alike {where} (loss {float(loss.detach()):.3f}): the network no "
            "longer tells anybody apart; lower --rate, or give more people"
        )


@torch.no_grad()
def embedded(network: nn.Module, chips: Chips) -> Tensor:
    """Unit embeddings (N, D) of chips (N, S, S, 3), mirror images averaged in, in bfloat16."""
    network.eval()
    device = next(network.parameters()).device
    vectors = []
    for part in _portions(chips):
        pixels = (torch.from_numpy(part).permute(0, 3, 1, 2).to(device).float() - 127.5) / 127.5
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            both = network(pixels) + network(pixels.flip(3))
        vectors.append(torch.nn.functional.normalize(both.float(), dim=1).cpu())
    return torch.cat(vectors)


def _validate(network: EmbeddingNetwork, faces: Faces, config: TrainConfig) -> dict[str, float]:
    """Loss and errors on people that training never sees."""
    embeddings = embedded(network, faces.inner(config.size))
    people = torch.from_numpy(faces.people)
    loss = contrastive_loss(embeddings, people, config.cost.near, config.cost.far)
    rows = sample(faces.people, config.seed)
    genuine, impostor = all_pairs(embeddings.numpy()[rows], faces.people[rows])
    return {
        "validation_loss": float(loss),
        "validation_auc": auc(genuine, impostor),
        "validation_fnmr_at_fmr_0.01": fnmr_at_fmr(genuine, impostor, 0.01),
    }


def _portions(chips: Chips, size: int = 256) -> Iterator[Chips]:
    for at in range(0, len(chips), size):
        yield np.ascontiguousarray(chips[at : at + size])
