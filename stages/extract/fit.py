"""How Keras' inputs are given to the user's module: in which order, in which layout, as which dtype."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..base import Port
from ..plan import Array, Move, apply_moves, inverse_moves
from ..torch_graph import as_tensor


@dataclass(frozen=True)
class Fit:
    """One way to give the inputs.

    Attributes:
        moves: Keras input name → moves from the Keras array to the argument, in the order of the arguments.
        layout: "channels_first" or "channels_last", for messages; "" where there is no difference.
    """

    moves: Mapping[str, tuple[Move, ...]]
    layout: str

    def tensors(self, inputs: Mapping[str, Array]) -> list[torch.Tensor]:
        return [as_tensor(apply_moves(moves, inputs[name])) for name, moves in self.moves.items()]


def fits(module: nn.Module, ports: Sequence[Port]) -> Iterator[Fit]:
    """The ways worth trying, likeliest first: channels first, then Keras' layout; arguments by name, then in order."""
    for order in _orders(module, ports):
        first = {port.name: inverse_moves(port.moves) for port in order}
        yield Fit(first, "channels_first" if any(first.values()) else "")
        if any(first.values()):
            yield Fit({port.name: () for port in order}, "channels_last")


def _orders(module: nn.Module, ports: Sequence[Port]) -> Iterator[tuple[Port, ...]]:
    names = list(inspect.signature(module.forward).parameters)
    by_name = {port.name: port for port in ports}
    seen = set()
    if len(ports) > 1 and set(by_name) <= set(names):
        named = tuple(by_name[name] for name in names if name in by_name)
        seen.add(tuple(port.name for port in named))
        yield named
    for order in itertools.islice(itertools.permutations(ports), 24):
        if tuple(port.name for port in order) not in seen:
            yield order
