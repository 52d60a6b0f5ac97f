"""LayerNormalization: over the last axes.

1. They stand last, in Keras' order: the value stays as it stands.
2. One normalised axis, its features in another order: scale and bias are put into it by their Recipes.
3. Otherwise the input is brought back to Keras' layout first.
"""

from __future__ import annotations

import onnx_ir as ir

from ..held import Held, View
from ..layout import Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    view = site.view(0)
    if view.shape is None:
        return site.as_in_keras("the rank is not known")
    rank = len(view.shape)
    first = site.attribute("axis", -1) % rank
    layout = view.layout
    single = rank - first == 1 and not any(isinstance(held, View) for held in site.held[1:])
    if layout.perm[first:] != tuple(range(first, rank)):
        layout = Layout.plain(rank)
    if not single:
        for axis in range(first, rank):
            layout = layout.with_order(axis, None)
    value = site.placed(0, layout, "it runs over the last axes")
    features = Layout(tuple(range(rank - first)), layout.orders[first:])
    if features.is_reordered:
        site.applied("the order of the features is taken into scale and bias")
    parameters = [
        site.placed(index, features, "the features stand in another order") for index in range(1, len(site.held))
    ]
    return site.emit([value, *parameters], _outputs(site, layout))


def _outputs(site: Site, layout: Layout | None) -> list[Layout | None]:
    return [layout, *[None] * (len(site.node.outputs) - 1)]


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    first = (node.attributes["axis"].as_int() if "axis" in node.attributes else -1) % len(layout.perm)
    stays = layout.perm[first:] == tuple(range(first, len(layout.perm)))
    return layout.without_orders() if index == 0 and stays else None


LAYER_NORMALIZATION = Rule("layer_normalization", ("LayerNormalization",), rewrite, wishes, over_last=(0,))
