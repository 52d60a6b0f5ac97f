"""Every other operator (Conv, pooling, …): each input as the raw graph has it, each output likewise.

1. The exporter writes layers such as Conv between explicit layout Transposes; these are noted as layouts, so
   that in the raw graph's terms the input of a Conv *is* channel-first and nothing has to be written.
2. An input in another layout is brought back first, and the report says so.
"""

from __future__ import annotations

from ..held import Held
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    why = f"{site.node.op_type} is not known to work in another layout"
    return site.as_in_keras(why)


KERAS_LAYOUT = Rule("keras_layout", (), rewrite)
