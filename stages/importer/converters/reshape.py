"""Reshape and Expand to a shape that is known → a module that holds it as numbers.

onnx2torch hands the shape to ``forward`` as a tensor, which ``torch.export`` cannot read.

1. Reshape: 0 copies the input's dimension, as ONNX has it; -1 is the rest.
2. Squeeze, Unsqueeze at known axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from .base import Converter, Source


class Reshape(nn.Module):
    """To ``shape``: -1 is the rest, 0 the input's own dimension."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape([x.shape[axis] if dim == 0 else dim for axis, dim in enumerate(self.shape)])

    def extra_repr(self) -> str:
        return str(self.shape)


class Unsqueeze(nn.Module):
    """New axes of length 1 at ``axes`` of the result."""

    def __init__(self, axes: Sequence[int]) -> None:
        super().__init__()
        self.axes = tuple(axes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rank = x.dim() + len(self.axes)
        for axis in sorted(axis % rank for axis in self.axes):
            x = x.unsqueeze(axis)
        return x


class Squeeze(nn.Module):
    """Without the axes ``axes``."""

    def __init__(self, axes: Sequence[int]) -> None:
        super().__init__()
        self.axes = tuple(axes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.squeeze(self.axes)


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    kind = {"Reshape": Reshape, "Squeeze": Squeeze, "Unsqueeze": Unsqueeze}[source.operator]
    return kind(source.integers(1) or [])


RESHAPE = Converter(
    ("Reshape", "Squeeze", "Unsqueeze"),
    _module,
    accepts=lambda source: source.has(1) and source.is_constant(1) and not source.attributes.get("allowzero", 0),
)
