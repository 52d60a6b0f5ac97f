"""Operators that work along one axis and keep the shape: Softmax, LogSoftmax, Hardmax, CumSum.

1. The axis is that of the layout; the output stands as the input does.
2. Softmax and LogSoftmax give each element the same value in any order; for the others the axis is put in order.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..held import Constant, Held
from ..layout import Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    view = site.view(0)
    axis = _axis(site)
    if view.shape is None or axis is None:
        return site.as_in_keras("the axis is not known")
    axis %= len(view.shape)
    layout = view.layout
    if site.node.op_type not in ("Softmax", "LogSoftmax"):
        layout = layout.with_order(axis, None)
    value = site.placed(0, layout, "the order along its axis matters")
    if site.node.op_type == "CumSum":
        index = site.builder.constant(np.asarray(layout.perm[axis], dtype=np.int64), "axis")
        return site.emit([value, index], [layout])
    return site.emit([value], [layout], {"axis": layout.perm[axis]})


def _axis(site: Site) -> int | None:
    if site.node.op_type != "CumSum":
        return int(site.attribute("axis", -1))
    held = site.held[1]
    return int(held.array) if isinstance(held, Constant) else None


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    return layout.without_orders() if index == 0 else None


ALONG_AXIS = Rule("along_axis", ("Softmax", "LogSoftmax", "Hardmax", "CumSum"), rewrite, wishes)
