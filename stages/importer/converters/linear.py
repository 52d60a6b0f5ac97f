"""Gemm, torchgraft.Linear and torchgraft.LinearWithoutBias → ``nn.Linear``.

1. The weight is kept as [out, in] already: ``nn.Linear`` keeps it so, too (torch/nn/modules/linear.py).
2. A Gemm without ``transB`` keeps it as [in, out]: it is transposed (parameters.py puts that into its Recipe).
3. Without a bias: ``bias=False``.
4. A Gemm that scales: the factors stay in ``forward``. onnx2torch would multiply the weights by them.
5. A Gemm whose first factor is transposed, or whose bias has two axes, stays with onnx2torch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .base import Converter, Source


class ScaledLinear(nn.Linear):
    """``alpha * x @ weight.T + beta * bias``."""

    alpha: float = 1.0
    beta: float = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        product = nn.functional.linear(x, self.weight) * self.alpha
        return product if self.bias is None else product + self.bias * self.beta

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, alpha={self.alpha}, beta={self.beta}"


def _accepts(source: Source) -> bool:
    if source.operator == "Gemm" and (
        source.attributes.get("transA", 0) or (source.has(2) and len(source.shape(2) or ()) != 1)
    ):
        return False
    return source.is_held(1, 2)


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    is_gemm = source.operator == "Gemm"
    weight = weights[1].T if is_gemm and not source.attributes.get("transB", 0) else weights[1]
    alpha, beta = source.attributes.get("alpha", 1.0), source.attributes.get("beta", 1.0)
    kind = nn.Linear if (alpha, beta) == (1.0, 1.0) else ScaledLinear
    # On "meta" no memory is taken and nothing is drawn at random for parameters that are replaced at once.
    linear = kind(weight.shape[1], weight.shape[0], bias=2 in weights, device="meta")
    linear.weight = nn.Parameter(weight)
    if 2 in weights:
        linear.bias = nn.Parameter(weights[2])
    if isinstance(linear, ScaledLinear):
        linear.alpha, linear.beta = alpha, beta
    return linear


LINEAR = Converter(
    ("Gemm", "Linear", "LinearWithoutBias"), _module, accepts=_accepts, parameters={"weight": 1, "bias": 2}
)
