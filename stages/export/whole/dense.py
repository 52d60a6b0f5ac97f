"""Dense.

1. On (N, in): Gemm with transB, its weight (out, in) the transposed kernel.
2. On more axes: the local function torchgraft.Linear over the last one (LinearWithoutBias where there is no bias).
"""

from __future__ import annotations

import keras
import onnx_ir as ir

from ...onnx_functions import DOMAIN
from ..writer import Writer
from .base import Site, Weights, WholeLayer


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    weight = nodes.transpose(weights["kernel"], (1, 0))
    bias = [weights["bias"]] if "bias" in weights else []
    if len(site.input_shape) == 2:
        return nodes.op("Gemm", [x, weight, *bias], main=True, shape=site.output_shape, transB=1)
    function = "Linear" if bias else "LinearWithoutBias"
    return nodes.op(function, [x, weight, *bias], main=True, shape=site.output_shape, domain=DOMAIN)


DENSE = WholeLayer(layers=(keras.layers.Dense,), weights=("kernel", "bias"), write=_write)
