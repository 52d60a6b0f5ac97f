"""A recurrent module of PyTorch's that cannot be the Keras layer whose weights it takes.

1. ``nn.GRU`` and ``nn.GRUCell`` for a GRU with ``reset_after=False``: theirs is the other one (the reset gate acts on
   the product with the state; torch/nn/modules/rnn.py, keras/src/layers/rnn/gru.py).
2. One whose activations are not Keras': ``nn.LSTM`` and ``nn.GRU`` have tanh and sigmoid and no option for others,
   ``nn.RNN`` has tanh or relu by its ``nonlinearity``; so have their cells.

What such a module computes differs from the first step on; the departures that follow from it are told as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from ...base import Finding
from .context import Context


def recurrences(context: Context) -> Iterable[Finding]:
    """An error for each such module."""
    modules = dict(context.found.module.named_modules())
    told: set[str] = set()
    for pair in context.alignment.pairs.values():
        place = pair.target.place
        module = modules.get(place)
        if place in told or not isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
            continue
        told.add(place)
        path = context.reference.layer_of(pair.reference)
        cell = context.layers.get(path)
        for cause, fix in (*_reset(module, cell), *_activations(module, cell)):
            yield Finding("error", place, path.rpartition("/")[0] or path, cause, fix)


def _reset(module: nn.Module, cell: Any) -> Iterable[tuple[str, str]]:
    kind = type(module).__name__
    if not isinstance(module, (nn.GRU, nn.GRUCell)) or getattr(cell, "reset_after", True):
        return
    cause = (
        f"nn.{kind} multiplies the state by its weights and then by the reset gate, Keras has "
        "reset_after=False: the other way round"
    )
    fix = (
        "write the cell in forward: n = tanh(x_n + F.linear(r * h, weight_n)) for the new gate, with linear "
        f"layers in place of nn.{kind}, which has no option for it"
    )
    yield cause, fix


def _activations(module: nn.Module, cell: Any) -> Iterable[tuple[str, str]]:
    kind, options = type(module).__name__, ("activation", "recurrent_activation")
    theirs = {option: getattr(getattr(cell, option, None), "__name__", "") for option in options}
    ours = {"activation": getattr(module, "nonlinearity", "tanh"), "recurrent_activation": "sigmoid"}
    wrong = {option: name for option, name in theirs.items() if name and name != ours[option]}
    if not wrong:
        return
    if isinstance(module, (nn.RNN, nn.RNNCell)) and wrong["activation"] in ("tanh", "relu"):
        fix = f"pass nonlinearity={wrong['activation']!r}"
    else:
        fix = f"write the cell in forward, with these activations and linear layers, in place of nn.{kind}"
    stated = " and ".join(f"{option}={name!r}" for option, name in wrong.items())
    yield f"nn.{kind} computes {' and '.join(ours[option] for option in wrong)} there, Keras has {stated}", fix
