"""BatchNormalization (inference): it works on axis 1 of a value as it stands.

1. Axis 1 is the physical axis 1 and the batch the physical axis 0: the value stays as it stands.
2. The features stand in another order: scale, bias, mean and variance are put into it by their Recipes.
3. Otherwise the input is brought back to Keras' layout first.
"""

from __future__ import annotations

import onnx_ir as ir

from ..held import Held, View
from ..layout import Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    view = site.view(0)
    fits = len(view.layout.perm) > 1 and view.layout.perm[:2] == (0, 1)
    layout = view.layout if fits else Layout.plain(len(view.shape or ()))
    if fits and any(isinstance(held, View) for held in site.held[1:]):
        layout = layout.with_order(1, None)
    value = site.placed(0, layout, "the statistics are along axis 1") if view.shape else view.value
    features = Layout((0,), (layout.orders[1],)) if view.shape else Layout.plain(1)
    if features.is_reordered:
        site.applied("the order of the features is taken into scale, bias, mean and variance")
    parameters = [
        site.placed(index, features, "the features stand in another order") for index in range(1, len(site.held))
    ]
    return site.emit([value, *parameters], [layout, *[None] * (len(site.node.outputs) - 1)])


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    return layout if index == 0 and layout.perm[:2] == (0, 1) else None


BATCH_NORMALIZATION = Rule("batch_normalization", ("BatchNormalization",), rewrite, wishes)
