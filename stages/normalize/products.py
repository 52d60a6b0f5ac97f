"""Products with a weight that are still open: nothing but the node at hand depends on them."""

from __future__ import annotations

import onnx_ir as ir

from ..onnx_functions import DOMAIN
from .site import Site

_PASSED = ("Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze")
_PRODUCTS = ("MatMul", "Gemm", "Conv")


def stands_alone(site: Site, index: int) -> bool:
    """Whether input ``index`` is a product that nothing else depends on and no output shows, by the raw graph."""
    return _is_open(site, site.node.inputs[index])


def open_addends(site: Site, index: int) -> list[int]:
    """Where input ``index`` is a sum that nothing else depends on: the places of those addends that stand alone."""
    value = site.node.inputs[index]
    node = None if value is None or _is_seen(site, value) else value.producer()
    if node is None or node.op_type != "Add":
        return []
    return [place for place, addend in enumerate(node.inputs) if _is_open(site, addend)]


def _is_seen(site: Site, value: ir.Value) -> bool:
    return len(value.uses()) > 1 or value.is_graph_output() or value.name in site.builder.kept_values


def _is_open(site: Site, value: ir.Value | None) -> bool:
    while value is not None:
        node = value.producer()
        if node is None or _is_seen(site, value):
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
