"""A value that repeats a smaller one along some axes (zeros_like, broadcast_to).

1. ConstantOfShape, or Expand of one number: written as it is, and the number is remembered.
2. Expand of anything else: as the windows rule has it, and what is expanded is remembered.

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
    made = site.as_in_keras("a shape")
    if isinstance(made[0], View):
        site.builder.spread[made[0].value.name or ""] = Constant(number)
    return made


def _expanded(site: Site) -> list[Held]:
    source = site.held[0]
    made = list(WINDOWS.rewrite(site))
    if source is not None and isinstance(made[0], View):
        site.builder.spread[made[0].value.name or ""] = source
    return made


FILL = Rule("fill", ("ConstantOfShape", "Expand"), rewrite, WINDOWS.wishes)
