"""A bias may stand with another addend of the sum than in Keras, or behind the sum."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch_pairs import extract, images, randomized, run
from torchgraft.stages.errors import MappingError
from written_twice import assert_same

Joined = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Two(nn.Module):
    """Two linear layers on one input, of which one has a bias, and a head on what is made of both."""

    def __init__(self, *, first: bool, join: Joined = torch.add) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5, bias=first), nn.Linear(6, 5, bias=not first)
        self.head, self.join = nn.Linear(5, 3), join

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.join(self.a(x), self.b(x.sin())).tanh())


class Behind(nn.Module):
    """The same out of matrices, the bias added last; its factors in whatever order."""

    def __init__(self, *, turned: bool) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.zeros(6, 5)), nn.Parameter(torch.zeros(5, 6))
        self.bias, self.head, self.turned = nn.Parameter(torch.zeros(5)), nn.Linear(5, 3), turned

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = x @ self.a, x.sin() @ self.b.T
        return self.head(((second + first if self.turned else first + second) + self.bias).tanh())


@pytest.mark.parametrize(
    "module", [Two(first=False), Behind(turned=False), Behind(turned=True)], ids=["other", "behind", "turned"]
)
def test_a_bias_of_a_sum_goes_where_the_module_has_it(module: nn.Module) -> None:
    reference, x = randomized(Two(first=True)), images(4, 6)
    extraction = extract(reference, module, x=x)
    assert not extraction.findings
    with torch.no_grad():
        expected = reference(torch.from_numpy(x))
    assert_same(run(module, extraction, x), expected)


@pytest.mark.parametrize("join", [torch.mul, lambda a, b: a + b.relu()])
def test_a_bias_does_not_change_sides_where_more_is_done_than_adding(join: Joined) -> None:
    with pytest.raises(MappingError):
        extract(randomized(Two(first=True, join=join)), Two(first=False, join=join), x=images(4, 6))
