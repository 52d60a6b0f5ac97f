"""Converter: how one ONNX operator becomes a torch module, where onnx2torch has none or one that does not serve.

Ours stand in onnx2torch's registry under the domain "torchgraft": the nodes are moved there just before conversion
(importable.py), so that nothing of onnx2torch's own is replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from onnx2torch.node_converters.registry import add_converter
from onnx2torch.onnx_graph import OnnxGraph
from onnx2torch.onnx_node import OnnxNode
from onnx2torch.utils.common import OnnxMapping, OperationConverterResult

from ...plan import Array

DOMAIN = "torchgraft"


@dataclass(frozen=True)
class Source:
    """An ONNX node as a converter sees it.

    Attributes:
        operator: "Reshape".
        inputs: names of its values; "" for one that is left out.
        attributes: by name.
        constants: value name → array, of those inputs that are known and no weights.
        shapes: value name → shape, None where free, of those values whose shape is known.
    """

    operator: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    constants: Mapping[str, Array]
    shapes: Mapping[str, tuple[int | None, ...]]

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and bool(self.inputs[index])

    def constant(self, index: int) -> Array | None:
        return self.constants.get(self.inputs[index]) if self.has(index) else None

    def integers(self, index: int) -> list[int] | None:
        array = self.constant(index)
        return None if array is None else [int(value) for value in array.reshape(-1)]

    def shape(self, index: int = 0) -> tuple[int | None, ...] | None:
        return self.shapes.get(self.inputs[index])

    def is_constant(self, *indices: int) -> bool:
        """Whether each of these inputs is known or left out."""
        return all(not self.has(index) or self.inputs[index] in self.constants for index in indices)


@dataclass(frozen=True)
class Converter:
    """One operator, or a few that are alike.

    Attributes:
        operators: ONNX names.
        accepts: whether it takes this node; onnx2torch's own converter does where it does not.
        module: makes the module, given the tensors of the node's weights by input index.
        data: the inputs that the module's ``forward`` takes.
        parameters: name in the module → index of the node's input that it holds.
    """

    operators: tuple[str, ...]
    module: Callable[[Source, Mapping[int, torch.Tensor]], torch.nn.Module]
    accepts: Callable[[Source], bool] = lambda source: True
    data: tuple[int, ...] = (0,)
    parameters: Mapping[str, int] | None = None


def source_of(node: OnnxNode, graph: OnnxGraph, constants: Mapping[str, Array]) -> Source:
    names = [name for name in (*node.input_values, *node.output_values) if name in graph.value_info]
    shapes = {name: shape for name in names if (shape := _shape(graph.value_info[name])) is not None}
    known = {name: constants[name] for name in node.input_values if name in constants}
    return Source(node.operation_type, node.input_values, node.attributes, known, shapes)


def _shape(info: Any) -> tuple[int | None, ...] | None:
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim)


def register(converter: Converter) -> None:
    """Put ``converter`` into onnx2torch's registry; it refuses a second one of the same name."""

    def convert(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
        source = source_of(node, graph, graph.constants)
        weights = {
            index: graph.initializers[source.inputs[index]].to_torch()
            for index in (converter.parameters or {}).values()
            if source.has(index)
        }
        inputs = tuple(source.inputs[index] for index in converter.data if index < len(source.inputs))
        return OperationConverterResult(converter.module(source, weights), OnnxMapping(inputs, node.output_values))

    for operator in converter.operators:
        add_converter(operator, 1, DOMAIN)(convert)
