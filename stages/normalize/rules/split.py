"""Split: along the axis as it stands.

1. Of a weight: parts of its Recipe.
2. Of a value in any layout: the axis is that layout's, each output stands as the input does.
3. The axis is in another order: it is put in order first, as a part of it would be scattered.
"""

from __future__ import annotations

import itertools

import onnx_ir as ir

from ...plan import Part, Recipe
from ..held import Held, Weight
from ..layout import Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    held = site.held[0]
    assert held is not None
    shapes = [site.output_shape(index) for index in range(len(site.node.outputs))]
    if held.shape is None or any(shape is None for shape in shapes):
        return site.as_in_keras("the rank is not known")
    axis = site.attribute("axis", 0) % len(held.shape)
    lengths = [shape[axis] for shape in shapes if shape is not None]
    if isinstance(held, Weight):
        site.applied(f"parts of the recipe of {held.recipe}")
        return list(_parts(held, axis, [length or 0 for length in lengths]))
    layout = site.view(0).layout.with_order(axis, None)
    value = site.placed(0, layout, "the axis that is split is in another order")
    rest = [site.plain(index, "the lengths") for index in range(1, len(site.held))]
    return site.emit([value, *rest], [layout] * len(shapes), {"axis": layout.perm[axis]})


def _parts(held: Weight, axis: int, lengths: list[int]) -> list[Held]:
    starts = [sum(lengths[:place]) for place in range(len(lengths) + 1)]
    recipe = held.recipe
    return [
        Weight(Recipe(Part(axis, start, stop, recipe.expression), recipe.evidence))
        for start, stop in itertools.pairwise(starts)
    ]


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 0
    return layout.with_order(axis % len(layout.perm), None) if index == 0 else None


SPLIT = Rule("split", ("Split",), rewrite, wishes)
