"""OneHot of a known depth → a comparison with each position. An index counts from the end where it is negative."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .base import Converter, Source


class OneHot(nn.Module):
    """``on`` at the position that an index names, ``off`` elsewhere; the positions are the new axis ``axis``."""

    def __init__(self, depth: int, axis: int, values: torch.Tensor) -> None:
        super().__init__()
        self.depth = depth
        self.axis = axis
        self.register_buffer("values", values, persistent=False)
        self.values: torch.Tensor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        axis = self.axis % (x.dim() + 1)
        x = torch.where(x < 0, x + self.depth, x).unsqueeze(axis)
        shape = [-1 if place == axis else 1 for place in range(x.dim())]
        positions = torch.arange(self.depth, device=x.device).reshape(shape)
        off, on = self.values
        return torch.where(x == positions, on, off)

    def extra_repr(self) -> str:
        return f"depth={self.depth}, axis={self.axis}"


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    (depth,) = source.integers(1) or [0]
    values = source.constant(2)
    assert values is not None
    return OneHot(depth, source.attributes.get("axis", -1), torch.from_numpy(values.copy()))


ONE_HOT = Converter(("OneHot",), _module, accepts=lambda source: source.is_constant(1, 2))
