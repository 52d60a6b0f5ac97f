"""A module read by ``torch.export``: an ATen graph at layer grain with parameters as inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import fx
from torch.export.graph_signature import InputKind, OutputKind

from .aten import Call, arguments_of, op_of, operator_name, settings_of, shape_of, slot_of
from .op import Op
from .reading import AtOp, Glue, OpCall, State, Watch, compute, ignore


class ExportedReading:
    """See ``Reading``. The shapes, the batch's included, are those it was exported with."""

    how = "torch.export"

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self._graph = program.graph_module
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
        self.ops, self.places, self.glue = read_graph(program.graph, self._keys, set(self._constants))
        self.results = {
            path: node.name for node in program.graph.nodes if node.name in self.places for path in _module_paths(node)
        }

    def run(
        self, inputs: Sequence[torch.Tensor], state: State, at_op: AtOp = compute, watch: Watch = ignore
    ) -> list[torch.Tensor]:
        values: dict[str, Any] = dict(zip(self._arguments, (value.clone() for value in inputs), strict=True))
        values |= self._constants
        values |= {name: state[key] for name, key in self._keys.items()}
        values |= {name: state[self._keys[name]].clone() for name in self._buffers}  # a forward may count in them
        interpreter = _Interpreter(self._graph, self.ops, self.places, at_op, watch)
        placeholders = [node.name for node in self._graph.graph.nodes if node.op == "placeholder"]
        with torch.no_grad():
            results = interpreter.run(*(values[name] for name in placeholders))
        return [results[position] for position in self._results if isinstance(results[position], torch.Tensor)]


class _Interpreter(fx.Interpreter):
    def __init__(
        self, graph: fx.GraphModule, ops: Mapping[str, Op], places: Mapping[str, str], at_op: AtOp, watch: Watch
    ) -> None:
        super().__init__(graph)
        self._ops, self._places, self._at_op, self._watch = ops, places, at_op, watch

    def run_node(self, n: fx.Node) -> Any:
        result = self._at_op(self._call(n)).clone() if n.name in self._ops else super().run_node(n)
        if n.name in self._places and isinstance(result, torch.Tensor):
            self._watch(n.name, result)
        return result

    def _call(self, n: fx.Node) -> OpCall:
        op = self._ops[n.name]
        activation = next(parent for parent in n.all_input_nodes if parent.name == op.reads)
        return OpCall(op, self.env[activation], shape_of(n), lambda: super(_Interpreter, self).run_node(n))


def read_graph(
    graph: fx.Graph, keys: Mapping[str, str], constants: set[str]
) -> tuple[dict[str, Op], dict[str, str], dict[str, Glue]]:
    """The ops, the places of all activations, and the glue of a graph of ATen calls.

    Args:
        graph: placeholders, and calls with their shapes in ``meta["val"]`` and their modules in ``nn_module_stack``.
        keys: name of a placeholder → key of the state_dict.
        constants: names of placeholders that hold neither an input nor something of the state_dict.
    """
    ops: dict[str, Op] = {}
    places: dict[str, str] = {}
    glue: dict[str, Glue] = {}
    sources: dict[str, frozenset[str]] = {}
    weights: set[str] = set(keys)
    for node in graph.nodes:
        parents = node.all_input_nodes
        if node.op == "placeholder":
            if node.name not in keys and node.name not in constants:
                places[node.name], sources[node.name] = f"input {node.name}", frozenset({node.name})
            continue
        if node.op != "call_function":
            continue
        active = [parent for parent in parents if parent.name in places]
        held = [parent for parent in parents if parent.name in weights]
        if not active:
            if held:
                weights.add(node.name)
            elif parents:
                constants.add(node.name)
            else:
                places[node.name], sources[node.name] = _place(node), frozenset()
            continue
        places[node.name] = _place(node)
        before = frozenset().union(*(sources[parent.name] for parent in active))
        call = _call_of(node, keys, weights) if held else None
        if call is not None:
            ops[node.name] = op_of(call, _module_path(node), active[0].name, before)
            sources[node.name] = frozenset({node.name})
        else:
            reads = tuple(parent.name for parent in active)
            glue[node.name] = Glue(operator_name(node), reads, settings_of(arguments_of(node)))
            sources[node.name] = before
    return ops, places, glue


def _call_of(node: fx.Node, keys: Mapping[str, str], weights: set[str]) -> Call | None:
    """The node as a Call; None where a parameter comes in without a slot of its own (several in one expression)."""
    arguments = arguments_of(node)
    slots = {}
    for name, value in arguments.items():
        if isinstance(value, fx.Node) and value.name in weights:
            slot = slot_of(value, keys)
            if slot is None:
                return None
            slots[name] = slot
    if not slots:
        return None
    return Call(node, operator_name(node), arguments, slots)


def _module_paths(node: fx.Node) -> list[str]:
    """The modules whose call made the node, outermost first."""
    return [str(path).removeprefix("L['self'].") for path, _ in (node.meta.get("nn_module_stack") or {}).values()]


def _module_path(node: fx.Node) -> str:
    return (_module_paths(node) or [""])[-1]


def _place(node: fx.Node) -> str:
    path = _module_path(node)
    return f"{path} ({operator_name(node)})" if path else operator_name(node)
