"""Writes ONNX nodes one after the other, names them after the layer, and keeps track of shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ..plan import Array

Size = int | str | None
BATCH = "batch"


def graph_shape(sizes: Sequence[Size], batch: str = BATCH) -> ir.Shape:
    """A Keras shape, its free batch under one name."""
    return ir.Shape([batch if size is None and axis == 0 else size for axis, size in enumerate(sizes)])


class Names:
    """Hands out names that nobody has."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)

    def unique(self, name: str) -> str:
        candidate, count = name, 0
        while candidate in self._taken:
            count += 1
            candidate = f"{name}_{count}"
        self._taken.add(candidate)
        return candidate


@dataclass(frozen=True)
class GraphNames:
    """ONNX keeps names of values and of nodes apart."""

    values: Names
    nodes: Names


class Writer:
    """The nodes of one layer call.

    Args:
        graph: gets the constants.
        names: of nodes and values in the whole graph.
        prefix: of every name.
        batch: what the free first size is called.
    """

    def __init__(self, graph: ir.Graph, names: GraphNames, prefix: str, batch: str = BATCH) -> None:
        self.nodes: list[ir.Node] = []
        self._graph = graph
        self._names = names
        self._prefix = prefix
        self._batch = batch

    def op(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        *,
        shape: Sequence[Size] | None = None,
        dtype: ir.DataType | None = None,
        domain: str = "",
        main: bool = False,
        label: str = "",
        **attributes: Any,
    ) -> ir.Value:
        """Add a node with one output, of ``dtype`` or that of its first input.

        ``main``: it bears the layer's own name; ``label``: its name inside the layer.
        """
        name = self._names.nodes.unique(self._prefix if main else f"{self._prefix}/{label or op_type}")
        node = ir.node(op_type, inputs, attributes, domain=domain, name=name)
        value = node.outputs[0]
        value.name = self._names.values.unique(f"{name}/value" if main else name)
        dtypes = (given.dtype for given in inputs if given is not None and given.dtype is not None)
        dtype = dtype or next(dtypes, None)
        value.type = ir.TensorType(dtype) if dtype is not None else None
        value.shape = graph_shape(shape, self._batch) if shape is not None else None
        self.nodes.append(node)
        return value

    def cast(self, value: ir.Value, dtype: ir.DataType, *, main: bool = False) -> ir.Value:
        return self.op("Cast", [value], shape=sizes_of(value), dtype=dtype, main=main, to=dtype.value)

    def constant(self, array: Array, name: str) -> ir.Value:
        """A constant of the graph."""
        unique = self._names.values.unique(f"{self._prefix}/{name}")
        tensor = ir.tensor(np.asarray(array, order="C"), name=unique)
        value = ir.Value(name=unique, const_value=tensor, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape))
        self._graph.register_initializer(value)
        return value

    def integers(self, values: Sequence[int], name: str) -> ir.Value:
        return self.constant(np.asarray(values, dtype=np.int64), name)

    def transpose(self, value: ir.Value, perm: Sequence[int]) -> ir.Value:
        """Axis ``i`` of the result is axis ``perm[i]``; the value itself where that is no change."""
        if list(perm) == list(range(len(perm))):
            return value
        sizes = sizes_of(value)
        return self.op("Transpose", [value], perm=list(perm), shape=[sizes[axis] for axis in perm])

    def reshape(self, value: ir.Value, shape: Sequence[int], name: str = "shape") -> ir.Value:
        """To a shape without -1 or 0 (a weight), or with a free batch as -1."""
        sizes: list[Size] = [size if size >= 0 else sizes_of(value)[0] for size in shape]
        return self.op("Reshape", [value, self.integers(shape, name)], shape=sizes)

    def channels_first(self, value: ir.Value) -> ir.Value:
        """(N, *spatial, C) → (N, C, *spatial)."""
        rank = len(sizes_of(value))
        return self.transpose(value, (0, rank - 1, *range(1, rank - 1)))

    def channels_last(self, value: ir.Value) -> ir.Value:
        """(N, C, *spatial) → (N, *spatial, C)."""
        rank = len(sizes_of(value))
        return self.transpose(value, (0, *range(2, rank), 1))


def sizes_of(value: ir.Value) -> list[Size]:
    """The static shape, None or a symbol where free."""
    assert value.shape is not None, f"{value.name} has no shape"
    return [size if isinstance(size, int) else size.value for size in value.shape]


def name_of(value: ir.Value) -> str:
    """The name that every value of a graph has."""
    assert value.name, "a value without a name"
    return value.name


def onnx_dtype(name: str) -> ir.DataType:
    """Of a numpy name: "float32" → FLOAT."""
    return ir.DataType.from_numpy(np.dtype(name))


def known(value: ir.Value) -> tuple[int, ...]:
    """The shape of a weight."""
    sizes = sizes_of(value)
    assert all(isinstance(size, int) for size in sizes), f"{value.name} has no fixed shape"
    return tuple(size for size in sizes if isinstance(size, int))
