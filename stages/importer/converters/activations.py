"""The local functions of activations → the like-named modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from .base import Converter, Source

MODULES: Mapping[str, Callable[[], nn.Module]] = {
    "Gelu": nn.GELU,
    "GeluTanh": lambda: nn.GELU("tanh"),
    "HardSwish": nn.Hardswish,
    "KerasHardSigmoid": nn.Hardsigmoid,
    "Silu": nn.SiLU,
}


def _module(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    return MODULES[source.operator]()


ACTIVATIONS = Converter(tuple(MODULES), _module)
