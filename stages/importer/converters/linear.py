"""Gemm, torchgraft.Linear and torchgraft.LinearWithoutBias → ``nn.Linear``.

1. The weight is kept as [out, in] already: ``nn.Linear`` keeps it so, too (torch/nn/modules/linear.py).
2. Without a bias: ``bias=False``.
3. A Gemm that scales, that transposes otherwise, or whose bias has two axes stays with onnx2torch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .base import Converter, Source


def _accepts(source: Source) -> bool:
    if source.operator == "Gemm" and (
        source.attributes.get("transA", 0)
        or not source.attributes.get("transB", 0)
        or source.attributes.get("alpha", 1.0) != 1.0
        or source.attributes.get("beta", 1.0) != 1.0
        or (source.has(2) and len(source.shape(2) or ()) != 1)
    ):
        return False
    return source.is_held(1, 2)


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    out_features, in_features = weights[1].shape
    # On "meta" no memory is taken and nothing is drawn at random for parameters that are replaced at once.
    linear = nn.Linear(in_features, out_features, bias=2 in weights, device="meta")
    linear.weight = nn.Parameter(weights[1])
    if 2 in weights:
        linear.bias = nn.Parameter(weights[2])
    return linear


LINEAR = Converter(
    ("Gemm", "Linear", "LinearWithoutBias"), _module, accepts=_accepts, parameters={"weight": 1, "bias": 2}
)
