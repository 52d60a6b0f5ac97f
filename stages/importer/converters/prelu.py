"""PRelu with a slope for each channel of (N, C, …), or one for all → ``nn.PReLU``; other slopes stay arithmetic."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .base import Converter, Source


def _accepts(source: Source) -> bool:
    slope, shape = source.shape(1), source.shape(0)
    return (
        source.is_held(1)
        and slope is not None
        and shape is not None
        and len(slope) == len(shape) - 1
        and all(size == 1 for size in slope[1:])
        and slope[0] in (1, shape[1])
    )


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    slope = weights[1].reshape(-1)
    module = nn.PReLU(len(slope), device="meta")
    module.weight = nn.Parameter(slope)
    return module


PRELU = Converter(("PRelu",), _module, _accepts, parameters={"weight": 1})
