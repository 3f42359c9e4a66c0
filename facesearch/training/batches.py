"""The batches of an epoch: which people and photos each holds, as augmented chips."""

import os
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from facesearch.training.augmentation import augmented
from facesearch.training.config import TrainConfig
from facesearch.training.dataset import Faces
from facesearch.training.distributed import Processes


class Batches(Dataset[tuple[Tensor, Tensor]]):
    """Item i is batch i of an epoch: chips (B, 3, S, S) and who is on each, (B,).

    An item depends on the seed, the epoch and i alone. In several processes each gets the chips of
    its share of the batch, and the people of the whole batch.
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
        # people with many photos come more often, by the square root of their number
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


def loaded(batches: Batches) -> Iterable[tuple[Tensor, Tensor]]:
    """The batches in order, made by other processes while the network learns."""
    workers = max(1, (os.cpu_count() or 1) // 2)
    return DataLoader(batches, batch_size=None, num_workers=workers, prefetch_factor=4)
