"""The state of a training run between two epochs, on disk and in memory."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from facesearch.core.errors import ModelError
from facesearch.training.config import TrainConfig
from facesearch.training.losses import Objective
from facesearch.training.network import EmbeddingNetwork

FORMAT = "2"  # of a checkpoint; 1 had a schedule and a mean of facesearch's own
Tensors = list[Tensor] | tuple[Tensor, ...]


@dataclass
class Run:
    """A network being trained, with everything that its next step depends on."""

    config: TrainConfig
    network: EmbeddingNetwork
    average: AveragedModel  # the running mean of the weights
    objective: Objective
    optimizer: torch.optim.Optimizer
    schedule: OneCycleLR
    history: list[dict[str, float]] = field(default_factory=list)  # a record for each epoch

    @classmethod
    def begun(cls, config: TrainConfig, people: int, device: torch.device) -> "Run":
        """A run before its first step. people: how many are in the training data."""
        torch.manual_seed(config.seed)
        network = EmbeddingNetwork(config.network, config.size)
        network = network.to(device).to(memory_format=torch.channels_last)
        mean = AveragedModel(network, multi_avg_fn=_ema(config.averaging), use_buffers=True)
        objective = Objective(config.cost, config.network.dimension, people).to(device)
        decayed = [weight for weight in network.parameters() if weight.ndim > 1]
        others = [weight for weight in network.parameters() if weight.ndim <= 1]
        others.extend(objective.parameters())
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": config.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=config.rate,
        )
        schedule = one_cycle(optimizer, config.rate, config.steps)
        return cls(config, network, mean, objective, optimizer, schedule)

    @property
    def embedder(self) -> EmbeddingNetwork:
        """The network with the mean of the weights: what the run is for."""
        network = self.average.module
        assert isinstance(network, EmbeddingNetwork)
        return network

    def save(self, path: Path, origin: dict[str, str]) -> None:
        """Write the run to a file, at once or not at all.

        origin: the configuration and the data, which a resumed run must share.
        """
        optimizer = self.optimizer.state_dict()
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for name, value in self.objective.state_dict().items():
            tensors[f"objective.{name}"] = value
        for number, state in optimizer["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
        note = {
            **origin,
            "format": FORMAT,
            "history": json.dumps(self.history),
            "groups": json.dumps(optimizer["param_groups"]),
        }
        partial = path.with_suffix(".partial")
        save_file(
            {name: value.cpu().contiguous() for name, value in tensors.items()}, partial, note
        )
        partial.replace(path)

    def load(self, path: Path, origin: dict[str, str]) -> None:
        """Take over what `save` wrote.

        Raises ModelError if the checkpoint belongs to another run, or is damaged.
        """
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
        if note.get("format") != FORMAT:
            raise ModelError(
                f"{path}: this run was begun by another version of facesearch; --restart begins "
                "anew"
            )
        self.network.load_state_dict(parts["network"])
        self.average.load_state_dict(parts["average"])
        self.objective.load_state_dict(parts["objective"])
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in parts["optimizer"].items():
            number, _, rest = name.partition(".")
            state.setdefault(int(number), {})[rest] = value
        groups = json.loads(note["groups"])
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.history = json.loads(note["history"])
        done = len(self.history) * self.config.batches
        self.schedule = one_cycle(self.optimizer, self.config.rate, self.config.steps, done)


def one_cycle(
    optimizer: torch.optim.Optimizer, rate: float, steps: int, done: int = 0
) -> OneCycleLR:
    """The learning rate of each of `steps` steps: a fifth of them up to `rate`, the others down.

    done: how many steps the optimizer has made already.
    Source: Smith and Topin, "Super-Convergence", 2018, with cosines for the lines.
    """
    return OneCycleLR(
        optimizer,
        rate,
        max(steps, 10),  # OneCycleLR divides by zero for five steps
        pct_start=0.2,
        cycle_momentum=False,
        last_epoch=done - 1,
    )


def _ema(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """An exponential moving mean that begins as a plain one: the first steps move far."""

    def update(mean: Tensors, weights: Tensors, count: Tensor | int) -> None:
        current = min(decay, (1 + int(count)) / (10 + int(count)))
        get_ema_multi_avg_fn(current)(mean, weights, count)  # type: ignore[no-untyped-call]

    return update
