"""GatherND, with or without axes that data and places have in common.

Data (*batch, *axes, …) at places (*batch, *rows, len(axes)) → (*batch, *rows, …). ``keras.ops.take_along_axis`` makes
such nodes; onnx2torch knows those without a batch alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .base import Converter, Source


class GatherND(nn.Module):
    """What stands at ``places``; the first ``batch_dims`` axes of both go together."""

    def __init__(self, batch_dims: int) -> None:
        super().__init__()
        self.batch_dims = batch_dims

    def forward(self, x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        rows = places.dim() - 1
        index = [
            torch.arange(x.shape[axis], device=x.device).reshape([-1 if axis == other else 1 for other in range(rows)])
            for axis in range(self.batch_dims)
        ]
        sizes = x.shape[self.batch_dims : self.batch_dims + places.shape[-1]]
        index += [places[..., axis] % size for axis, size in enumerate(sizes)]
        return x[tuple(index)]

    def extra_repr(self) -> str:
        return f"batch_dims={self.batch_dims}"


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    return GatherND(source.attributes.get("batch_dims", 0))


GATHER_ND = Converter(("GatherND",), _module, data=(0, 1))
