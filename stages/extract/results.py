"""Where the values of Keras' layers stand in the user's module.

A place is one only where it holds the layer's values under both probes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..base import AlignedLayer, Boundary, Port
from ..plan import Array, Move, apply_moves
from ..torch_graph import Reading
from .arrange import close, moves_between
from .fingerprint import MarkIndex, fingerprint


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
        if moves is None or not close(torch.from_numpy(np.array(apply_moves(moves, self.wide.numpy()))), wanted.wide):
            return None
        return moves


def as_keras(port: Port, narrow: torch.Tensor, wide: torch.Tensor) -> Twice:
    """A value of the reference in Keras layout."""

    def laid(value: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(port.to_keras(value)))

    return Twice(laid(narrow.numpy()), laid(wide.numpy()))


def layer_candidates(
    wanted: Mapping[str, torch.Tensor], marks: Mapping[str, npt.NDArray[np.float64]]
) -> dict[str, list[str]]:
    """Boundary name → names of the module's values that hold the same elements under the first probe."""
    names, index = list(marks), MarkIndex(list(marks.values()))
    return {boundary: [names[i] for i in index.matching(fingerprint(value))] for boundary, value in wanted.items()}


def place_layers(
    boundaries: Sequence[Boundary],
    wanted: Mapping[str, Twice],
    candidates: Mapping[str, Sequence[str]],
    kept: Mapping[str, Twice],
    *,
    reading: Reading,
    biasless: Mapping[str, str],
) -> tuple[tuple[AlignedLayer, ...], dict[str, str]]:
    """The boundaries that have a place in the user's module; and why the others have none.

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
            moves = kept[node].moves_to(wanted[name])
            if moves is not None:
                layers.append(AlignedLayer(name, reading.places[node], node, moves))
                break
        else:
            unaligned[name] = "the module computes no value that is this layer's"
    return tuple(layers), unaligned
