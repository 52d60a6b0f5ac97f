"""What a checker may look at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...base import Port
from ...plan import Array
from ..confirm import Confirmation
from ..fingerprint import Marks
from ..guesses import Guess
from ..outputs import Placed
from ..pairs import Alignment, Pair
from ..preprocessing import Front, before_and_after
from ..reference import Reference
from ..search import Found


@dataclass(frozen=True)
class Context:
    """One extraction, as far as it has come.

    Attributes:
        found: the user's module, aligned.
        reference: the imported module.
        outputs: the Keras outputs' ports.
        placed: what the module gives for each of them.
        second: what the second probe showed.
        kept: keys that keep the module's own value.
        guesses: choices that nothing has decided.
        layers: path → layer of the Keras model, as far as it is there to be asked.
        stated_ends: Keras layers whose value the module gives in place of an output, as the config states.
    """

    found: Found
    reference: Reference
    outputs: Sequence[Port]
    placed: Placed
    second: Confirmation
    kept: frozenset[str]
    guesses: Sequence[Guess] = ()
    layers: Mapping[str, Any] = field(default_factory=dict)
    stated_ends: frozenset[str] = frozenset()

    @property
    def alignment(self) -> Alignment:
        return self.found.alignment

    def before_and_after(self, front: Front) -> tuple[Array, Array]:
        """The Keras input and what Keras makes of it, on numbers that do not stand in for anything."""
        return before_and_after(self.reference, front)

    def marks(self, pair: Pair) -> tuple[Marks, Marks]:
        """The fingerprints of all values of the module and of the reference, on the probe where ``pair`` departs."""
        if pair.by_values:
            return self.second.marks, self.second.probe.marks
        return self.alignment.marks, self.found.probe.marks

    def layer_after(self, values: Iterable[str]) -> str:
        """The first Keras layer whose value is made from one of these values of the reference, or is one of them."""
        glue = self.reference.reading.glue
        waiting, seen = list(values), set()
        while waiting:
            current = waiting.pop(0)
            if current in seen:
                continue
            seen.add(current)
            if layer := self.layer_at(current):
                return layer
            waiting += [name for name, other in glue.items() if current in other.reads]
        return ""

    def layer_at(self, value: str) -> str:
        """The Keras layer that gives a value of the reference; "" where it is none's."""
        boundary = next((name for name, place in self.reference.places.items() if place == value), "")
        return boundary.partition("#")[0].partition(":")[0]
