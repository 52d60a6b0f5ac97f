"""Reshape, Flatten, Squeeze, Unsqueeze: the physical value is reshaped, what is left is a layout or an order.

1. Of a weight: a move of its Recipe.
2. To the shape that the value has already: left out.
3. Of a value that stands as in Keras: written with a constant shape, -1 for the batch; the shape arithmetic that
   computed it falls away.
4. Of a value in another layout: reshaped as it stands (layout.reshaped gives the cases). Flatten of a channel-first
   feature map leaves an order on the feature axis, which the next Dense takes into its kernel.
5. Where 4 does not hold, the input is brought back to Keras' layout first.
6. Where more than one axis is free, the computed shape is used.
7. Back to the axes that a Reshape merged before a Gemm (``ops.matmul`` and ``tensordot`` do so): the Gemm is a Linear
   over the last of them, and neither Reshape is written.
"""

from __future__ import annotations

import onnx_ir as ir

from ...plan import Reshape
from ..batch_shapes import target_of
from ..held import Held, View, Weight, shape_of
from ..layout import FreeShape, Layout, reshaped
from ..products import over_more_axes, stands_alone
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    held, target = site.held[0], _target(site)
    assert held is not None
    if isinstance(held, Weight):
        fixed = held.recipe.expression.shape if target is None else tuple(dim or 1 for dim in target)
        site.applied(f"taken into the recipe of {held.recipe}")
        return [Weight(held.recipe.then(Reshape(held.recipe.shape, fixed)))]
    if held.shape is None or target is None or target.count(None) > 1:
        return site.as_in_keras("the new shape is only known at run time")
    if held.shape == target:
        return [held]
    view = site.builder.view(held)
    found = reshaped(held.shape, target, view.layout)
    if isinstance(found, str):
        value = site.plain(0, found)
        found = target, Layout.plain(len(target))
    else:
        value = view.value
    physical, layout = found
    assert value is not None
    if layout.is_plain and _is_linear_over(site, value, target):
        site.applied(f"{value.name} is a Linear over more axes")
        return [View(value, layout, target)]
    if not layout.is_plain:
        site.applied("reshaped as it stands" + (", an order is left on its features" if layout.is_reordered else ""))
    return [View(site.builder.reshape(value, physical, view.dtype, site.name), layout, target)]


def _is_linear_over(site: Site, value: ir.Value, target: FreeShape) -> bool:
    """Case 7: the Gemm that gives ``value`` is then changed."""
    gemm = value.producer()
    merge = None if gemm is None or gemm.op_type != "Gemm" or gemm.inputs[0] is None else gemm.inputs[0].producer()
    source = None if merge is None or merge.op_type != "Reshape" else merge.inputs[0]
    shape = None if source is None else shape_of(source)
    features = shape_of(value)
    if gemm is None or source is None or shape is None or features is None or not stands_alone(site, 0):
        return False
    rows = [(merged := shape_of(merge.outputs[0])) and merged[1:]] if merge is not None else []
    if rows != [shape[-1:]] or shape[:-1] != target[:-1] or target[-1:] != features[1:]:
        return False
    over_more_axes(gemm, source)
    value.shape = ir.Shape(target)
    return True


def _target(site: Site) -> FreeShape | None:
    shape, sizes = site.output_shape(), site.held[1] if len(site.held) > 1 else None
    if (shape is None or shape.count(None) > 1) and site.node.op_type == "Reshape" and isinstance(sizes, View):
        return target_of(site.shape(0), site.builder.entries.get(sizes.value.name or "")) or shape
    return shape


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    value = node.inputs[0]
    source, target = None if value is None else shape_of(value), shape_of(node.outputs[0])
    if index or source is None or target is None:
        return None
    found = reshaped(target, source, layout)
    return None if isinstance(found, str) else found[1]


RESHAPE = Rule("reshape", ("Reshape", "Flatten", "Squeeze", "Unsqueeze"), rewrite, wishes)
