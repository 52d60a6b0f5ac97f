"""Names of nodes that a person finds again in Netron and in the imported module."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..base import Boundary


def name_by_boundary(nodes: Sequence[ir.Node], boundaries: Sequence[Boundary]) -> None:
    """The node that gives a layer's output bears the layer's name, unless another node does already."""
    taken = {node.name for node in nodes}
    named: set[str] = set()
    by_value = {value.name: node for node in nodes for value in node.outputs}
    for boundary in boundaries:
        node, name = by_value.get(boundary.value), boundary.name.replace(".", "_")
        if node is not None and name not in taken and node.name not in named:
            node.name = name
            named.add(name)
            taken.add(name)
