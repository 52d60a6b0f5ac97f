"""Where the values of Keras' layers stand in the user's module.

A place is one only where it holds the layer's values under both probes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..base import AlignedLayer, Boundary, Port
from ..plan import Array, Move, apply_moves
from ..torch_graph import Reading
from .arrange import close, moves_between
from .fingerprint import MarkIndex, Marks


@dataclass(frozen=True)
class Twice:
    """One value under the first and under the second probe."""

    narrow: torch.Tensor
    wide: torch.Tensor

    def moves_to(self, wanted: Twice) -> tuple[Move, ...] | None:
        """The moves that make ``wanted`` from this on both; None where none do, or a Cast stands between."""
        if (self.narrow.dtype == torch.bool) != (wanted.narrow.dtype == torch.bool):
            return None
        moves = moves_between(self.narrow, wanted.narrow)
        if moves is None or not close(_moved(moves, self.wide), wanted.wide):
            return None
        return moves


def _moved(moves: Sequence[Move], value: torch.Tensor) -> torch.Tensor:
    """A view where it can be: torch takes no negative strides."""
    moved = apply_moves(moves, value.numpy())
    return torch.from_numpy(moved if min(moved.strides, default=0) >= 0 else moved.copy())


#: So many numbers are not equal by chance, in another order or made by another function.
MANY = 4096


def tells_alone(value: torch.Tensor) -> bool:
    """Whether one probe tells a value, of which the fingerprint under the other agrees."""
    return value.numel() >= MANY and math.isfinite(float(value.sum()))


def as_keras(port: Port, narrow: torch.Tensor, wide: torch.Tensor) -> Twice:
    """A value of the reference in Keras layout."""

    def laid(value: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(port.to_keras(value)))

    return Twice(laid(narrow.numpy()), laid(wide.numpy()))


def layer_candidates(
    wanted: Mapping[str, str], reference: Reading, theirs: Marks, reading: Reading, ours: Marks
) -> dict[str, list[str]]:
    """Boundary name → names of the module's values that hold the same elements under the first probe.

    ``wanted`` names the reference's. What the same operator makes comes first: where a few numbers are all positive, a
    ReLU gives what it reads.
    """
    names, index = list(ours), MarkIndex(list(ours.values()))
    found = {boundary: [names[i] for i in index.matching(theirs[name])] for boundary, name in wanted.items()}
    for boundary, name in wanted.items():
        operator = operator_at(reference, name)
        found[boundary].sort(key=lambda each: operator_at(reading, each) != operator)
    return found


def operator_at(reading: Reading, name: str) -> str:
    """What makes a value: an op's kind, or an operator of glue; "" for an input."""
    op, glue = reading.ops.get(name), reading.glue.get(name)
    return op.kind if op else glue.operator if glue else ""


def place_layers(
    boundaries: Sequence[Boundary],
    wanted: Mapping[str, Twice],
    candidates: Mapping[str, Sequence[str]],
    wide: Mapping[str, torch.Tensor],
    narrow: Mapping[str, torch.Tensor],
    *,
    reading: Reading,
    biasless: Mapping[str, str],
) -> tuple[tuple[AlignedLayer, ...], dict[str, str]]:
    """The boundaries that have a place in the user's module; and why the others have none.

    ``wide`` and ``narrow`` are the module's values under the probes, under the first one those that the second does not
    tell alone.
    ``biasless`` are the values of the module that lack a bias of Keras, with the normalisation that takes it in.
    """
    layers: list[AlignedLayer] = []
    unaligned: dict[str, str] = {}
    for boundary in boundaries:
        name = boundary.name
        if name not in wanted:
            unaligned[name] = "its value is not in the imported graph"
            continue
        if lacking := set(candidates[name]) & set(biasless):
            unaligned[name] = f"the module computes it without the bias, which {biasless[lacking.pop()]} takes in"
            continue
        for node in candidates[name]:
            value = wanted[name]
            if node in narrow:
                moves = Twice(narrow[node], wide[node]).moves_to(value)
            else:
                moves = moves_between(wide[node], value.wide)
            if moves is not None:
                layers.append(AlignedLayer(name, reading.places[node], node, moves))
                break
        else:
            unaligned[name] = "the module computes no value that is this layer's"
    return tuple(layers), unaligned
