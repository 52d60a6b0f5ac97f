"""A value that repeats a smaller one along some axes (zeros_like, broadcast_to).

1. ConstantOfShape, or Expand of one number: written as it is, and the number is remembered.
2. The same for each sample, of known sizes (the first states of a recurrent layer): torchgraft.ForEach, in the layout
   that the nodes below wish for.
3. Expand of anything else: as the windows rule has it, and what is expanded is remembered.

Where such a value is then combined with one of the whole shape, the broadcast rule takes the smaller one itself, and
the node falls away: a position embedding is added as it is, not first repeated for each sample.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...onnx_functions import DOMAIN
from ...plan import Array
from ..batch_shapes import FREE
from ..held import Constant, Held, View
from ..layout import Layout
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
    made = _for_batch(site, number) or site.as_in_keras("a shape")
    if isinstance(made[0], View):
        site.builder.spread[made[0].value.name or ""] = Constant(number)
    return made


def _for_batch(site: Site, number: Array) -> list[Held] | None:
    """Case 2; None where it is not one."""
    target, sizes = site.output_shape(), site.held[-1]
    if target is None or target.count(None) != 1 or target[0] is not None or not isinstance(sizes, View):
        return None
    entries, source = site.builder.entries.get(sizes.value.name or ""), _asked(sizes.value)
    if entries is None or len(entries) != len(target) or entries[0] != FREE or source is None:
        return None
    wish = site.wanted.get(site.node.outputs[0].name or "")
    fits = wish is not None and len(wish.perm) == len(target) and wish.perm[0] == 0
    layout = wish.without_orders() if wish is not None and fits else Layout.plain(len(target))
    one = np.full([size or 1 for size in layout.arrange(target)], number)
    return site.emit([source, site.builder.constant(one, f"{site.name}/one")], [layout], {}, "ForEach", DOMAIN)


def _asked(sizes: ir.Value) -> ir.Value | None:
    """The one value whose shape ``sizes`` is made from, if the batch stands first in it."""
    waiting, asked = [sizes], list[ir.Value]()
    while waiting:
        node = waiting.pop().producer()
        if node is not None:
            (asked if node.op_type == "Shape" else waiting).extend(value for value in node.inputs if value is not None)
    first = asked[0] if asked else None
    is_one = first is not None and all(value is first for value in asked)
    return first if is_one and first is not None and first.shape and not isinstance(first.shape[0], int) else None


def _expanded(site: Site) -> list[Held]:
    source = site.held[0]
    made = list(WINDOWS.rewrite(site))
    if source is not None and isinstance(made[0], View):
        site.builder.spread[made[0].value.name or ""] = source
    return made


FILL = Rule("fill", ("ConstantOfShape", "Expand"), rewrite, WINDOWS.wishes)
