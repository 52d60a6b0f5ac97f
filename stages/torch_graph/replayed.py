"""A module whose calls depend on no value: a graph is the module, on any input of these shapes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx

from .biases import move_biases
from .functional import make_functional, writes
from .graph_reading import GraphReading
from .reading import AtOp, State, Watch, compute, ignore
from .scales import scale_products
from .session import Session
from .weighted_sums import as_linear


@dataclass(frozen=True)
class AtenGraph:
    """A module as ATen calls at layer grain, with parameters as inputs.

    Attributes:
        how: it was made, for reports.
        graph: the calls.
        inputs: names of the placeholders of the module's inputs.
        keys: name of a placeholder → key of the state_dict.
        buffers: those of them that a forward may write into.
        constants: name of a placeholder of anything else → its value.
        results: positions of what the module gives, among what the graph gives; None for all.
    """

    how: str
    graph: fx.Graph
    inputs: Sequence[str]
    keys: Mapping[str, str]
    buffers: Collection[str]
    constants: Mapping[str, torch.Tensor]
    results: Sequence[int] | None = None


class ReplayedReading(GraphReading):
    """See ``Reading``. The shapes, the batch's included, are those it was made with."""

    def __init__(self, made: AtenGraph) -> None:
        self.how, self._made = made.how, made
        writable = {*made.buffers, *made.constants}
        self._written = writable if any(map(writes, made.graph.nodes)) else set()
        self.keeps_values = make_functional(made.graph, writable)
        as_linear(made.graph, made.keys)
        scale_products(made.graph, made.keys)
        move_biases(made.graph, made.keys)
        super().__init__(made.graph, made.keys, made.constants, merge=True)

    def start(self, inputs: Sequence[torch.Tensor], state: State) -> Session | None:
        return self._session(inputs, state) if self.keeps_values else None

    def user_results(self, results: Sequence[Any]) -> list[torch.Tensor]:
        taken = range(len(results)) if self._made.results is None else self._made.results
        return [results[position] for position in taken if isinstance(results[position], torch.Tensor)]

    def run(
        self, inputs: Sequence[torch.Tensor], state: State, at_op: AtOp = compute, watch: Watch = ignore
    ) -> list[torch.Tensor]:
        session = self._session(inputs, state)
        with torch.no_grad():
            session.run(at_op if self.keeps_values else lambda call: at_op(call).clone(), watch)
        return self.user_results(session.results())

    def _session(self, inputs: Sequence[torch.Tensor], state: State) -> Session:
        values: dict[str, Any] = dict(zip(self._made.inputs, (value.clone() for value in inputs), strict=True))
        values |= self._made.constants
        values |= {name: state[key] for name, key in self._made.keys.items()}
        values |= {name: values[name].clone() for name in self._written}  # a forward may count in them
        return Session(self._graph, self._parts, values)
