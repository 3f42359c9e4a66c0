"""What decides how a network is trained: sizes, batches, loss, learning rate, seed."""

from dataclasses import dataclass, field

from facesearch.core.errors import DataError
from facesearch.training.losses import LossConfig
from facesearch.training.network import NetworkConfig


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides what a training run does, except its photos."""

    size: int = 80  # pixels of a chip's side
    network: NetworkConfig = field(default_factory=NetworkConfig)
    people: int = 48  # people with several photos in a batch
    photos: int = 4  # of each of them; a person with fewer is shown in several variations
    singles: int = 32  # people with one photo in a batch: they only ever make impostor pairs
    cost: LossConfig = field(default_factory=LossConfig)
    epochs: int = 60
    batches: int = 100  # in an epoch
    rate: float = 3e-3  # the learning rate's peak
    weight_decay: float = 0.05
    clip: float = 5.0  # the gradient's largest norm
    averaging: float = 0.998  # decay of the running mean of the weights; the model is that mean
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < 32 or self.size % 16:
            raise DataError(f"chips of {self.size} pixels: 32 or more, and a multiple of 16, work")
        if not self.rate > 0:
            raise DataError(f"a learning rate of {self.rate:g}: it must be above 0")

    @property
    def margin(self) -> int:
        """Pixels kept around a chip, so that augmentation can turn and move it."""
        return self.size // 5

    @property
    def steps(self) -> int:
        """Batches of the whole run."""
        return self.epochs * self.batches
