"""torchgraft.GroupNormalization → ``nn.GroupNorm``: both on (N, C, ...), scale and bias by channel."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .base import Converter, Source


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    norm = nn.GroupNorm(source.attributes["num_groups"], len(weights[1]), source.attributes["epsilon"], device="meta")
    norm.weight, norm.bias = nn.Parameter(weights[1]), nn.Parameter(weights[2])
    return norm


GROUP_NORMALIZATION = Converter(("GroupNormalization",), _module, parameters={"weight": 1, "bias": 2})
