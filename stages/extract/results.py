"""Where the module's outputs, and the values of Keras' layers, stand in the user's module.

A place is one only where it holds the layer's values under both probes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ..base import AlignedLayer, Boundary, Port
from ..plan import Array, Move, Reshape, apply_moves
from ..torch_graph import Reading
from .arrange import close, moves_between
from .fingerprint import fingerprint, matching


@dataclass(frozen=True)
class Twice:
    """One value under the first and under the second probe."""

    narrow: torch.Tensor
    wide: torch.Tensor

    def moves_to(self, wanted: Twice) -> tuple[Move, ...] | None:
        """The moves that make ``wanted`` from this on both; None where none do."""
        moves = moves_between(self.narrow, wanted.narrow)
        if moves is None or not close(torch.from_numpy(np.array(apply_moves(moves, self.wide.numpy()))), wanted.wide):
            return None
        return moves


def as_keras(port: Port, narrow: torch.Tensor, wide: torch.Tensor) -> Twice:
    """A value of the reference in Keras layout."""

    def laid(value: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(port.to_keras(value)))

    return Twice(laid(narrow.numpy()), laid(wide.numpy()))


def place_outputs(
    ports: Sequence[Port], wanted: Sequence[Twice], given: Sequence[Twice], expected: Sequence[int]
) -> tuple[dict[str, tuple[int, tuple[Move, ...]]], list[str]]:
    """Keras output name → (position, moves to the Keras array), and the names of those found by position alone.

    An output is looked for at its expected place first. Its layout is Keras', or that of the normalised graph, axes of
    length 1 aside: any other order would hide a fault (classes in another order, H and W exchanged).

    Args:
        ports: the Keras outputs.
        wanted: the reference's outputs, in Keras layout.
        given: the module's outputs.
        expected: the place of each Keras output among the module's.
    """
    placed: dict[str, tuple[int, tuple[Move, ...]]] = {}
    for port, value, place in zip(ports, wanted, expected, strict=True):
        others = [position for position in range(len(given)) if position != place]
        for position in ([place] if place < len(given) else []) + others:
            moves = (
                None
                if position in {taken for taken, _ in placed.values()}
                else _output_moves(given[position], value, port)
            )
            if moves is not None:
                placed[port.name] = (position, moves)
                break
    guessed = []
    for position, port in zip(expected, ports, strict=True):
        free = position < len(given) and position not in {taken for taken, _ in placed.values()}
        if port.name not in placed and free:
            placed[port.name] = (position, _likeliest_moves(given[position].narrow, port))
            guessed.append(port.name)
    return placed, guessed


def _output_moves(given: Twice, wanted: Twice, port: Port) -> tuple[Move, ...] | None:
    """The moves of an allowed layout that make ``wanted`` from ``given`` under both probes; None where none does."""
    shape = tuple(wanted.narrow.shape)
    for layout in ((), port.moves):
        try:
            narrow, wide = (
                torch.from_numpy(np.array(apply_moves(layout, v.numpy()))) for v in (given.narrow, given.wide)
            )
        except ValueError:
            continue
        if [size for size in narrow.shape if size != 1] != [size for size in shape if size != 1]:
            continue
        if close(narrow.reshape(shape), wanted.narrow) and close(wide.reshape(shape), wanted.wide):
            return layout if tuple(narrow.shape) == shape else (*layout, Reshape(tuple(narrow.shape), shape))
    return None


def _likeliest_moves(given: torch.Tensor, port: Port) -> tuple[Move, ...]:
    """Where the values do not tell: the layout of the normalised graph, if it fits the shape; else as it is."""
    try:
        turned = port.to_keras(np.empty(tuple(given.shape), dtype=np.bool_))
    except ValueError:
        return ()
    fits = len(port.shape) == turned.ndim and all(a in (None, b) for a, b in zip(port.shape, turned.shape, strict=True))
    return port.moves if fits else ()


def layer_candidates(
    wanted: Mapping[str, torch.Tensor], marks: Mapping[str, npt.NDArray[np.float64]]
) -> dict[str, list[str]]:
    """Boundary name → names of the module's values that hold the same elements under the first probe."""
    names, table = list(marks), list(marks.values())
    return {boundary: [names[i] for i in matching(fingerprint(value), table)] for boundary, value in wanted.items()}


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
