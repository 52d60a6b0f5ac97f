"""A value of one number in a shape that is computed from another value's (zeros_like, fill).

1. ConstantOfShape, or Expand of one number: written as it is, and the number is remembered. Where the value is then
   combined with one of the whole shape, the broadcast rule takes the number itself, and the node falls away.
2. Expand of anything else goes to the windows rule.
"""

from __future__ import annotations

import numpy as np

from ..held import Held, View
from ..site import Rule, Site
from .windows import WINDOWS


def rewrite(site: Site) -> list[Held]:
    if site.node.op_type == "ConstantOfShape":
        tensor = site.attribute("value")
        number = np.zeros((), np.float32) if tensor is None else tensor.numpy().reshape(())
    else:
        array = site.constant(0)
        if array is None or array.size != 1:
            return list(WINDOWS.rewrite(site))
        number = array.reshape(())
    made = site.as_in_keras("a shape")
    if isinstance(made[0], View):
        site.builder.numbers[made[0].value.name or ""] = number
    return made


FILL = Rule("fill", ("ConstantOfShape", "Expand"), rewrite, WINDOWS.wishes)
