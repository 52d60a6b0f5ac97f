"""A value that repeats a smaller one along some axes (zeros_like, broadcast_to).

1. ConstantOfShape, or Expand of one number: written as it is, and the number is remembered.
2. The same where the nodes below wish for another order of its axes: its shape is put into that order.
3. Expand of anything else: as the windows rule has it, and what is expanded is remembered.

Where such a value is then combined with one of the whole shape, the broadcast rule takes the smaller one itself, and
the node falls away: a position embedding is added as it is, not first repeated for each sample.
"""

from __future__ import annotations

import numpy as np

from ..held import Constant, Held, View
from ..site import Rule, Site
from .windows import WINDOWS


def rewrite(site: Site) -> list[Held]:
    if site.node.op_type == "ConstantOfShape":
        tensor = site.attribute("value")
        number = np.zeros((), np.float32) if tensor is None else tensor.numpy().reshape(())
    else:
        array = site.constant(0)
        if array is None or array.size != 1:
            return _expanded(site)
        number = array.reshape(())
    made = _in_order(site)
    if isinstance(made[0], View):
        site.builder.spread[made[0].value.name or ""] = Constant(number)
    return made


def _in_order(site: Site) -> list[Held]:
    """Case 2, else case 1."""
    target = site.output_shape()
    wish = site.wanted.get(site.node.outputs[0].name or "")
    if wish is None or target is None or len(wish.perm) != len(target):
        return site.as_in_keras("a shape")
    place, layout = len(site.held) - 1, wish.without_orders()
    order = site.builder.constant(np.asarray(layout.arrange(range(len(target))), dtype=np.int64), f"{site.name}/order")
    sizes = (site.view(place).dtype, (len(target),))
    shape = site.builder.node(
        "Gather", [site.view(place).value, order], {"axis": 0}, [sizes], name=f"{site.name}/shape"
    )
    return site.emit([*(site.view(index).value for index in range(place)), *shape], [layout])


def _expanded(site: Site) -> list[Held]:
    source = site.held[0]
    made = list(WINDOWS.rewrite(site))
    if source is not None and isinstance(made[0], View):
        site.builder.spread[made[0].value.name or ""] = source
    return made


FILL = Rule("fill", ("ConstantOfShape", "Expand"), rewrite, WINDOWS.wishes)
