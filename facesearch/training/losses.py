"""What training minimises: pairs or triplets of the faces of a batch, and an identity softmax."""

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
    """What a batch costs."""

    loss: Loss = "contrastive"
    mining: Mining = "all"
    near: float = 0.3  # distance within which a genuine pair costs nothing
    far: float = 1.25  # distance beyond which an impostor pair costs nothing
    margin: float = 0.5  # how much nearer a genuine than an impostor face is to be, for triplets
    memory: int = 4096  # faces of earlier batches that are kept for `memory`
    warmup: int = 500  # batches before the memory counts: early embeddings age too quickly
    identity: float = 0.0  # the weight of the identity softmax beside it
    scale: float = 24.0  # of the identity softmax's cosines
    identity_margin: float = 0.2  # by which the right person's cosine must stand out

    def __post_init__(self) -> None:
        if self.loss not in get_args(Loss) or self.mining not in get_args(Mining):
            raise DataError(f"{self.loss}, {self.mining}: no loss or mining of these names")
        if not self.identity >= 0:
            raise DataError(f"a weight of {self.identity:g} for identities: it must not be below 0")


class Objective(nn.Module):
    """The cost of a batch, with what it remembers and learns by itself."""

    def __init__(self, config: LossConfig, dimension: int, people: int) -> None:
        """people: in the training data, numbered from 0."""
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
        """The newest first, the oldest forgotten."""
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
    """The genuine and impostor pairs of each row that count.

    distance, (B, K); genuine, impostor: which pairs are which, (B, K). draw: decides what is drawn.
    Returns two (B, K) of booleans.
    all, memory: every pair (with `memory` the columns hold more than the batch: cross-batch memory,
    Wang et al., CVPR 2020). hard: of each row the furthest genuine and the nearest impostor one
    (batch hard; Hermans, Beyer and Leibe, 2017). random: every genuine pair, and for each of
    them one impostor pair of its row, drawn.
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
    """Pull genuine pairs within `near`; push impostor pairs beyond `far`.

    All (B, K), see `mined`. near < far: Euclidean, in (0, 2). Returns a scalar: the mean over the
    genuine pairs that still cost something plus the mean over such impostor pairs; 0 where
    nothing costs anything.
    Source: Hadsell, Chopra and LeCun, CVPR 2006, with a second margin, for genuine pairs, and
    with pairs that cost nothing left out of the mean.
    """
    pull = functional.relu(distance - near).pow(2) * genuine
    push = functional.relu(far - distance).pow(2) * impostor
    return _mean_of_positive(pull) + _mean_of_positive(push)


def triplet_cost(distance: Tensor, genuine: Tensor, impostor: Tensor, margin: float) -> Tensor:
    """Bring genuine faces nearer than impostor ones by `margin`.

    distance, genuine, impostor: (B, K), see `mined`; every genuine pair of a row meets every
    impostor pair of it. Returns the mean over the triplets that still cost something.
    Source: Schroff, Kalenichenko and Philbin, CVPR 2015, with plain distances.
    """
    anchors, positives = torch.nonzero(genuine, as_tuple=True)
    apart = distance[anchors, positives][:, None] - distance[anchors]
    return _mean_of_positive(functional.relu(apart + margin) * impostor[anchors])


def contrastive_loss(
    embeddings: Tensor, people: Tensor, near: float = 0.3, far: float = 1.25
) -> Tensor:
    """`contrastive_cost` over all pairs of unit embeddings (B, D) of people (B,); a scalar."""
    same = people[:, None] == people[None, :]
    itself = torch.eye(len(people), dtype=torch.bool, device=same.device)
    return contrastive_cost(distances(embeddings, embeddings), same & ~itself, ~same, near, far)


def _mean_of_positive(costs: Tensor) -> Tensor:
    return costs.sum() / (costs > 0).sum().clamp_min(1)
