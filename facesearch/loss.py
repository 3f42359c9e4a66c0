"""The contrastive loss over every pair of a batch."""

import torch
from torch import Tensor
from torch.nn import functional


def distances(embeddings: Tensor) -> Tensor:
    """Euclidean distances between all rows of unit embeddings (B, D): (B, B)."""
    squared = 2 - 2 * embeddings @ embeddings.T
    # sqrt has infinite slope at 0: without the floor two equal chips give a NaN gradient
    return squared.clamp_min(1e-12).sqrt()


def contrastive_loss(
    embeddings: Tensor, people: Tensor, near: float = 0.3, far: float = 1.25
) -> Tensor:
    """Pull pairs of one person within `near`; push pairs of two people beyond `far`.

    embeddings: unit vectors, (B, D). people: who is on each, integers, (B,). near < far: Euclidean,
    in (0, 2). Returns a scalar: the mean over the genuine pairs that still cost something plus the
    mean over such impostor pairs; 0 for a batch in which nothing costs anything.
    Source: Hadsell, Chopra and LeCun, CVPR 2006, with a second margin, for genuine pairs, and
    with pairs that cost nothing left out of the mean.
    """
    distance = distances(embeddings)
    same = people[:, None] == people[None, :]
    once = torch.ones_like(same).triu(diagonal=1)
    genuine = functional.relu(distance - near).pow(2)[same & once]
    impostor = functional.relu(far - distance).pow(2)[~same & once]
    return _mean_of_positive(genuine) + _mean_of_positive(impostor)


def _mean_of_positive(costs: Tensor) -> Tensor:
    return costs.sum() / (costs > 0).sum().clamp_min(1)
