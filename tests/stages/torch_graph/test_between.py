"""A part of the imported module between two of its values."""

from __future__ import annotations

import pytest
import torch
from torch import fx, nn
from torchgraft.stages.torch_graph.between import between


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale, self.fc = nn.Softplus(), nn.Linear(3, 2)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return self.fc(self.scale(a)) + b.sum()


MODULE = fx.symbolic_trace(Net())
NODES = {node.name: node for node in MODULE.graph.nodes}
X = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


def test_a_part_computes_what_the_whole_does_there_for_any_number_of_samples() -> None:
    front = between(MODULE, ["a"], NODES["scale"])
    behind = between(MODULE, ["scale"], NODES["fc"])
    for samples in (1, 5):
        assert torch.equal(behind(front(X[:samples])), MODULE.fc(MODULE.scale(X[:samples])))


def test_what_depends_on_more_than_it_is_given_is_refused() -> None:
    with pytest.raises(ValueError, match="depends on b"):
        between(MODULE, ["scale"], NODES["add"])
