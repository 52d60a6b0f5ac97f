"""A module that computes a weight from others (spectral_norm, weight_norm) is told to hold the weight itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, remove_spectral_norm, spectral_norm
from torch_pairs import extract, images, randomized
from torchgraft.stages.errors import MappingError


class Net(nn.Module):
    def __init__(self, norm: Callable[[nn.Linear], nn.Module] = lambda layer: layer) -> None:
        super().__init__()
        self.a, self.b = norm(nn.Linear(6, 5)), nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(self.a(x).tanh())


@pytest.mark.parametrize("norm", [spectral_norm, parametrizations.spectral_norm, parametrizations.weight_norm])
def test_it_is_said_what_to_take_off(norm: Callable[[nn.Linear], nn.Module]) -> None:
    with pytest.raises(MappingError) as caught:
        extract(randomized(Net()), Net(norm), x=images(4, 6))
    assert "a computes its weight from others" in caught.value.fix
    assert "allow_unmatched" not in caught.value.fix


def test_without_it_the_module_is_one_as_any_other() -> None:
    module = Net(lambda layer: remove_spectral_norm(spectral_norm(layer)))
    assert not extract(randomized(Net()), module, x=images(4, 6)).findings


def test_another_missing_key_is_not_put_down_to_it() -> None:
    class More(Net):
        def __init__(self) -> None:
            super().__init__()
            self.c = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.c(super().forward(x))

    with pytest.raises(MappingError) as caught:
        extract(randomized(Net()), More(), x=images(4, 6))
    assert "computes its weight from others" not in caught.value.fix
