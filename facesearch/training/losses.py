"""The losses that training minimises: of pairs or triplets, and an identity softmax beside."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from facesearch.core.errors import DataError

Loss = Literal["contrastive", "triplet"]
Mining = Literal["all", "random", "hard", "memory"]


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Which loss, of which pairs of a batch."""

    loss: Loss = "contrastive"
    mining: Mining = "all"
    near: float = 0.3  # a genuine pair within this distance costs nothing
    far: float = 1.25  # an impostor pair beyond this distance costs nothing
    margin: float = 0.5  # of triplets: how much nearer a genuine face must be than an impostor's
    memory: int = 4096  # with mining by memory: how many faces of earlier batches are kept
    warmup: int = 500  # batches before the memory is used: early embeddings change too quickly
    identity: float = 0.0  # the weight of the identity softmax
    scale: float = 24.0  # of the identity softmax's cosines
    identity_margin: float = 0.2  # taken from the cosine of the right person

    def __post_init__(self) -> None:
        if self.loss not in get_args(Loss) or self.mining not in get_args(Mining):
            raise DataError(f"{self.loss}, {self.mining}: no loss or mining of these names")
        if not self.identity >= 0:
            raise DataError(f"a weight of {self.identity:g} for identities: it must not be below 0")


class Objective(nn.Module):
    """The loss of a batch, with its memory of earlier batches and its own parameters."""

    def __init__(self, config: LossConfig, dimension: int, people: int) -> None:
        """people: how many are in the training data, where they are numbered from 0."""
        super().__init__()
        self.config = config
        self.classes: nn.Parameter | None = None  # a direction for each person
        if config.identity:
            self.classes = nn.Parameter(torch.randn(people, dimension))
        kept = config.memory if config.mining == "memory" else 0
        self.batches: Tensor
        self.kept: Tensor
        self.kept_people: Tensor
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("kept", torch.zeros(kept, dimension))
        self.register_buffer("kept_people", torch.full((kept,), -1))

    def forward(self, embeddings: Tensor, people: Tensor) -> Tensor:
        """embeddings: (B, D), people: who is on each, (B,). Returns a scalar."""
        config = self.config
        others, their = embeddings, people
        if len(self.kept) and self.batches >= config.warmup:
            known = self.kept_people >= 0
            others = torch.cat([embeddings, self.kept[known]])
            their = torch.cat([people, self.kept_people[known]])
        distance = distances(embeddings, others)
        same = people[:, None] == their[None, :]
        genuine = same & ~torch.eye(len(people), len(their), dtype=torch.bool, device=same.device)
        genuine, impostor = mined(
            distance.detach(), genuine, ~same, config.mining, int(self.batches)
        )
        if config.loss == "contrastive":
            cost = contrastive_cost(distance, genuine, impostor, config.near, config.far)
        else:
            cost = triplet_cost(distance, genuine, impostor, config.margin)
        if self.classes is not None:
            cost = cost + config.identity * self._identity(embeddings, people)
        self._remember(embeddings.detach(), people)
        return cost

    def _identity(self, embeddings: Tensor, people: Tensor) -> Tensor:
        """Source: CosFace; Wang et al., CVPR 2018."""
        assert self.classes is not None
        cosine = embeddings @ functional.normalize(self.classes, dim=1).T
        right = functional.one_hot(people, len(self.classes))
        logits = self.config.scale * (cosine - self.config.identity_margin * right)
        return functional.cross_entropy(logits, people)

    @torch.no_grad()
    def _remember(self, embeddings: Tensor, people: Tensor) -> None:
        """Put the batch before the older faces of the memory, and drop the oldest."""
        self.batches += 1
        room = len(self.kept)
        self.kept = torch.cat([embeddings, self.kept])[:room]
        self.kept_people = torch.cat([people, self.kept_people])[:room]


def distances(embeddings: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances between embeddings (B, D) and (K, D): (B, K)."""
    lengths = embeddings.square().sum(1)[:, None] + others.square().sum(1)
    squared = lengths - 2 * embeddings @ others.T
    # sqrt has infinite slope at 0: without the floor two equal chips give a NaN gradient
    return squared.clamp_min(1e-12).sqrt()


def mined(
    distance: Tensor, genuine: Tensor, impostor: Tensor, mining: Mining, draw: int
) -> tuple[Tensor, Tensor]:
    """Choose the genuine and impostor pairs that count.

    distance: (B, K). genuine, impostor: which pairs are which, (B, K). draw: the seed for `random`.
    Returns the chosen genuine and impostor pairs, (B, K) each. The kinds of mining:
    all: every pair.
    memory: every pair, where the columns hold earlier batches, too (cross-batch memory; Wang et
    al., CVPR 2020).
    hard: of each row the farthest genuine and the nearest impostor pair (batch hard; Hermans, Beyer
    and Leibe, 2017).
    random: every genuine pair and, for each of them, an impostor pair drawn from its row.
    """
    if mining == "hard":
        far = torch.where(genuine, distance, -1.0).argmax(1, keepdim=True)
        near = torch.where(impostor, distance, 9.0).argmin(1, keepdim=True)
        one = torch.zeros_like(genuine)
        return one.scatter(1, far, value=True) & genuine, one.scatter(1, near, True) & impostor
    if mining == "random":
        rng = torch.Generator().manual_seed(draw)
        ticket = torch.rand(distance.shape, generator=rng).to(distance.device)
        place = torch.where(impostor, ticket, 2.0).argsort(1).argsort(1)
        return genuine, impostor & (place < genuine.sum(1, keepdim=True))
    return genuine, impostor


def contrastive_cost(
    distance: Tensor, genuine: Tensor, impostor: Tensor, near: float, far: float
) -> Tensor:
    """Pull genuine pairs within `near` and push impostor pairs beyond `far`.

    distance, genuine, impostor: (B, K), see `mined`. near < far: Euclidean distances in (0, 2).
    Returns a scalar: the mean over the genuine pairs that still cost something, plus the mean over
    such impostor pairs.
    Source: Hadsell, Chopra and LeCun, CVPR 2006, with a second margin for genuine pairs, and with
    means over the pairs that cost something.
    """
    pull = functional.relu(distance - near).pow(2) * genuine
    push = functional.relu(far - distance).pow(2) * impostor
    return _mean_of_positive(pull) + _mean_of_positive(push)


def triplet_cost(distance: Tensor, genuine: Tensor, impostor: Tensor, margin: float) -> Tensor:
    """Bring genuine faces nearer than impostor faces, by `margin`.

    distance, genuine, impostor: (B, K), see `mined`. Each genuine pair of a row makes a triplet
    with each impostor pair of it. Returns the mean over the triplets that still cost something.
    Source: Schroff, Kalenichenko and Philbin, CVPR 2015, with plain distances.
    """
    anchors, positives = torch.nonzero(genuine, as_tuple=True)
    apart = distance[anchors, positives][:, None] - distance[anchors]
    return _mean_of_positive(functional.relu(apart + margin) * impostor[anchors])


def contrastive_loss(
    embeddings: Tensor, people: Tensor, near: float = 0.3, far: float = 1.25
) -> Tensor:
    """The `contrastive_cost` of all pairs of unit embeddings (B, D) of people (B,); a scalar."""
    same = people[:, None] == people[None, :]
    itself = torch.eye(len(people), dtype=torch.bool, device=same.device)
    return contrastive_cost(distances(embeddings, embeddings), same & ~itself, ~same, near, far)


def _mean_of_positive(costs: Tensor) -> Tensor:
    return costs.sum() / (costs > 0).sum().clamp_min(1)
