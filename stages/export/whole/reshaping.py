"""Flatten, Reshape, Permute, RepeatVector: constant shapes, the batch free.

1. Flatten and Reshape → Reshape to (-1, …). Flatten reads channels_first input as channels_last first, as Keras does
   (keras/src/layers/reshaping/flatten.py).
2. Permute → Transpose.
3. RepeatVector (N, F) → Reshape (N, 1, F) → Expand.
"""

from __future__ import annotations

import keras
import onnx_ir as ir

from ..writer import Writer
from .base import Site, Weights, WholeLayer


def _fixed_sizes(site: Site) -> str:
    if None in site.output_shape[1:]:
        return f"its output shape {site.output_shape} is free beyond the batch"
    return ""


def _reshape(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    if isinstance(site.layer, keras.layers.Flatten) and not site.channels_last:
        x = nodes.channels_last(x)
    sizes = [size for size in site.output_shape[1:] if size is not None]
    shape = nodes.integers([-1, *sizes], "shape")
    return nodes.op("Reshape", [x, shape], main=True, shape=site.output_shape)


def _permute(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    return nodes.op("Transpose", [x], main=True, shape=site.output_shape, perm=[0, *site.layer.dims])


def _repeat(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    batch, features = site.input_shape
    column = nodes.op("Unsqueeze", [x, nodes.integers([1], "axes")], shape=(batch, 1, features))
    repeats = nodes.integers([1, site.layer.n, 1], "repeats")
    return nodes.op("Expand", [column, repeats], main=True, shape=site.output_shape)


RESHAPE = WholeLayer(layers=(keras.layers.Flatten, keras.layers.Reshape), write=_reshape, refuse=_fixed_sizes)
PERMUTE = WholeLayer(layers=(keras.layers.Permute,), write=_permute)
REPEAT_VECTOR = WholeLayer(layers=(keras.layers.RepeatVector,), write=_repeat)
