"""LayerNormalization → LayerNormalization.

1. The normalised axes are the last ones: as it is.
2. Other axes: Transpose to the end, and back.
3. ``scale=False`` gives a constant gamma of ones; ``center=False`` leaves beta out.

``rms_scaling`` is another operation: TensorFlow's own arithmetic stands for it.
"""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir

from ..writer import Writer, sizes_of
from .base import Site, Weights, WholeLayer


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    rank = len(site.input_shape)
    axes = _axes(site)
    perm = [axis for axis in range(rank) if axis not in axes] + axes
    last = nodes.transpose(x, perm)
    size = [site.input_shape[axis] or 0 for axis in axes]
    y = nodes.op(
        "LayerNormalization",
        [
            last,
            weights.get("gamma") or nodes.constant(np.ones(size, site.dtype), "ones"),
            *([weights["beta"]] if "beta" in weights else []),
        ],
        main=True,
        shape=sizes_of(last),
        axis=-len(axes),
        epsilon=float(site.layer.epsilon),
    )
    return nodes.transpose(y, [perm.index(axis) for axis in range(rank)])


def _axes(site: Site) -> list[int]:
    axis = site.layer.axis
    return [place % len(site.input_shape) for place in ([axis] if isinstance(axis, int) else axis)]


def _refuse(site: Site) -> str:
    axes = _axes(site)
    if axes != sorted(axes):
        return f"its axes {axes} are not in ascending order, in which Keras mixes up the places of gamma"
    if 0 in axes:
        return "it normalises over the batch"
    if any(site.input_shape[axis] is None for axis in axes):
        return f"a normalised axis of its input {site.input_shape} is free"
    return ""


LAYER_NORMALIZATION = WholeLayer(
    layers=(keras.layers.LayerNormalization,),
    weights=("gamma", "beta"),
    write=_write,
    refuse=_refuse,
    applies=lambda layer: not layer.rms_scaling and layer.compute_dtype in ("float32", "float64"),
)
