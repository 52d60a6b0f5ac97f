"""Shapes that the exporter did not write: inferred node by node, as constants become known on the way down."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx_ir as ir

from ..base import Graph
from .fold import opset_of
from .held import Constant, Held, shape_of

# The value of a constant input decides a shape only where it is short: axes, sizes, repeats.
_TELLING = 64


def with_port_shapes(raw: Graph) -> ir.Model:
    """A copy of the raw model in which every output and boundary has the shape that Keras gives it."""
    model = ir.from_proto(ir.to_proto(raw.model))
    values = {value.name: value for node in model.graph for value in node.outputs}
    for port in (*raw.outputs, *raw.boundaries):
        value = values.get(port.value)
        if value is not None and value.shape is None and not port.moves:
            value.shape = ir.Shape(port.shape)
    return model


def infer_missing(node: ir.Node, given: Sequence[Held | None]) -> None:
    """Give the node's outputs a shape where they have none, or one with more than a single free axis."""
    if node.domain or all(_is_known(value) for value in node.outputs):
        return
    types = {
        value.name or "": _type(held)
        for value, held in zip(node.inputs, given, strict=True)
        if value is not None and held
    }
    data = {
        value.name or "": onnx.numpy_helper.from_array(held.array, value.name)
        for value, held in zip(node.inputs, given, strict=True)
        if value is not None and isinstance(held, Constant) and held.array.size <= _TELLING
    }
    opset = opset_of(node)
    try:
        found = onnx.shape_inference.infer_node_outputs(
            onnx.defs.get_schema(node.op_type, opset),
            ir.to_proto(node),
            types,
            data,
            opset_imports=[onnx.helper.make_opsetid("", opset)],
        )
    except (onnx.shape_inference.InferenceError, onnx.defs.SchemaError):
        # ONNX cannot tell: the rule for this node then brings its inputs back to Keras' layout.
        return
    for value in node.outputs:
        tensor = found[value.name].tensor_type if value.name in found else None
        if tensor is None or _is_known(value):
            continue
        if tensor.HasField("shape"):
            value.shape = ir.Shape([dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim])
        if value.dtype is None and tensor.elem_type:
            value.dtype = ir.DataType(tensor.elem_type)


def _is_known(value: ir.Value) -> bool:
    shape = shape_of(value)
    return shape is not None and shape.count(None) < 2 and value.dtype is not None


def _type(held: Held) -> onnx.TypeProto:
    return onnx.helper.make_tensor_type_proto(held.dtype.value, held.shape)
