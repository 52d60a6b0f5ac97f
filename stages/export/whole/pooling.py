"""MaxPooling and AveragePooling in one to three dimensions → MaxPool, AveragePool.

Padding never takes part: not in the maximum, nor in the count of the mean (``count_include_pad=0``).
"""

from __future__ import annotations

from typing import Any

import keras
import onnx_ir as ir

from ..writer import Writer
from .base import Site, Weights, WholeLayer
from .conv import channels_first_shape
from .windows import explicit_pads, needs_fixed_sizes


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    layer = site.layer
    average = layer.pool_mode == "average"
    only_average: dict[str, Any] = {"count_include_pad": 0} if average else {}
    y = nodes.op(
        "AveragePool" if average else "MaxPool",
        [nodes.channels_first(x) if site.channels_last else x],
        main=True,
        shape=channels_first_shape(site),
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        pads=explicit_pads(site, layer.pool_size, [1] * len(layer.pool_size)),
        **only_average,
    )
    return nodes.channels_last(y) if site.channels_last else y


POOLING = WholeLayer(
    layers=(
        keras.layers.MaxPooling1D,
        keras.layers.MaxPooling2D,
        keras.layers.MaxPooling3D,
        keras.layers.AveragePooling1D,
        keras.layers.AveragePooling2D,
        keras.layers.AveragePooling3D,
    ),
    write=_write,
    refuse=needs_fixed_sizes,
)
