"""Transpose: never written, only noted.

1. Of a weight: a move of its Recipe.
2. Of a value: another layout of the same physical value. Two that undo each other are then nothing.
3. Where nobody below can work in that layout, the rule at that place writes a Transpose and says why.
"""

from __future__ import annotations

import onnx_ir as ir

from ...plan import Transpose
from ..held import Held, View, Weight
from ..layout import Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    held = site.held[0]
    assert held is not None
    if held.shape is None:
        return site.emit([site.plain(0, "the rank is not known")], [None])
    perm = tuple(site.attribute("perm", range(len(held.shape))[::-1]))
    if isinstance(held, Weight):
        site.applied(f"taken into the recipe of {held.recipe}")
        return [Weight(held.recipe.then(Transpose(perm)))]
    view = site.builder.view(held)
    layout = view.layout.transposed(perm)
    site.applied("undoes the layout of its input" if layout.is_plain else f"noted as layout {layout.perm}")
    return [View(view.value, layout, tuple(held.shape[axis] for axis in perm))]


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    perm = node.attributes["perm"].as_ints() if "perm" in node.attributes else range(len(layout.perm))[::-1]
    back = [tuple(perm).index(axis) for axis in range(len(layout.perm))]
    return layout.transposed(back)


TRANSPOSE = Rule("transpose", ("Transpose",), rewrite, wishes)
