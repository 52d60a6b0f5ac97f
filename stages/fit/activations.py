"""The functions that one side may end in and the other may not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

Activation = Callable[[torch.Tensor], torch.Tensor]


def softmax(x: torch.Tensor) -> torch.Tensor:
    """Over the last axis, as Keras' default is."""
    return torch.softmax(x, -1)


def log_softmax(x: torch.Tensor) -> torch.Tensor:
    """Over the last axis."""
    return torch.log_softmax(x, -1)


#: What loses nothing that a prediction needs: either side may end in it. (keras/src/activations/activations.py)
ORDER_KEEPING: Mapping[str, Activation] = {
    "softmax": softmax,
    "sigmoid": torch.sigmoid,
    "log_softmax": log_softmax,
    "tanh": torch.tanh,
    "log_sigmoid": functional.logsigmoid,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "exponential": torch.exp,
}

#: All of them; those that cut values off may be missing at the end of the module, which then gives more than Keras.
ACTIVATIONS: Mapping[str, Activation] = {
    **ORDER_KEEPING,
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
