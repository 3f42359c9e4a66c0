"""The losses agree with loops over pairs and triplets; mining picks what it says it picks."""

import math

import pytest

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")

from facesearch.core.errors import DataError  # noqa: E402
from facesearch.training.losses import (  # noqa: E402
    LossConfig,
    Objective,
    contrastive_loss,
    distances,
    mined,
    triplet_cost,
)

PEOPLE = [0, 0, 0, 1, 1, 2, 2, 3]


def unit(count: int, dimension: int, seed: int = 0) -> "torch.Tensor":
    rng = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, dimension, generator=rng, dtype=torch.float64)
    return torch.nn.functional.normalize(drawn, dim=1)


def mean_of_positive(costs: list[float]) -> float:
    positive = [cost for cost in costs if cost > 0]
    return sum(positive) / len(positive) if positive else 0.0


def slow_loss(embeddings: "torch.Tensor", people: list[int], near: float, far: float) -> float:
    costs: dict[bool, list[float]] = {True: [], False: []}
    for i in range(len(people)):
        for j in range(i):
            apart = math.dist(embeddings[i].tolist(), embeddings[j].tolist())
            same = people[i] == people[j]
            costs[same].append(max(0.0, apart - near) ** 2 if same else max(0.0, far - apart) ** 2)
    return sum(mean_of_positive(kind) for kind in costs.values())


def slow_triplets(embeddings: "torch.Tensor", people: list[int], margin: float) -> float:
    rows = embeddings.tolist()
    return mean_of_positive(
        [
            math.dist(rows[a], rows[p]) - math.dist(rows[a], rows[n]) + margin
            for a in range(len(people))
            for p in range(len(people))
            for n in range(len(people))
            if a != p and people[a] == people[p] and people[a] != people[n]
        ]
    )


