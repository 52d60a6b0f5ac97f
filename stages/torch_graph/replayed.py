"""A module whose calls depend on no value: its recorded graph is the module, on any input of these shapes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from .functional import make_functional, writes
from .graph import read_graph
from .nodes import module_paths
from .reading import AtOp, State, Watch, compute, ignore
from .recorder import Recording
from .session import Session


class ReplayedReading:
    """See ``Reading``. The shapes, the batch's included, are those it was recorded with."""

    how = "a recorded graph"

    def __init__(self, recording: Recording) -> None:
        self._graph, self._inputs, self._keys = recording.graph, recording.inputs, recording.keys
        self._constants = {**recording.constants, **self._as_constants(recording)}
        writable = {*recording.buffers, *self._constants}
        self._looks_back = make_functional(self._graph, writable)
        self._written = writable if any(map(writes, self._graph.nodes)) else ()
        self._raw: frozenset[str] = frozenset()
        self._read()

    def _as_constants(self, recording: Recording) -> dict[str, torch.Tensor]:
        """What is made of numbers outside torch is made of constants: no value of torch's has gone there."""
        made = {}
        for node in list(self._graph.nodes):
            if node.name in recording.fresh:
                with self._graph.inserting_before(next(iter(self._graph.nodes))):
                    constant = self._graph.placeholder("constant")
                constant.meta["val"] = node.meta["val"]
                node.args = (constant,)
                made[constant.name] = recording.fresh[node.name]
        return made

    def _read(self) -> None:
        self._parts = read_graph(self._graph, self._keys, set(self._constants), raw=self._raw)
        self.ops, self.places, self.glue = self._parts.ops, self._parts.places, self._parts.glue
        self.results = {
            path: node.name for node in self._graph.nodes if node.name in self.places for path in module_paths(node)
        }

    def take_as_glue(self, ops: Collection[str]) -> None:
        if not self._raw >= set(ops):
            self._raw |= set(ops)
            self._read()

    def start(self, inputs: Sequence[torch.Tensor], state: State) -> Session | None:
        return self._session(inputs, state) if self._looks_back else None

    def user_results(self, results: Sequence[Any]) -> list[torch.Tensor]:
        return list(results)

    def run(
        self, inputs: Sequence[torch.Tensor], state: State, at_op: AtOp = compute, watch: Watch = ignore
    ) -> list[torch.Tensor]:
        session = self._session(inputs, state)
        with torch.no_grad():
            session.run(at_op if self._looks_back else lambda call: at_op(call).clone(), watch)
        return self.user_results(session.results())

    def _session(self, inputs: Sequence[torch.Tensor], state: State) -> Session:
        values: dict[str, Any] = dict(zip(self._inputs, (value.clone() for value in inputs), strict=True))
        values |= self._constants
        values |= {name: state[key] for name, key in self._keys.items()}
        values |= {name: values[name].clone() for name in self._written}  # a forward may count in them
        return Session(self._graph, self._parts, values)
