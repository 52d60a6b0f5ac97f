"""GlobalAveragePooling and GlobalMaxPooling in one to three dimensions → GlobalAveragePool, GlobalMaxPool.

Without ``keepdims`` the spatial axes, now of size 1, are squeezed. A masked mean (GlobalAveragePooling1D) stays
TensorFlow's.
"""

from __future__ import annotations

import keras
import onnx_ir as ir

from ..writer import Writer, sizes_of
from .base import Site, Weights, WholeLayer

MAXIMA = (keras.layers.GlobalMaxPooling1D, keras.layers.GlobalMaxPooling2D, keras.layers.GlobalMaxPooling3D)
MEANS = (
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
)


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    first = nodes.channels_first(x) if site.channels_last else x
    batch, channels, *spatial = sizes_of(first)
    y = nodes.op(
        "GlobalMaxPool" if isinstance(site.layer, MAXIMA) else "GlobalAveragePool",
        [first],
        main=True,
        shape=[batch, channels, *(1 for _ in spatial)],
    )
    if not site.layer.keepdims:
        axes = nodes.integers(range(2, 2 + len(spatial)), "axes")
        return nodes.op("Squeeze", [y, axes], shape=[batch, channels])
    return nodes.channels_last(y) if site.channels_last else y


GLOBAL_POOLING = WholeLayer(layers=(*MAXIMA, *MEANS), write=_write, reads_mask=True)
