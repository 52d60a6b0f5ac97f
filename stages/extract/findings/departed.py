"""A value of the user's module that Keras has not, at the place where the two part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ...base import Finding
from ...torch_graph import Glue, chain
from ..pairs import Pair
from .blame import counterparts
from .context import Context
from .keras_words import torch_line


@dataclass(frozen=True)
class Departed:
    """What an explanation may look at.

    Attributes:
        context: the extraction.
        pair: the op that reads other values than Keras' layer.
        start: name of the value where the module parts from Keras; what the op reads, where no glue is to blame.
        glue: what makes that value out of values that Keras has; None where the op itself departs.
    """

    context: Context
    pair: Pair
    start: str
    glue: Glue | None

    @property
    def place(self) -> str:
        """Where the module departs, for people."""
        if self.glue is not None:
            return self.context.found.reading.places[self.start]
        return self.pair.target.place or self.pair.target.name

    @property
    def layer(self) -> str:
        """The Keras layer of the op."""
        return self.context.reference.layer_of(self.pair.reference)

    @property
    def theirs(self) -> dict[str, Glue]:
        """The reference's glue, by name."""
        return self.context.reference.reading.glue

    @cached_property
    def handed(self) -> set[str]:
        """The reference's values that the module still has in front of the departure."""
        names = self.glue.reads if self.glue is not None else (self.pair.target.reads,)
        return {name for read in names for name in counterparts(read, *self.context.marks(self.pair))}

    def between(self, reader: str) -> list[str]:
        """The reference's glue from what is handed to a value that Keras makes of it, nearest to the value first."""
        return chain(self.context.reference.reading, reader, self.handed) if self.handed else []

    def keras(self, layer: str, operators: Sequence[str]) -> str:
        """What a Keras layer computes: the line in PyTorch, else the operators of the graph in order."""
        return torch_line(self.context.layers.get(layer)) or " then ".join(operators)

    def finding(self, cause: str, fix: str, *, layer: str = "", place: str = "") -> Finding:
        """The error, told where it stands."""
        if self.pair.by_values:
            cause += " (they differ on large or negative values only)"
        return Finding("error", place or self.place, layer or self.layer, cause, fix)
