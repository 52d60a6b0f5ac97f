"""PyTorch's recurrent layers and cells spelled out: per layer, direction and step two linear operations, and glue.

``nn.LSTM``, ``nn.GRU``, ``nn.RNN`` and their cells end in fused functions over many parameters. While a module is read
each is computed by what it stands for (the formulas of torch/nn/modules/rnn.py), under the user's own parameters:

    linear(x_t, weight_ih, bias_ih) and linear(h, weight_hh, bias_hh), added gate by gate

which is also what a cell written by hand computes, and what a Keras cell does. Both are called once a step, not once
for all steps: the steps of a hand-written loop, and of any cell but these, depend on each other.

A packed sequence is spelled out on the padded one that it was packed from (packed.py): where a sample has ended its
states stay as they are, as under a mask of Keras'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode

from . import einsum, packed
from .packed import BatchSizes

_FUNCTIONS = torch._C._VariableFunctions  # noqa: SLF001 - torch._VF, where torch.nn.modules.rnn ends

Tensors: TypeAlias = Sequence[torch.Tensor]
#: (products of the input, products of the state, states) → states after the step; the output is the first.
Gates: TypeAlias = Callable[[torch.Tensor, torch.Tensor, Tensors], tuple[torch.Tensor, ...]]


def _lstm_gates(x: torch.Tensor, h: torch.Tensor, states: Tensors) -> tuple[torch.Tensor, ...]:
    entering, forgetting, candidate, leaving = (x + h).chunk(4, -1)
    carry = forgetting.sigmoid() * states[1] + entering.sigmoid() * candidate.tanh()
    return leaving.sigmoid() * carry.tanh(), carry


def _gru_gates(x: torch.Tensor, h: torch.Tensor, states: Tensors) -> tuple[torch.Tensor, ...]:
    (x_reset, x_update, x_new), (h_reset, h_update, h_new) = x.chunk(3, -1), h.chunk(3, -1)
    reset, update = (x_reset + h_reset).sigmoid(), (x_update + h_update).sigmoid()
    new = (x_new + reset * h_new).tanh()
    return ((1 - update) * new + update * states[0],)


def _tanh_gates(x: torch.Tensor, h: torch.Tensor, _: Tensors) -> tuple[torch.Tensor, ...]:
    return ((x + h).tanh(),)


def _relu_gates(x: torch.Tensor, h: torch.Tensor, _: Tensors) -> tuple[torch.Tensor, ...]:
    return ((x + h).relu(),)


def _step(gates: Gates, x: torch.Tensor, states: Tensors, weights: Tensors, biased: bool) -> tuple[torch.Tensor, ...]:
    """``weights``: weight_ih, weight_hh, then bias_ih and bias_hh where ``biased``, then weight_hr where projected."""
    bias_ih, bias_hh = weights[2:4] if biased else (None, None)
    made = gates(linear(x, weights[0], bias_ih), linear(states[0], weights[1], bias_hh), states)
    projection = weights[4 if biased else 2 :]
    return (linear(made[0], projection[0]), *made[1:]) if projection else made


def _layers(
    gates: Gates,
    x: torch.Tensor,
    states: Tensors,
    weights: Tensors,
    *,
    biased: bool,
    layers: int,
    ways: int,
    axis: int,
    lengths: torch.Tensor | None = None,
) -> tuple[torch.Tensor, ...]:
    """(outputs, final states …): x (N, T, F), each state (layers · ways, N, H) → (N, T, ways · H), states.

    The time is ``axis`` 1, or axis 0 of (T, N, F). Of a sample's steps only the first ``lengths`` count.
    """
    each = len(weights) // (layers * ways)
    finals: list[tuple[torch.Tensor, ...]] = []
    for layer in range(layers):
        sides = []
        for way in range(ways):
            place = layer * ways + way
            own = weights[place * each : (place + 1) * each]
            current = tuple(state[place] for state in states)
            outputs = []
            for time in range(x.shape[axis])[:: -1 if way else 1]:
                after = _step(gates, x.select(axis, time), current, own, biased)
                if lengths is not None:
                    lasts = (lengths > time).unsqueeze(-1)
                    after = tuple(torch.where(lasts, new, old) for new, old in zip(after, current, strict=True))
                current = after
                outputs.append(current[0])
            run = torch.stack(outputs, axis)
            sides.append(run.flip(axis) if way else run)
            finals.append(current)
        x = torch.cat(sides, -1) if ways > 1 else sides[0]
    return (x, *(torch.stack(column) for column in zip(*finals, strict=True)))


def _sequence(gates: Gates) -> Callable[..., Any]:
    def spelled(  # noqa: PLR0917 - the arguments of the fused function
        x: torch.Tensor,
        states: torch.Tensor | Tensors,
        weights: Tensors,
        biased: bool,
        layers: int,
        dropout: float,  # noqa: ARG001 - modules are read in eval mode
        train: bool,  # noqa: ARG001
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[torch.Tensor, ...]:
        given = [states] if isinstance(states, torch.Tensor) else states
        ways, axis = (2 if bidirectional else 1), int(batch_first)
        return _layers(gates, x, given, weights, biased=biased, layers=layers, ways=ways, axis=axis)

    return spelled


def _packed_sequence(gates: Gates) -> Callable[..., Any]:
    def spelled(  # noqa: PLR0917 - the arguments of the fused function
        data: torch.Tensor,
        sizes: BatchSizes,
        states: torch.Tensor | Tensors,
        weights: Tensors,
        biased: bool,
        layers: int,
        dropout: float,  # noqa: ARG001 - modules are read in eval mode
        train: bool,  # noqa: ARG001
        bidirectional: bool,
    ) -> tuple[torch.Tensor, ...]:
        padding = sizes.padding
        given = [states] if isinstance(states, torch.Tensor) else states
        outputs, *finals = _layers(
            gates,
            padding.sequence(data),
            [padding.unsorted(state, 1) for state in given],
            weights,
            biased=biased,
            layers=layers,
            ways=2 if bidirectional else 1,
            axis=int(padding.batch_first),
            lengths=padding.lengths,
        )
        return (outputs.flatten(0, 1), *(padding.sorted(state, 1) for state in finals))

    return spelled


def _cell(gates: Gates) -> Callable[..., Any]:
    def spelled(
        x: torch.Tensor, states: torch.Tensor | Tensors, *weights: torch.Tensor | None
    ) -> torch.Tensor | tuple[torch.Tensor, ...]:
        given = [states] if isinstance(states, torch.Tensor) else states
        held = [weight for weight in weights if weight is not None]
        made = _step(gates, x, given, held, len(held) == 4)
        return made[0] if isinstance(states, torch.Tensor) else made

    return spelled


_GATES: Mapping[str, Gates] = {"lstm": _lstm_gates, "gru": _gru_gates, "rnn_tanh": _tanh_gates, "rnn_relu": _relu_gates}
_WRITTEN: Mapping[str, Callable[..., Any]] = {
    **{name: _sequence(gates) for name, gates in _GATES.items()},
    **{f"{name}_cell": _cell(gates) for name, gates in _GATES.items()},
}
#: What torch.nn.modules.rnn calls at the end → how it is computed here; what packs a sequence; products by einsum.
SPELLED: Mapping[Any, Callable[..., Any]] = {
    **{getattr(_FUNCTIONS, name): written for name, written in _WRITTEN.items()},
    _FUNCTIONS._pack_padded_sequence: packed.pack,  # noqa: SLF001
    _FUNCTIONS._pad_packed_sequence: packed.pad,  # noqa: SLF001
    torch.Tensor.index_select: packed.select,
    torch.index_select: packed.select,
    torch.functional.einsum: einsum.spelled,
}
#: The same functions on packed sequences, which are told by their second argument.
PACKED = {getattr(_FUNCTIONS, name): _packed_sequence(gates) for name, gates in _GATES.items()}


class SpelledOut(TorchFunctionMode):
    """While it is entered, the fused functions are computed as above."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        spelled = SPELLED.get(func)
        if func in PACKED and isinstance(args[1], torch.Tensor) and not args[1].is_floating_point():
            spelled = PACKED[func] if isinstance(args[1], BatchSizes) else None
        return (spelled or func)(*args, **(kwargs or {}))
