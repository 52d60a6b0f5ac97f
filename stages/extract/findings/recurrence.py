"""A recurrent module of PyTorch's that cannot be the Keras layer whose weights it takes.

1. ``nn.GRU`` and ``nn.GRUCell`` for a GRU with ``reset_after=False``: theirs is the other one (the reset gate acts on
   the product with the state; torch/nn/modules/rnn.py, keras/src/layers/rnn/gru.py).

What such a module computes differs from the first step on; the departures that follow from it are told as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ...base import Finding
from .context import Context


def recurrences(context: Context) -> Iterable[Finding]:
    """An error for each such module."""
    modules = dict(context.found.module.named_modules())
    told: set[str] = set()
    for pair in context.alignment.pairs.values():
        place = pair.target.place
        if place in told or not isinstance(modules.get(place), (nn.GRU, nn.GRUCell)):
            continue
        cell = context.reference.layer_of(pair.reference)
        if getattr(context.layers.get(cell), "reset_after", True):
            continue
        told.add(place)
        kind = type(modules[place]).__name__
        yield Finding(
            severity="error",
            place=place,
            layer=cell.rpartition("/")[0] or cell,
            cause=f"nn.{kind} multiplies the state by its weights and then by the reset gate, Keras has "
            "reset_after=False: the other way round",
            fix="write the cell in forward: n = tanh(x_n + F.linear(r * h, weight_n)) for the new gate, with linear "
            f"layers in place of nn.{kind}, which has no option for it",
        )
