"""Biases that the module has no place for, in front of a normalisation: its running mean takes them in.

``(W·x + b - mean)`` is ``(W·x - (mean - b))``. Keras' applications have a bias in front of many a BatchNormalization,
PyTorch modules have none. It is arithmetic, and the Plan marks it.

1. A linear operation or a convolution whose Keras layer has a bias and whose call in the module has none, and
2. whose output, on both sides, goes to one batch normalisation and nowhere else, by movement of elements alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..torch_graph import CONVOLUTIONS, MOVEMENTS, TRANSPOSED, Reading
from .pairs import Alignment, Pair

BIASED = ("linear", *CONVOLUTIONS, *TRANSPOSED)


@dataclass(frozen=True)
class Absorption:
    """A bias without a place, and the normalisation that takes it.

    Attributes:
        pair: the operation and its Keras counterpart.
        norm: the normalisation behind it, and its own.
        between: names of the module's values that lack the bias.
    """

    pair: Pair
    norm: Pair
    between: frozenset[str]


def absorptions(alignment: Alignment, module: Reading, reference: Reading) -> Iterator[Absorption]:
    """The biases that running means take in."""
    readers = [readers_of(reading) for reading in (module, reference)]
    for pair in alignment.pairs.values():
        if pair.target.kind not in BIASED or "bias" in pair.target.slots or "bias" not in pair.reference.slots:
            continue
        ours = _norm_behind(pair.target.name, module, readers[0])
        theirs = _norm_behind(pair.reference.name, reference, readers[1])
        if ours is None or theirs is None:
            continue
        norm = alignment.pairs.get(ours[-1])
        if norm is not None and norm.reference.name == theirs[-1]:
            yield Absorption(pair, norm, frozenset(ours[:-1]))


def readers_of(reading: Reading) -> dict[str, list[str]]:
    """Value → names of the values made from it."""
    found: dict[str, list[str]] = {}
    for name, glue in reading.glue.items():
        for read in dict.fromkeys(glue.reads):
            found.setdefault(read, []).append(name)
    for op in reading.ops.values():
        found.setdefault(op.reads, []).append(op.name)
    return found


def _norm_behind(name: str, reading: Reading, readers: dict[str, list[str]]) -> list[str] | None:
    """The values from ``name`` on to the batch normalisation that alone reads it; None where another op does."""
    found = [name]
    while len(readers.get(found[-1], [])) == 1:
        (reader,) = readers[found[-1]]
        found.append(reader)
        if reader in reading.ops:
            return found if reading.ops[reader].kind == "batch_norm" else None
        if reading.glue[reader].operator not in MOVEMENTS:
            return None
    return None
