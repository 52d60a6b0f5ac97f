"""A recurrent module of PyTorch's that cannot be the Keras layer whose weights it takes.

1. ``nn.GRU`` and ``nn.GRUCell`` for a GRU with ``reset_after=False``: theirs is the other one (the reset gate acts on
   the product with the state; torch/nn/modules/rnn.py, keras/src/layers/rnn/gru.py).
2. One whose activations are not Keras': ``nn.LSTM`` and ``nn.GRU`` have tanh and sigmoid and no option for others,
   ``nn.RNN`` has tanh or relu by its ``nonlinearity``; so have their cells.

What such a module computes differs from the first step on; the departures that follow from it are told as well.

3. ``last_step``, of a departure: the last step of a bidirectional layer's output is taken, which is the first that its
   backward direction has seen; Keras gives the last state of either direction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from ...base import Finding
from .context import Context
from .departed import Departed


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


def last_step(departed: Departed) -> Finding | None:
    """Case 3."""
    place = departed.place.partition(" (")[0]
    module = dict(departed.context.found.module.named_modules()).get(place)
    if departed.glue is None or departed.glue.operator != "stack" or not getattr(module, "bidirectional", False):
        return None
    rivals = [name for name, other in departed.theirs.items() if departed.handed & set(other.reads)]
    path = (departed.context.layer_after(rivals) or departed.layer).partition("/")[0]
    layer: Any = departed.context.layers.get(path)
    if not hasattr(layer, "backward_layer") or layer.return_sequences:
        return None
    cause = f"Keras gives the last state of either direction of {path}; what the module takes of {place} is not that"
    fix = "take h_n (torch.cat([h_n[-2], h_n[-1]], -1)): the last step of the output is the backward direction's first"
    return departed.finding(cause, fix, layer=path)
