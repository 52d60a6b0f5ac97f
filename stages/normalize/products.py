"""Products with a weight that are still open: nothing but the node at hand depends on them."""

from __future__ import annotations

import onnx_ir as ir

from ..onnx_functions import DOMAIN
from .site import Site

_PASSED = ("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze")
_PRODUCTS = ("MatMul", "Gemm", "Conv")


def stands_alone(site: Site, index: int) -> bool:
    """Whether input ``index`` is a product that nothing else depends on and no output shows, by the raw graph."""
    value = site.node.inputs[index]
    while value is not None:
        node = value.producer()
        if node is None or len(value.uses()) > 1 or value.is_graph_output() or value.name in site.builder.kept_values:
            return False
        if node.op_type in _PRODUCTS:
            return True
        if node.op_type not in _PASSED:
            return False
        value = node.inputs[0]
    return False


def has_room_for_bias(node: ir.Node) -> bool:
    """Whether it is a product without a bias."""
    bare = node.op_type in ("Gemm", "Conv") and len(node.inputs) == 2
    return bare or (node.domain, node.op_type) == (DOMAIN, "LinearWithoutBias")


def over_more_axes(gemm: ir.Node, source: ir.Value) -> None:
    """A Gemm over the rows of ``source`` becomes a Linear over its last axis."""
    gemm.domain = DOMAIN
    gemm.op_type = "Linear" if len(gemm.inputs) > 2 else "LinearWithoutBias"
    gemm.attributes.clear()
    gemm.replace_input_with(0, source)
