"""Normalization that was adapted to data → (x - mean) / max(sqrt(variance), 1e-7), from its variables.

Keras keeps them a second time as constants, which tracing would freeze into the graph. ``invert`` is the way back:
mean + x * max(…). A layer that was *given* mean and variance has no variables: its constants stand.
"""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir

from ..writer import Writer, sizes_of
from .base import Site, Weights, WholeLayer


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    shape = [int(size) for size in site.layer._broadcast_shape]  # noqa: SLF001 - Keras has no public name for it
    mean = nodes.reshape(weights["adapt_mean"], shape, "mean_shape")
    variance = nodes.reshape(weights["adapt_variance"], shape, "variance_shape")
    smallest = nodes.constant(np.asarray(keras.config.epsilon(), site.dtype), "epsilon")
    root = nodes.op("Sqrt", [variance], shape=sizes_of(variance))
    deviation = nodes.op("Max", [root, smallest], shape=sizes_of(variance))
    if site.layer.invert:
        scaled = nodes.op("Mul", [x, deviation], shape=sizes_of(x))
        return nodes.op("Add", [mean, scaled], main=True, shape=sizes_of(x))
    centered = nodes.op("Sub", [x, mean], shape=sizes_of(x))
    return nodes.op("Div", [centered, deviation], main=True, shape=sizes_of(x))


NORMALIZATION = WholeLayer(
    layers=(keras.layers.Normalization,),
    weights=("adapt_mean", "adapt_variance"),
    write=_write,
    applies=lambda layer: layer.input_mean is None,
)
