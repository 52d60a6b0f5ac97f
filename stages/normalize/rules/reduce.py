"""Reductions: over the axes as they stand.

1. The axes are those of the layout. With ``keepdims`` the output stands as the input does; else the axes are gone
   from its layout, too (the mean over H and W of a channel-first feature map is in order: N, C).
2. An order along a reduced axis does not matter to a reduction; ArgMax and ArgMin give positions, so theirs is put
   in order first.
3. Axes that are only known at run time: back to Keras' layout.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..held import Held
from ..layout import Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    view, axes = site.view(0), _axes(site)
    if view.shape is None or axes is None:
        return site.as_in_keras("the axes are not known")
    layout = view.layout
    if site.node.op_type.startswith("Arg"):
        layout = layout.with_order(axes[0], None)
    value = site.placed(0, layout, "positions along its axis are asked for")
    for axis in axes:
        layout = layout.with_order(axis, None)
    standing = sorted(layout.perm[axis] for axis in axes)
    after = layout if site.attribute("keepdims", 1) else layout.without_axes(axes)
    return _emit(site, value, standing, after)


def _emit(site: Site, value: ir.Value | None, standing: list[int], layout: Layout) -> list[Held]:
    attributes = {name: found for name, found in site.raw_attributes().items() if name not in ("axes", "axis")}
    if site.node.op_type.startswith("Arg"):
        return site.emit([value], [layout], {**attributes, "axis": standing[0]})
    if site.node.op_type == "ReduceSum":
        axes = site.builder.constant(np.asarray(standing, dtype=np.int64), "axes")
        return site.emit([value, axes], [layout], attributes)
    return site.emit([value], [layout], {**attributes, "axes": standing})


def _axes(site: Site) -> list[int] | None:
    """Counted from the front, all of them where none are given."""
    shape = site.shape(0)
    if shape is None:
        return None
    if site.node.op_type.startswith("Arg"):
        return [site.attribute("axis", 0) % len(shape)]
    found = site.attribute("axes")
    if len(site.held) > 1 and site.held[1] is not None:
        known = site.constant(1)
        if known is None:
            return None
        found = known.tolist()
    if found is None or len(found) == 0:
        return None if site.attribute("noop_with_empty_axes", 0) else list(range(len(shape)))
    return [axis % len(shape) for axis in found]


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    kept = "keepdims" not in node.attributes or node.attributes["keepdims"].as_int()
    return layout.without_orders() if index == 0 and kept else None


REDUCE = Rule(
    "reduce",
    (
        "ArgMax", "ArgMin", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean",
        "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare",
    ),
    rewrite,
    wishes,
)  # fmt: skip
