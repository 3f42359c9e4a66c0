"""The loss agrees with loops over pairs, and its gradient is finite where pairs coincide."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from facesearch.loss import contrastive_loss, distances  # noqa: E402


def slow_loss(embeddings: "torch.Tensor", people: list[int], near: float, far: float) -> float:
    costs: dict[bool, list[float]] = {True: [], False: []}
    for i in range(len(people)):
        for j in range(i):
            apart = math.dist(embeddings[i].tolist(), embeddings[j].tolist())
            same = people[i] == people[j]
            cost = max(0.0, apart - near) ** 2 if same else max(0.0, far - apart) ** 2
            if cost > 0:
                costs[same].append(cost)
    return sum(sum(kind) / len(kind) for kind in costs.values() if kind)


@pytest.mark.parametrize("seed", range(4))
def test_loss_is_the_mean_over_costly_pairs(seed: int) -> None:
    torch.manual_seed(seed)
    embeddings = torch.nn.functional.normalize(torch.randn(12, 5, dtype=torch.float64), dim=1)
    people = torch.randint(0, 4, (12,))
    found = float(contrastive_loss(embeddings, people, 0.4, 1.3))
    assert found == pytest.approx(slow_loss(embeddings, people.tolist(), 0.4, 1.3))
    assert found > 0


def test_well_separated_people_cost_nothing() -> None:
    assert float(contrastive_loss(torch.eye(4), torch.arange(4))) == 0


def test_one_person_alone_and_strangers_alone() -> None:
    embeddings = torch.nn.functional.normalize(torch.randn(5, 8), dim=1)
    for people in (torch.zeros(5, dtype=torch.long), torch.arange(5)):
        expected = slow_loss(embeddings, people.tolist(), 0.3, 1.25)
        assert float(contrastive_loss(embeddings, people)) == pytest.approx(expected, rel=1e-4)


def test_equal_chips_give_a_finite_gradient() -> None:
    embeddings = torch.ones(4, 3, requires_grad=True)
    unit = torch.nn.functional.normalize(embeddings, dim=1)
    contrastive_loss(unit, torch.tensor([0, 0, 1, 1])).backward()
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


def test_distances_are_euclidean() -> None:
    unit = torch.nn.functional.normalize(torch.randn(6, 4, dtype=torch.float64), dim=1)
    assert torch.allclose(distances(unit, unit), torch.cdist(unit, unit), atol=1e-6)
