"""The functions that one side may end in and the other may not (keras/src/activations/activations.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from .names import LINEAR


def softmax(x: torch.Tensor) -> torch.Tensor:
    """Over the last axis, as Keras' default is."""
    return torch.softmax(x, -1)


def log_softmax(x: torch.Tensor) -> torch.Tensor:
    """Over the last axis."""
    return torch.log_softmax(x, -1)


ACTIVATIONS: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "softmax": softmax,
    "sigmoid": torch.sigmoid,
    "log_softmax": log_softmax,
    "tanh": torch.tanh,
    "log_sigmoid": functional.logsigmoid,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "exponential": torch.exp,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "hard_sigmoid": functional.hardsigmoid,
    "hard_silu": functional.hardswish,
    "elu": functional.elu,
    "selu": functional.selu,
    "silu": functional.silu,
    "gelu": functional.gelu,
    "mish": functional.mish,
}


def activated(name: str | None, value: torch.Tensor) -> torch.Tensor:
    """The activation applied to ``value``; None and "linear" are none."""
    return ACTIVATIONS[name](value) if name and name != LINEAR else value
