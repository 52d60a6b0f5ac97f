"""Nodes over known arrays, computed by ONNX's reference implementation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir

from ..plan import Array
from .held import Constant, Held

# Larger results than this are computed by the graph: folding them would store them.
_LIMIT = 1_000_000


def opset_of(node: ir.Node) -> int:
    """The version of ONNX's own operators; the body of a node does not say it again."""
    return (node.graph.opset_imports.get("") if node.graph is not None else None) or 17


def folded(node: ir.Node, given: Sequence[Held | None]) -> list[Held] | None:
    """The results of a node over constants alone; None where it is not one, or where they are large."""
    arrays = [held.array for held in given if isinstance(held, Constant)]
    if len(arrays) != len(given) or node.domain or node.op_type.startswith("Random"):
        return None
    results = computed(node, arrays)
    return None if any(result.size > _LIMIT for result in results) else [Constant(result) for result in results]


def computed(node: ir.Node, arrays: Sequence[Array]) -> list[Array]:
    """The node's outputs for ``arrays``, one for each input."""
    from onnx.reference import ReferenceEvaluator

    opset = opset_of(node)
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            [ir.to_proto(node)],
            "constant",
            [onnx.ValueInfoProto(name=value.name) for value in dict.fromkeys(node.inputs) if value is not None],
            [onnx.ValueInfoProto(name=value.name) for value in node.outputs],
        ),
        opset_imports=[onnx.helper.make_opsetid("", opset)],
    )
    feeds = {value.name or "": array for value, array in zip(node.inputs, arrays, strict=True) if value is not None}
    return [np.asarray(result) for result in ReferenceEvaluator(proto).run(None, feeds)]
