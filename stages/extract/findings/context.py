"""What a checker may look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...base import Port
from ...torch_graph import Reading
from ..align import Alignment
from ..reference import Reference
from ..search import Found


@dataclass(frozen=True)
class Context:
    """One extraction, as far as it has come.

    Attributes:
        found: the user's module, aligned.
        reference: the imported module.
        outputs: the Keras outputs' ports.
        guessed: names of the outputs that were found by position alone.
        unconfirmed: names of the target's ops that read what Keras' read on the first probe, and not on the second.
    """

    found: Found
    reference: Reference
    outputs: Sequence[Port]
    guessed: Sequence[str]
    unconfirmed: frozenset[str]

    @property
    def alignment(self) -> Alignment:
        return self.found.alignment


def glue_before(reading: Reading, name: str) -> list[str]:
    """Operator names on the way back from the value ``name`` to the nearest ops, nearest first, each value once."""
    found: list[str] = []
    waiting, seen = [name], set()
    while waiting:
        current = waiting.pop(0)
        if current in seen or current not in reading.glue:
            continue
        seen.add(current)
        operator, parents = reading.glue[current]
        found.append(operator)
        waiting += parents
    return found
