"""Training in several processes that `torchrun` starts; a single process is a group of one."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

PATIENCE = timedelta(days=2)  # the others wait while the first process finds the faces


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that writes files and reports."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.count > 1:
            distributed.barrier()

    def share(self, count: int) -> slice:
        """The rows of a batch of `count` that this process computes."""
        return slice(self.rank, count, self.count)

    def together(self, embeddings: Tensor, count: int) -> Tensor:
        """The embeddings (count, D) of a whole batch, gathered from all processes' shares.

        embeddings: of this process's share. Its rows alone carry a gradient, `self.count` times as
        large as in a single process: DistributedDataParallel takes the mean over the processes,
        which then is the gradient of the whole batch.
        """
        if self.count == 1:
            return embeddings
        longest = -(-count // self.count)
        mine = embeddings.detach().new_zeros(longest, embeddings.shape[1])
        mine[: len(embeddings)] = embeddings.detach()
        parts = [torch.empty_like(mine) for _ in range(self.count)]
        distributed.all_gather(parts, mine)
        whole = torch.stack(parts, 1).flatten(0, 1)[:count].clone()
        scaled = embeddings * self.count - embeddings.detach() * (self.count - 1)
        whole[self.share(count)] = scaled.to(whole.dtype)
        return whole


@contextmanager
def processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that `torchrun` started; without it the group is this one alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()
        gc.collect()  # cycles of DistributedDataParallel: their threads must end first
