"""Where the module's outputs, and the values of Keras' layers, stand in the user's module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from ..base import AlignedLayer, Boundary, Port
from ..plan import Move
from ..torch_graph import Reading
from .arrange import moves_between
from .fingerprint import fingerprint, matching


def place_outputs(
    ports: Sequence[Port], wanted: Sequence[torch.Tensor], given: Sequence[torch.Tensor]
) -> tuple[dict[str, tuple[int, tuple[Move, ...]]], list[str]]:
    """Keras output name → (position, moves to the Keras array), and the names of those found by position alone.

    Args:
        ports: the Keras outputs.
        wanted: the reference's outputs under the probe, in Keras layout.
        given: the module's outputs under the probe.
    """
    placed: dict[str, tuple[int, tuple[Move, ...]]] = {}
    for port, value in zip(ports, wanted, strict=True):
        for position in matching(fingerprint(value), [fingerprint(other) for other in given]):
            moves = moves_between(given[position], value)
            if moves is not None and position not in {taken for taken, _ in placed.values()}:
                placed[port.name] = (position, moves)
                break
    guessed = []
    for position, port in enumerate(ports):
        free = position < len(given) and position not in {taken for taken, _ in placed.values()}
        if port.name not in placed and free:
            placed[port.name] = (position, _likeliest_moves(given[position], port))
            guessed.append(port.name)
    return placed, guessed


def _likeliest_moves(given: torch.Tensor, port: Port) -> tuple[Move, ...]:
    """Where the values do not tell: the layout of the normalised graph, if it fits the shape; else as it is."""
    try:
        turned = port.to_keras(np.empty(tuple(given.shape), dtype=np.bool_))
    except ValueError:
        return ()
    fits = len(port.shape) == turned.ndim and all(a in (None, b) for a, b in zip(port.shape, turned.shape, strict=True))
    return port.moves if fits else ()


def place_layers(
    boundaries: Sequence[Boundary],
    wanted: Mapping[str, torch.Tensor],
    marks: Mapping[str, npt.NDArray[np.float64]],
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Boundary name → names of the target's values that hold the same elements; and why the others have none."""
    names, table = list(marks), list(marks.values())
    found: dict[str, list[str]] = {}
    unaligned: dict[str, str] = {}
    for boundary in boundaries:
        if boundary.name not in wanted:
            unaligned[boundary.name] = "its value is not in the imported graph"
            continue
        candidates = [names[i] for i in matching(fingerprint(wanted[boundary.name]), table)]
        if candidates:
            found[boundary.name] = candidates
        else:
            unaligned[boundary.name] = "the module computes no value that is this layer's"
    return found, unaligned


def aligned_layers(
    candidates: Mapping[str, Sequence[str]],
    wanted: Mapping[str, torch.Tensor],
    kept: Mapping[str, torch.Tensor],
    reading: Reading,
) -> tuple[list[AlignedLayer], dict[str, str]]:
    """The candidate of each boundary whose layout is understood; and why the others have none."""
    layers, unaligned = [], {}
    for boundary, names in candidates.items():
        for name in names:
            moves = moves_between(kept[name], wanted[boundary])
            if moves is not None:
                layers.append(AlignedLayer(boundary, reading.places[name], name, moves))
                break
        else:
            unaligned[boundary] = "the module holds this layer's elements in an order that no axis order explains"
    return layers, unaligned
