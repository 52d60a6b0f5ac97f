"""Builder: the normalised graph while it grows.

It alone makes nodes, weight inputs and constants, so names are unique and a weight or constant that is asked for
twice is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..plan import Array, Expression, Recipe
from .held import Constant, Held, View, Weight
from .layout import FreeShape, Layout, steps_between


class Builder:
    """Grows the normalised graph.

    Attributes:
        nodes: in execution order.
        weights: name of a weight input → (value, Recipe).
        constants: the initializers.
        spread: name of a value that repeats a smaller one along some axes → the smaller one.
        entries: name of a value that is a shape → its entries (batch_shapes.py).
        kept_values: names of the raw values that outputs and boundaries are.
        kept: how many Transposes and Gathers had to be written because a layout did not fit.
    """

    def __init__(self, kept_values: Iterable[str] = ()) -> None:
        self.kept_values = frozenset(kept_values)
        self.nodes: list[ir.Node] = []
        self.weights: dict[str, tuple[ir.Value, Recipe]] = {}
        self.constants: list[ir.Value] = []
        self.kept = 0
        self._names: set[str] = set()
        self._by_expression: dict[Expression, ir.Value] = {}
        self._by_content: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}
        self.spread: dict[str, Held] = {}
        self.entries: dict[str, Array] = {}
        self._converted: dict[tuple[str, Layout, Layout], ir.Value] = {}

    def inner(self) -> Builder:
        """For the body of a node: nodes of its own, the same names, weights and constants."""
        made = Builder(self.kept_values)
        made.weights, made.constants, made._names = self.weights, self.constants, self._names
        made._by_expression, made._by_content = self._by_expression, self._by_content
        return made

    def unique(self, name: str) -> str:
        """``name``, or ``name#2`` … where it is taken. Dots would part a torch module path."""
        name = name.replace(".", "_")
        found, count = name, 1
        while found in self._names:
            count += 1
            found = f"{name}#{count}"
        self._names.add(found)
        return found

    def input(self, name: str, dtype: ir.DataType, shape: FreeShape) -> ir.Value:
        return ir.val(self.unique(name), dtype, ir.Shape(shape))

    def weight(self, recipe: Recipe) -> ir.Value:
        """The graph input of a weight; the same value for the same Recipe, so that shared layers stay shared."""
        if recipe.expression not in self._by_expression:
            paths = dict.fromkeys(variable.path for variable in recipe.variables)
            name = self.unique("+".join(paths) or f"fill/{str(recipe)[5:-1]}")
            value = ir.val(name, ir.DataType.from_numpy(np.dtype(recipe.dtype)), ir.Shape(recipe.shape))
            self._by_expression[recipe.expression] = value
            self.weights[name] = value, recipe
        return self._by_expression[recipe.expression]

    def constant(self, array: Array, name: str = "constant") -> ir.Value:
        array = np.ascontiguousarray(array) if array.ndim else array
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in self._by_content:
            tensor = ir.tensor(array, name=self.unique(name))
            value = ir.val(tensor.name, ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape), const_value=tensor)
            self._by_content[key] = value
            self.constants.append(value)
        return self._by_content[key]

    def node(
        self,
        operator: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, Any],
        outputs: Sequence[tuple[ir.DataType | None, FreeShape | None]],
        *,
        name: str,
        domain: str = "",
    ) -> tuple[ir.Value, ...]:
        """Append a node; ``outputs`` are the dtype and the physical shape of each."""
        name = self.unique(name)
        # A value bears its node's name; the set of names holds it once for both, as ONNX keeps the two apart.
        values = [
            ir.val(
                name if place == 0 else self.unique(f"{name}:{place}"),
                dtype,
                None if shape is None else ir.Shape(shape),
            )
            for place, (dtype, shape) in enumerate(outputs)
        ]
        self.nodes.append(ir.node(operator, inputs, attributes, domain=domain, outputs=values, name=name))
        return tuple(values)

    def view(self, held: Held) -> View:
        """What is held, as a value of the graph."""
        if isinstance(held, View):
            return held
        value = self.weight(held.recipe) if isinstance(held, Weight) else self.constant(held.array)
        return View(value, Layout.plain(len(held.shape)), held.shape)

    def placed(self, held: Held, layout: Layout) -> tuple[ir.Value, str]:
        """What is held, standing in ``layout``: (value, what had to be written for it in the graph, or "").

        A weight goes there by its Recipe, a constant by moving its array: neither costs a node.
        """
        if isinstance(held, Weight):
            return self.weight(held.recipe.then(*layout.from_keras())), ""
        if isinstance(held, Constant):
            array = held.array
            for move in layout.from_keras():
                array = move.apply(array)
            return self.constant(array), ""
        if held.layout == layout:
            return held.value, ""
        return self._convert(held, layout)

    def _convert(self, view: View, layout: Layout) -> tuple[ir.Value, str]:
        key = view.value.name or "", view.layout, layout
        if key in self._converted:
            return self._converted[key], ""
        assert view.shape is not None
        value, written = view.value, []
        gathers, perm = steps_between(view.layout, layout)
        have = view.layout.physical_shape(view.shape)
        for axis, indices in gathers:
            index = self.constant(np.asarray(indices, dtype=np.int64), "order")
            (value,) = self.node(
                "Gather", [value, index], {"axis": axis}, [(view.dtype, have)], name=f"{view.value.name}/reorder"
            )
            written.append(f"Gather on axis {axis}")
        want = tuple(have[axis] for axis in perm)
        longer = [axis for axis in perm if have[axis] != 1]
        if longer != sorted(longer) or (want != have and want.count(None) > 1):
            (value,) = self.node(
                "Transpose", [value], {"perm": perm}, [(view.dtype, want)], name=f"{view.value.name}/transpose"
            )
            written.append(f"Transpose{perm}")
        elif want != have:
            value = self.reshape(value, want, view.dtype, f"{view.value.name}/reshape")
        self.kept += len(written)
        self._converted[key] = value
        return value, " and ".join(written)

    def reshape(self, value: ir.Value, target: FreeShape, dtype: ir.DataType, name: str) -> ir.Value:
        """Reshape to ``target``; of two in a row one is left, and none where nothing changes."""
        producer = value.producer()
        if producer is not None and producer.op_type in ("Reshape", "Flatten"):
            source = producer.inputs[0]
            assert source is not None
            value = source
        if value.shape is not None and tuple(d if isinstance(d, int) else None for d in value.shape) == target:
            return value
        if _is_flatten(value, target):
            return self.node("Flatten", [value], {"axis": 1}, [(dtype, target)], name=name)[0]
        shape = np.asarray([-1 if dim is None else dim for dim in target], dtype=np.int64)
        return self.node("Reshape", [value, self.constant(shape, "shape")], {}, [(dtype, target)], name=name)[0]


def _is_flatten(value: ir.Value, target: FreeShape) -> bool:
    """Whether the batch stays and everything behind it becomes one axis."""
    if value.shape is None or len(target) != 2 or len(value.shape) < 3 or isinstance(value.shape[0], int):
        return False
    rest = [dim for dim in value.shape[1:] if isinstance(dim, int)]
    return target[0] is None and len(rest) == len(value.shape) - 1 and target[1] == math.prod(rest)
