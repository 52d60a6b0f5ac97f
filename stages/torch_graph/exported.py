"""A module read by ``torch.export``: an ATen graph at layer grain with parameters as inputs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch.export.graph_signature import InputKind, OutputKind

from .functional import make_functional
from .graph import read_graph
from .nodes import module_paths
from .reading import AtOp, State, Watch, compute, ignore
from .session import Session


class ExportedReading:
    """See ``Reading``. The shapes, the batch's included, are those it was exported with."""

    how = "torch.export"

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self._graph = program.graph
        self._keys: dict[str, str] = {}
        self._constants: dict[str, torch.Tensor] = {}
        self._arguments: list[str] = []
        self._buffers: list[str] = []
        signature = program.graph_signature
        for spec in signature.input_specs:
            name = str(getattr(spec.arg, "name", ""))
            if spec.kind == InputKind.USER_INPUT:
                self._arguments.append(name)
            elif spec.kind == InputKind.PARAMETER or (spec.kind == InputKind.BUFFER and spec.persistent):
                self._keys[name] = str(spec.target)
                if spec.kind == InputKind.BUFFER:
                    self._buffers.append(name)
            else:
                self._constants[name] = program.constants[str(spec.target)]
        self._results = [
            position for position, spec in enumerate(signature.output_specs) if spec.kind == OutputKind.USER_OUTPUT
        ]
        self._looks_back = make_functional(self._graph, {*self._buffers, *self._constants})
        self._raw: frozenset[str] = frozenset()
        self._read()

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
        return [results[position] for position in self._results if isinstance(results[position], torch.Tensor)]

    def run(
        self, inputs: Sequence[torch.Tensor], state: State, at_op: AtOp = compute, watch: Watch = ignore
    ) -> list[torch.Tensor]:
        session = self._session(inputs, state)
        with torch.no_grad():
            session.run(at_op if self._looks_back else lambda call: at_op(call).clone(), watch)
        return self.user_results(session.results())

    def _session(self, inputs: Sequence[torch.Tensor], state: State) -> Session:
        values: dict[str, Any] = dict(zip(self._arguments, (value.clone() for value in inputs), strict=True))
        values |= self._constants
        values |= {name: state[key] for name, key in self._keys.items()}
        values |= {name: state[self._keys[name]].clone() for name in self._buffers}  # a forward may count in them
        return Session(self._graph, self._parts, values)
