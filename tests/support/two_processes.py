"""Run by torchrun: the gradient that processes share is that of the whole batch in one."""

import torch
from torch.nn.parallel import DistributedDataParallel

from facesearch.training.distributed import Processes, processes
from facesearch.training.losses import LossConfig, Objective
from facesearch.training.network import EmbeddingNetwork, NetworkConfig


def main() -> None:
    torch.manual_seed(0)
    config = NetworkConfig(widths=(8, 8, 16, 16), blocks=(1, 1, 1, 1), dropout=0.0)
    network = EmbeddingNetwork(config, 32).eval()  # running statistics: the same in any batch
    people = torch.tensor([0, 0, 1, 1, 2, 2, 3])  # an odd number: unequal shares
    chips = torch.randn(len(people), 3, 32, 32)

    def gradient(net: torch.nn.Module, embeddings: torch.Tensor) -> list[torch.Tensor]:
        net.zero_grad()
        torch.manual_seed(1)
        cost = LossConfig(identity=0.5)
        Objective(cost, config.dimension, 4)(embeddings, people).backward()
        return [p.grad.clone() for p in network.parameters() if p.grad is not None]

    def shared(group: Processes) -> list[torch.Tensor]:
        net = DistributedDataParallel(network)
        mine = net(chips[group.share(len(people))])
        return gradient(net, group.together(mine, len(people)))

    alone = gradient(network, network(chips))
    with processes(torch.device("cpu")) as group:
        assert group.count == 2
        both = shared(group)
    assert len(alone) == len(both) > 5
    for a, b in zip(alone, both, strict=True):
        assert torch.allclose(a, b, atol=1e-6), (a - b).abs().max()


if __name__ == "__main__":
    main()
