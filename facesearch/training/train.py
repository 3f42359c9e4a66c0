"""Train a network on a folder of people: prepare the data, learn epoch by epoch, make the model."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from facesearch.core.arrays import Chips
from facesearch.core.errors import DataError, ModelError, TrainingCollapsed
from facesearch.core.paths import DETAIL, MIN_FACE
from facesearch.core.progress import Progress, Silent
from facesearch.evaluation.model_card import REPORT
from facesearch.metrics.pairs import all_pairs, auc, fnmr_at_fmr, sample
from facesearch.training.batches import Batches, loaded
from facesearch.training.checkpoint import Run
from facesearch.training.config import TrainConfig
from facesearch.training.dataset import Faces, split_people
from facesearch.training.distributed import Processes, processes
from facesearch.training.losses import contrastive_loss, distances
from facesearch.training.preparation import Prepared, prepare, reader_for
from facesearch.training.release import make_model
from facesearch.vision import model
from facesearch.vision.model import Model
from facesearch.vision.photo_files import people_in

WORK = ".work"  # the folder for chips and checkpoints inside a model under construction
CHECKPOINT = "checkpoint.safetensors"
COLLAPSED = 0.05  # mean distance of a batch's embeddings below which the network tells nobody apart
CHIPS_AT_ONCE = 256  # embedded together


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

    detector_files: of the model whose detector finds the faces, see `Model.detector_files`; a file
    with the error of its landmarks, where it lies beside them, goes into the new model, too.
    detail, min_face: see FaceReader.
    resume: go on with an unfinished run, if there is one. restart: discard it; a finished model
    stays in place until the new one is whole.
    pictures: whether the report may show photos of the data. command: for the card.
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
    reader = reader_for(config.size, detector_files, detail, min_face)
    with processes(place) as group, _alone(work, group):
        if restart and group.first:
            checkpoint.unlink(missing_ok=True)
        progress = progress if group.first else Silent()
        ready = prepare(data, split, work, config, reader, progress, group)
        run = learn(ready, config, checkpoint, progress, place, group)
        if group.first:
            made = work / "model"
            make_model(ready, run, made, progress, pictures=pictures, command=command)
            _move_into_place(made, out)
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


def _move_into_place(made: Path, out: Path) -> None:
    """Replace the model in `out`. config.json goes first and comes last: without it, no model."""
    (out / model.CONFIG).unlink(missing_ok=True)
    shutil.rmtree(out / REPORT, ignore_errors=True)
    for path in sorted(made.iterdir(), key=lambda path: path.name == model.CONFIG):
        path.replace(out / path.name)


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
    run = Run.begun(config, int(parts["train"].people.max()) + 1, device)
    if checkpoint.exists():
        run.load(checkpoint, origin)
    shared: nn.Module = run.network
    if group.count > 1:
        shared = DistributedDataParallel(run.network)
    for epoch in range(len(run.history), config.epochs):
        progress.start(f"epoch {epoch + 1} of {config.epochs}", config.batches)
        # dropout: the same on a resumed run, another in each process
        torch.manual_seed((config.seed + epoch) * group.count + group.rank)
        batches = loaded(Batches(parts["train"], config, epoch, group))
        loss = one_epoch(run, shared, batches, progress, group)
        record = {"epoch": epoch + 1, "train_loss": loss}
        if group.first:
            record |= _validate(run, parts["validation"])
        run.history.append(record)
        if group.first:
            run.save(checkpoint, origin)
    return run


def one_epoch(
    run: Run,
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    progress: Progress,
    group: Processes,
) -> float:
    """One pass over an epoch's batches, see Batches; returns the mean loss.

    network: the run's own, or the DistributedDataParallel around it. Raises TrainingCollapsed.
    """
    device = next(run.network.parameters()).device
    run.network.train()
    total = 0.0
    for number, (chips, people) in enumerate(batches):
        chips = chips.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            mine = network(chips)
        embeddings = group.together(mine, len(people))
        loss = run.objective(embeddings, people.to(device))
        _check_health(loss, embeddings, len(run.history), number)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.network.parameters(), run.config.clip)
        run.optimizer.step()
        run.schedule.step()
        run.average.update_parameters(run.network)
        total += float(loss.detach())
        progress.advance(f"loss {total / (number + 1):.4f}")
    return total / run.config.batches


@torch.no_grad()
def _check_health(loss: Tensor, embeddings: Tensor, epoch: int, number: int) -> None:
    """Raises TrainingCollapsed for a loss that is no number, or embeddings that are all alike."""
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
    for at in range(0, len(chips), CHIPS_AT_ONCE):
        part = torch.from_numpy(np.ascontiguousarray(chips[at : at + CHIPS_AT_ONCE]))
        pixels = (part.permute(0, 3, 1, 2).to(device).float() - 127.5) / 127.5
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16):
            both = network(pixels) + network(pixels.flip(3))
        vectors.append(torch.nn.functional.normalize(both.float(), dim=1).cpu())
    return torch.cat(vectors)


def _validate(run: Run, faces: Faces) -> dict[str, float]:
    """Loss and errors on people that training never sees."""
    config = run.config
    embeddings = embedded(run.embedder, faces.inner(config.size))
    people = torch.from_numpy(faces.people)
    loss = contrastive_loss(embeddings, people, config.cost.near, config.cost.far)
    rows = sample(faces.people, config.seed)
    genuine, impostor = all_pairs(embeddings.numpy()[rows], faces.people[rows])
    return {
        "validation_loss": float(loss),
        "validation_auc": auc(genuine, impostor),
        "validation_fnmr_at_fmr_0.01": fnmr_at_fmr(genuine, impostor, 0.01),
    }
