"""Slice and Gather: along the axes as they stand.

1. A Slice of a weight with step 1: a part of its Recipe. Where nothing takes the rest, a Slice of the whole weight:
   whoever wrote the module has the rest, too.
2. A Slice with known bounds: its axes are those of the layout; an axis that is in another order is put in order first.
3. Gather of known positions (one, or a row of them): its axis is that of the layout, the positions are looked up
   in its order. Of one position the axis is gone.
4. Otherwise (an Embedding, bounds known at run time): as in Keras.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...plan import Array, Expression, Part, Recipe
from ..held import Held, View, Weight
from ..layout import FreeShape, Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    return _slice(site) if site.node.op_type == "Slice" else _gather(site)


def _slice(site: Site) -> list[Held]:
    held, shape = site.held[0], site.shape(0)
    bounds = [site.constant(index) for index in range(1, len(site.held))]
    if shape is None or any(bound is None and site.held[index] is not None for index, bound in enumerate(bounds, 1)):
        return site.as_in_keras("its bounds are only known at run time")
    starts, ends, axes, steps = [*bounds, None, None][:4]
    assert starts is not None
    assert ends is not None
    axis_list = [axis % len(shape) for axis in (range(len(starts)) if axes is None else axes.tolist())]
    if isinstance(held, Weight) and (steps is None or set(steps.tolist()) == {1}) and not _leaves_rest(site, shape):
        return [_part(site, held, axis_list, starts, ends)]
    layout = site.view(0).layout
    for axis in axis_list:
        layout = layout.with_order(axis, None)
    value = site.placed(0, layout, "an axis that is sliced is in another order")
    standing = np.asarray([layout.perm[axis] for axis in axis_list], dtype=starts.dtype)
    rest = [("starts", starts), ("ends", ends), ("axes", standing), ("steps", steps)]
    constants = [site.builder.constant(array, f"{site.name}/{name}") for name, array in rest if array is not None]
    return site.emit([value, *constants], [layout])


def _leaves_rest(site: Site, shape: FreeShape) -> bool:
    """Whether no node takes what this Slice leaves: positions beyond a short sequence, in a table of many."""
    value = site.node.inputs[0]
    while value is not None and len(value.uses()) == 1:
        node = value.producer()
        if node is None:
            return site.output_shape() != shape
        value = node.inputs[0] if node.op_type == "Identity" else None
    return False


def _part(site: Site, held: Weight, axes: list[int], starts: Array, ends: Array) -> Weight:
    expression: Expression = held.recipe.expression
    for axis, start, end in zip(axes, starts.tolist(), ends.tolist(), strict=True):
        first, last, _ = slice(start, end).indices(expression.shape[axis])
        if (first, last) != (0, expression.shape[axis]):
            expression = Part(axis, first, last, expression)
    site.applied(f"a part of the recipe of {held.recipe}")
    return Weight(Recipe(expression, held.recipe.evidence))


def _gather(site: Site) -> list[Held]:
    held, positions = site.held[0], site.constant(1)
    if not isinstance(held, View) or held.shape is None or positions is None or positions.ndim > 1:
        return site.as_in_keras("it looks up positions that are only known at run time")
    axis = site.attribute("axis", 0) % len(held.shape)
    order = held.layout.orders[axis]
    if order is not None:
        positions = np.asarray(np.asarray(order)[positions], dtype=positions.dtype)
    layout = held.layout.with_order(axis, None)
    index = site.builder.constant(positions, f"{site.name}/positions")
    after = layout if positions.ndim else layout.without_axes([axis])
    return site.emit([held.value, index], [after], {"axis": layout.perm[axis]})


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    return layout.without_orders() if index == 0 and node.op_type == "Slice" else None


SELECT = Rule("select", ("Slice", "Gather"), rewrite, wishes)
