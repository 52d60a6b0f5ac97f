"""Shape: Keras' shape of a value, however the value stands.

1. All that is asked for is known: a constant.
2. Otherwise the physical shape is asked for, and its entries are put into Keras' order. Most of these nodes fall
   away, as every Reshape with a free batch is written with a constant shape.
"""

from __future__ import annotations

import numpy as np

from ..batch_shapes import entries_of
from ..held import Constant, Held, View
from ..layout import FreeShape, Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    view = site.view(0)
    if view.shape is None:
        return site.emit([view.value], [None])
    start, end, _ = slice(site.attribute("start", 0), site.attribute("end")).indices(len(view.shape))
    asked = view.shape[start:end]
    if None not in asked:
        return [Constant(np.asarray(asked, dtype=np.int64))]
    if view.layout.perm == tuple(range(len(view.shape))):
        return _noted(site, site.emit([view.value], [None]), asked)
    (shape,) = site.builder.node(
        "Shape", [view.value], {}, [(site.node.outputs[0].dtype, (len(view.shape),))], name=site.name
    )
    order = site.builder.constant(np.asarray(view.layout.perm[start:end], dtype=np.int64), "axes")
    (picked,) = site.builder.node(
        "Gather", [shape, order], {"axis": 0}, [(site.node.outputs[0].dtype, (end - start,))], name=f"{site.name}/axes"
    )
    return _noted(site, [View(picked, Layout.plain(1), (end - start,))], asked)


def _noted(site: Site, made: list[Held], asked: FreeShape) -> list[Held]:
    """Remember the entries: a Reshape to this very shape then has a known result."""
    if isinstance(made[0], View):
        site.builder.entries[made[0].value.name or ""] = entries_of(asked)
    return made


SHAPE = Rule("shape", ("Shape",), rewrite)
