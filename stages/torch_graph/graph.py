"""An ATen graph as ops and glue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import fx

from ..plan import Reshape
from .aten import Call, op_of
from .nodes import arguments_of, module_path, operator_name, place_of, settings_of, shape_of
from .op import CONVOLUTIONS, PARAMETER, TRANSPOSED, Op, Slot
from .reading import Glue
from .slots import slot_of

#: How many of the ops that feed an op are remembered, the last ones.
SOURCES = 16


@dataclass
class GraphParts:
    """What a graph is made of.

    Attributes:
        ops: name → Op, in execution order; a parameter that enters glue stands before the first glue that it enters.
        places: name of every value that depends on no parameter alone → module path and operation, for people.
        glue: name of a value that no op gives → Glue.
        hidden: names of values inside an op that is made of several calls.
    """

    ops: dict[str, Op] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    glue: dict[str, Glue] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)


def read_graph(
    graph: fx.Graph,
    keys: Mapping[str, str],
    constants: set[str],
    *,
    merge: bool = True,
    raw: frozenset[str] = frozenset(),
) -> GraphParts:
    """The ops, the places of all activations, and the glue of a graph of ATen calls.

    Args:
        graph: placeholders, and calls with their shapes in ``meta["val"]`` and their modules in ``nn_module_stack``.
        keys: name of a placeholder → key of the state_dict.
        constants: names of placeholders that hold neither an input nor something of the state_dict.
        merge: whether several calls may be one op.
        raw: names of calls whose parameters enter them as they enter glue.
    """
    return _Reader(keys, set(constants), merge, raw).read(graph)


class _Reader:
    def __init__(self, keys: Mapping[str, str], constants: set[str], merge: bool, raw: frozenset[str]) -> None:
        self._keys, self._constants, self._merge, self._raw = keys, constants, merge, raw
        self._weights = set(keys)
        self._fixed: set[str] = set()  # values made of nothing (arange)
        self._sources: dict[str, dict[str, None]] = {}
        self._parts = GraphParts()

    def read(self, graph: fx.Graph) -> GraphParts:
        for node in graph.nodes:
            if node.op == "placeholder":
                if node.name not in self._keys and node.name not in self._constants:
                    self._parts.places[node.name] = f"input {node.name}"
                    self._sources[node.name] = {node.name: None}
            elif node.op == "call_function":
                self._take(node)
        return self._parts

    def _take(self, node: fx.Node) -> None:
        parents = node.all_input_nodes
        active = [parent for parent in parents if parent.name in self._parts.places]
        held = [parent for parent in parents if parent.name in self._weights]
        if held and all(parent.name in self._fixed for parent in active) and self._is_lookup(node):
            self._weights.add(node.name)  # rows of a table at positions that are always the same
            return
        if not active and held and (value := self._constant_value(node)) is not None:
            active = [value]
        if not active:
            if held:
                self._weights.add(node.name)
            elif parents:
                self._constants.add(node.name)
            else:
                self._parts.places[node.name], self._sources[node.name] = place_of(node), {}
                self._fixed.add(node.name)
            return
        self._parts.places[node.name] = place_of(node)
        if all(parent.name in self._fixed for parent in active) and not held:
            self._fixed.add(node.name)
        before = dict.fromkeys(name for parent in active for name in self._sources[parent.name])
        before = dict.fromkeys(list(before)[-SOURCES:])
        op = self._op(node, active[0].name, frozenset(before)) if held and node.name not in self._raw else None
        if op is not None:
            op = self._with_bias_of_its_own(node, op) if self._merge else op
            self._parts.ops[node.name] = op
            self._sources[node.name] = {node.name: None}
            return
        entering = tuple(name for parent in held for name in self._entering(parent))
        reads = tuple(parent.name for parent in active)
        self._parts.glue[node.name] = Glue(operator_name(node), reads, settings_of(arguments_of(node)), entering)
        self._sources[node.name] = before

    def _constant_value(self, node: fx.Node) -> fx.Node | None:
        """The constant that a linear layer reads (the zeros that a state begins with), from now on a value."""
        value = node.args[0] if operator_name(node) in ("linear", "matmul", "mm") else None
        if not isinstance(value, fx.Node) or value.name not in self._constants:
            return None
        self._constants.discard(value.name)
        self._parts.places[value.name], self._sources[value.name] = place_of(value), {}
        self._fixed.add(value.name)
        return value

    def _is_lookup(self, node: fx.Node) -> bool:
        return operator_name(node) in ("embedding", "index", "index_select", "gather")

    def _op(self, node: fx.Node, reads: str, sources: frozenset[str]) -> Op | None:
        """The node as an Op; None where a parameter comes in without a slot of its own."""
        arguments = arguments_of(node)
        slots: dict[str, Slot] = {}
        for name, value in arguments.items():
            if isinstance(value, fx.Node) and value.name in self._weights:
                slot = slot_of(value, self._keys)
                if slot is None:
                    return None
                slots[name] = slot
            elif isinstance(value, (list, tuple)) and any(
                isinstance(each, fx.Node) and each.name in self._weights for each in value
            ):
                return None
        return op_of(Call(node, operator_name(node), arguments, slots), module_path(node), reads, sources)

    def _with_bias_of_its_own(self, node: fx.Node, op: Op) -> Op:
        """``linear(x) + b``, nothing else reading the linear's output, is one op."""
        inner = self._parts.ops.get(op.reads)
        if op.kind != "add" or inner is None or "bias" in inner.slots or "weight" not in inner.slots:
            return op
        if inner.kind not in ("linear", *CONVOLUTIONS, *TRANSPOSED):
            return op
        (linear,) = (parent for parent in node.all_input_nodes if parent.name == op.reads)
        rank, operand = len(shape_of(linear)), op.slots["operand"]
        assert inner.feature_axis is not None
        if not operand.shape and shape_of(linear)[inner.feature_axis] == 1:
            operand = replace(operand, shape=(1,), moves=(*operand.moves, Reshape((), (1,))))
        elif op.feature_axis is None or op.feature_axis % rank != inner.feature_axis % rank:
            return op
        if len(linear.users) != 1 or shape_of(linear) != shape_of(node):
            return op
        del self._parts.ops[linear.name], self._parts.places[linear.name]
        self._parts.hidden.add(linear.name)
        return replace(inner, name=node.name, slots={**inner.slots, "bias": operand})

    def _entering(self, node: fx.Node) -> list[str]:
        """The parameters that a value is made of, each an op from now on."""
        found: list[str] = []
        waiting, seen = [node], set()
        while waiting:
            current = waiting.pop()
            if current in seen:
                continue
            seen.add(current)
            if current.name in self._keys:
                value: torch.Tensor = current.meta["val"]
                if value.is_floating_point() and value.numel():
                    self._parts.ops.setdefault(current.name, _parameter(current, self._keys[current.name]))
                    found.append(current.name)
            else:
                waiting += (parent for parent in current.all_input_nodes if parent.name in self._weights)
        return found


def _parameter(node: fx.Node, key: str) -> Op:
    shape = shape_of(node)
    bare = tuple(size for size in shape if size != 1) or (1,)
    slot = Slot(key, bare, () if bare == shape else (Reshape(shape, bare),))
    return Op(node.name, PARAMETER, key.rpartition(".")[0], {"value": slot}, {}, None)
