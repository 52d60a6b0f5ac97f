"""Operators that give their input back: left out.

1. Identity, with which the exporter also marks the boundaries of layers.
2. Dropout at inference (its mask is not used).
"""

from __future__ import annotations

import onnx_ir as ir

from ..held import Held
from ..layout import Layout
from ..site import Rule, Site


def rewrite(site: Site) -> list[Held]:
    held = site.held[0]
    assert held is not None
    if len(site.node.outputs) > 1 and site.node.outputs[1].uses():
        return site.as_in_keras("its mask is used")
    return [held] * len(site.node.outputs)


def wishes(node: ir.Node, index: int, layout: Layout) -> Layout | None:
    return layout if index == 0 else None


IDENTITY = Rule("identity", ("Identity", "Dropout"), rewrite, wishes)
