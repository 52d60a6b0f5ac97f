"""Gemm with a bias of one axis, torchgraft.Linear and torchgraft.LinearWithoutBias → ``nn.Linear``.

1. The weight is kept as [out, in] already (``transB=1``): ``nn.Linear`` keeps it so, too (torch/nn/modules/linear.py).
2. Without a bias: ``bias=False``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .base import Converter, Source


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    out_features, in_features = weights[1].shape
    # On "meta" no memory is taken and nothing is drawn at random for parameters that are replaced at once.
    linear = nn.Linear(in_features, out_features, bias=2 in weights, device="meta")
    linear.weight = nn.Parameter(weights[1])
    if 2 in weights:
        linear.bias = nn.Parameter(weights[2])
    return linear


LINEAR = Converter(("Linear", "LinearWithoutBias"), _module, parameters={"weight": 1, "bias": 2})
