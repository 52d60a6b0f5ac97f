"""PReLU → PRelu on (N, C, …), its alpha (…, C) with 1 on shared axes → Transpose → (C, …)."""

from __future__ import annotations

import keras
import onnx_ir as ir

from ..writer import Writer, known, sizes_of
from .base import Site, Weights, WholeLayer


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    alpha = weights["alpha"]
    places = len(known(alpha))
    first = nodes.channels_first(x)
    slope = nodes.transpose(alpha, (places - 1, *range(places - 1)))
    return nodes.channels_last(nodes.op("PRelu", [first, slope], main=True, shape=sizes_of(first)))


PRELU = WholeLayer(layers=(keras.layers.PReLU,), weights=("alpha",), write=_write)
