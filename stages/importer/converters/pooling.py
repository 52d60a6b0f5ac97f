"""Pooling with padding that PyTorch's own modules cannot take, and global max pooling.

1. MaxPool and AveragePool padded differently at the two ends ('same' with an even window), or by more than half the
   window: padded by hand first, with -inf for the maximum.
2. AveragePool that leaves the padding out of its count: the mean over the padded input is divided by the mean over
   padded ones.
3. GlobalMaxPool: the maximum over all spatial axes, which are kept with length 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from .base import Converter, Source
from .windows import Pad

_MAX: Mapping[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_AVERAGE: Mapping[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


class PaddedAveragePool(nn.Module):
    """``pool`` over the padded input, each mean by as many elements as are not padding."""

    def __init__(self, pads: Sequence[int], pool: nn.Module) -> None:
        super().__init__()
        self.pad = Pad(pads, "constant", 0.0)
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside: torch.Tensor = self.pool(self.pad(torch.ones_like(x[:1, :1])))
        mean: torch.Tensor = self.pool(self.pad(x))
        return mean / inside


class GlobalMaxPool(nn.Module):
    """(N, C, ...) → (N, C, 1, ...)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.amax(tuple(range(2, x.dim())), keepdim=True)


def _accepts(source: Source) -> bool:
    pads, window = source.attributes.get("pads"), source.attributes["kernel_shape"]
    if not pads or len(window) not in _MAX or source.attributes.get("ceil_mode", 0) or len(source.outputs) > 1:
        return False
    begins, ends = pads[: len(window)], pads[len(window) :]
    return list(begins) != list(ends) or any(2 * pad > size for pad, size in zip(begins, window, strict=True))


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    window = list(source.attributes["kernel_shape"])
    rank, strides = len(window), list(source.attributes.get("strides", [1] * len(window)))
    pads = [0, 0, *source.attributes["pads"][:rank], 0, 0, *source.attributes["pads"][rank:]]
    if source.operator == "MaxPool":
        dilation = list(source.attributes.get("dilations", [1] * rank))
        return nn.Sequential(Pad(pads, "constant", -torch.inf), _MAX[rank](window, strides, dilation=dilation))
    average = _AVERAGE[rank](window, strides)
    if source.attributes.get("count_include_pad", 0):
        return nn.Sequential(Pad(pads, "constant", 0.0), average)
    return PaddedAveragePool(pads, average)


PADDED_POOL = Converter(("MaxPool", "AveragePool"), _module, accepts=_accepts)
GLOBAL_MAX_POOL = Converter(("GlobalMaxPool",), lambda source, weights: GlobalMaxPool())
