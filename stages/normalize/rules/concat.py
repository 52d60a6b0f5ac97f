"""Concat: along the axis as it stands.

1. Of weights alone: one weight, their recipes joined.
2. All inputs in the layout of the first that stands otherwise than in Keras, the axis being that layout's.
3. Inputs whose order along the axis differs keep it: the result's order is theirs, one block after the other
   (branches that were flattened each).
"""

from __future__ import annotations

import onnx_ir as ir

from ...plan import Joined, Recipe
from ..held import Held, View, Weight
from ..layout import Layout, Order
from ..site import Rule, Site
from .broadcast import common_layout


def rewrite(site: Site) -> list[Held]:
    shape, parts = site.output_shape(), site.held
    if parts and all(isinstance(held, Weight) for held in parts):
        return [_joined(site)]
    if shape is None or any(held is None or held.shape is None for held in parts):
        return site.as_in_keras("the rank is not known")
    axis = site.attribute("axis") % len(shape)
    layout = common_layout(site, len(shape)).with_order(axis, None)
    own = [held.layout.orders[axis] if isinstance(held, View) else None for held in parts]
    why = "the inputs stand in different layouts"
    values = [site.placed(index, layout.with_order(axis, order), why) for index, order in enumerate(own)]
    if any(own):
        layout = layout.with_order(axis, _block_after_block(site, axis, own))
        site.applied("the inputs keep their orders, block after block")
    return site.emit(values, [layout], {"axis": layout.perm[axis]})


def _joined(site: Site) -> Weight:
    recipes = [held.recipe for held in site.held if isinstance(held, Weight)]
    axis = site.attribute("axis") % len(recipes[0].shape)
    evidence = tuple(dict.fromkeys(line for recipe in recipes for line in recipe.evidence))
    site.applied("the recipes are joined")
    return Weight(Recipe(Joined(axis, tuple(recipe.expression for recipe in recipes)), evidence))


def _block_after_block(site: Site, axis: int, orders: list[Order]) -> Order:
    whole: list[int] = []
    for held, order in zip(site.held, orders, strict=True):
        length = (held.shape or ())[axis] if held is not None else 0
        assert length is not None, "an axis that is in another order has a known length"
        start = len(whole)
        whole += [start + position for position in (order or range(length))]
    return tuple(whole)


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    return layout.with_order(node.attributes["axis"].as_int() % len(layout.perm), None)


CONCAT = Rule("concat", ("Concat",), rewrite, wishes, leads=True)
