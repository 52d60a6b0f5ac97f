"""Operators that onnx2torch does not know at opset 17, and CumSum along a known axis → the like-named function.

ReduceMax and ReduceMin → amax and amin over their axes: onnx2torch's own take ``max(dim)`` axis by axis, whose second
result, the places, is then a value of the module, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from .base import Converter, Source


class Function(nn.Module):
    """A torch function as a module."""

    def __init__(self, name: str, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.name = name
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.function(*inputs)

    def extra_repr(self) -> str:
        return self.name


UNARY: Mapping[str, Callable[..., torch.Tensor]] = {
    "Acosh": torch.acosh,
    "Asinh": torch.asinh,
    "Atanh": torch.atanh,
    "Cosh": torch.cosh,
    "Sinh": torch.sinh,
}
BINARY: Mapping[str, Callable[..., torch.Tensor]] = {
    "GreaterOrEqual": torch.ge,
    "LessOrEqual": torch.le,
}


def _function(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    return Function(source.operator, UNARY.get(source.operator) or BINARY[source.operator])


def _thresholded(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    return nn.Threshold(source.attributes.get("alpha", 1.0), 0.0)


def _hardmax(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    axis = source.attributes.get("axis", -1)

    def hardmax(x: torch.Tensor) -> torch.Tensor:
        return functional.one_hot(x.argmax(axis), x.shape[axis]).movedim(-1, axis).to(x.dtype)

    return Function(source.operator, hardmax)


def _cumsum(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    (axis,) = source.integers(1) or [0]
    return Function(source.operator, partial(torch.cumsum, dim=axis))


def _extreme(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    function = torch.amax if source.operator == "ReduceMax" else torch.amin
    keep = bool(source.attributes.get("keepdims", 1))
    return Function(source.operator, partial(function, dim=tuple(source.attributes["axes"]), keepdim=keep))


def _for_each(x: torch.Tensor, one: torch.Tensor) -> torch.Tensor:
    """``one`` (1, …) as often as ``x`` has samples, made from ``x``: a value that depends on no input is a constant."""
    return x.new_zeros((x.shape[0], *one.shape[1:]), dtype=one.dtype) + one


FOR_EACH = Converter(("ForEach",), lambda source, weights: Function(source.operator, _for_each), data=(0, 1))
FUNCTIONS = Converter(tuple(UNARY), _function)
COMPARISONS = Converter(tuple(BINARY), _function, data=(0, 1))
THRESHOLDED_RELU = Converter(("ThresholdedRelu",), _thresholded)
CUMSUM = Converter(
    ("CumSum",),
    _cumsum,
    accepts=lambda source: (
        source.is_constant(1) and not any(source.attributes.get(name) for name in ("exclusive", "reverse"))
    ),
)
EXTREMES = Converter(("ReduceMax", "ReduceMin"), _extreme, accepts=lambda source: bool(source.attributes.get("axes")))
HARDMAX = Converter(("Hardmax",), _hardmax)