def pairs(people: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
    same = people[:, None] == people[None, :]
    return same & ~torch.eye(len(people), dtype=torch.bool), ~same


@pytest.mark.parametrize("seed", range(4))
def test_loss_is_the_mean_over_costly_pairs(seed: int) -> None:
    embeddings = unit(12, 5, seed)
    people = torch.randint(0, 4, (12,), generator=torch.Generator().manual_seed(seed))
    found = float(contrastive_loss(embeddings, people, 0.4, 1.3))
    assert found == pytest.approx(slow_loss(embeddings, people.tolist(), 0.4, 1.3))
    assert found > 0


@pytest.mark.parametrize("seed", range(4))
def test_triplets_are_every_genuine_with_every_impostor_pair(seed: int) -> None:
    embeddings, people = unit(len(PEOPLE), 4, seed), torch.tensor(PEOPLE)
    cost = triplet_cost(distances(embeddings, embeddings), *pairs(people), 0.3)
    assert float(cost) == pytest.approx(slow_triplets(embeddings, PEOPLE, 0.3))
    assert cost > 0


def test_well_separated_people_cost_nothing() -> None:
    assert float(contrastive_loss(torch.eye(4), torch.arange(4))) == 0
    people = torch.tensor([0, 0, 1, 1])
    embeddings = torch.eye(2)[people]
    assert float(triplet_cost(distances(embeddings, embeddings), *pairs(people), 0.5)) == 0


def test_one_person_alone_and_strangers_alone() -> None:
    embeddings = unit(5, 8)
    for people in (torch.zeros(5, dtype=torch.long), torch.arange(5)):
        expected = slow_loss(embeddings, people.tolist(), 0.3, 1.25)
        assert float(contrastive_loss(embeddings, people)) == pytest.approx(expected, rel=1e-4)
        for mining in ("all", "random", "hard", "memory"):
            for loss in ("contrastive", "triplet"):
                cost = Objective(LossConfig(loss, mining), 8, 5)(embeddings, people)
                assert torch.isfinite(cost)


def test_hard_mining_takes_the_furthest_and_the_nearest_of_each_row() -> None:
    people = torch.tensor(PEOPLE)
    distance = distances(unit(8, 4), unit(8, 4))
    genuine, impostor = mined(distance, *pairs(people), "hard", 0)
    assert genuine.sum(1).tolist() == [1] * 7 + [0]  # the last person has one photo
    assert impostor.sum(1).tolist() == [1] * 8
    for row in range(7):
        mates = [j for j in range(8) if j != row and PEOPLE[j] == PEOPLE[row]]
        assert int(genuine[row].int().argmax()) == max(mates, key=lambda j: distance[row, j])
    for row in range(8):
        strangers = [j for j in range(8) if PEOPLE[j] != PEOPLE[row]]
        assert int(impostor[row].int().argmax()) == min(strangers, key=lambda j: distance[row, j])


def test_random_mining_draws_an_impostor_for_each_genuine_pair() -> None:
    people = torch.tensor(PEOPLE)
    every = pairs(people)
    distance = torch.zeros(8, 8)
    genuine, impostor = mined(distance, *every, "random", 7)
    assert torch.equal(genuine, every[0])
    assert torch.equal(impostor.sum(1), genuine.sum(1))
    assert not (impostor & ~every[1]).any()
    assert torch.equal(mined(distance, *every, "random", 7)[1], impostor)
    assert not torch.equal(mined(distance, *every, "random", 8)[1], impostor)


def test_the_memory_counts_after_its_warmup_and_forgets_the_oldest() -> None:
    config = LossConfig(mining="memory", memory=10, warmup=2)
    memory, plain = Objective(config, 4, 9), Objective(LossConfig(), 4, 9)
    batches = [unit(8, 4, seed).float() for seed in range(4)]
    people = [torch.tensor(PEOPLE), torch.tensor(PEOPLE).flip(0), torch.arange(8), torch.arange(8)]
    costs = [float(memory(*both)) for both in zip(batches[:2], people[:2], strict=True)]
    assert costs == [float(plain(*both)) for both in zip(batches[:2], people[:2], strict=True)]
    known = torch.cat([batches[1], batches[0]])[:10]
    assert torch.equal(memory.kept, known)
    # now the batch meets itself and the ten faces before it
    everyone = torch.cat([people[2], people[1], people[0][:2]])
    distance = distances(batches[2], torch.cat([batches[2], known]))
    same = people[2][:, None] == everyone[None]
    itself = torch.eye(8, 18, dtype=torch.bool)
    pull = (distance - config.near).relu().pow(2)[same & ~itself].tolist()
    push = (config.far - distance).relu().pow(2)[~same].tolist()
    expected = mean_of_positive(pull) + mean_of_positive(push)
    assert float(memory(batches[2], people[2])) == pytest.approx(expected, rel=1e-5)


def test_the_identity_softmax_learns_who_is_who() -> None:
    torch.manual_seed(0)
    objective = Objective(LossConfig(identity=1.0), 8, 4)
    embeddings, people = unit(8, 8).float(), torch.tensor(PEOPLE)
    optimizer = torch.optim.Adam(objective.parameters(), 0.1)
    costs = []
    for _ in range(60):
        cost = objective(embeddings, people)
        optimizer.zero_grad()
        cost.backward()
        optimizer.step()
        costs.append(float(cost.detach()))
    assert costs[-1] < costs[0] / 2
    assert objective.classes is not None
    assert torch.equal((embeddings @ objective.classes.T).argmax(1), people)


def test_what_is_no_loss_is_refused() -> None:
    for bad in ({"loss": "quadruplet"}, {"mining": "coal"}, {"identity": -1.0}):
        with pytest.raises(DataError):
            LossConfig(**bad)


def test_equal_chips_give_a_finite_gradient() -> None:
    for config in (LossConfig(), LossConfig("triplet", "hard")):
        embeddings = torch.ones(4, 3, requires_grad=True)
        same = torch.nn.functional.normalize(embeddings, dim=1)
        Objective(config, 3, 2)(same, torch.tensor([0, 0, 1, 1])).backward()
        assert embeddings.grad is not None
        assert torch.isfinite(embeddings.grad).all()


def test_distances_are_euclidean() -> None:
    assert torch.allclose(
        distances(unit(6, 4), unit(6, 4, 1)), torch.cdist(unit(6, 4), unit(6, 4, 1))
    )
