"""BatchNormalization at inference → BatchNormalization, on any axis.

1. The axis is moved to place 1 and back.
2. ``scale=False`` gives a constant gamma of ones, ``center=False`` a constant beta of zeros.
"""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir

from ..writer import Writer, known, sizes_of
from .base import Site, Weights, WholeLayer


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    rank = len(site.input_shape)
    axis = site.layer.axis % rank
    perm = (0, axis, *(other for other in range(1, rank) if other != axis))
    mean, variance = weights["moving_mean"], weights["moving_variance"]
    size = known(mean)
    gamma = weights.get("gamma") or nodes.constant(np.ones(size, site.dtype), "ones")
    beta = weights.get("beta") or nodes.constant(np.zeros(size, site.dtype), "zeros")
    first = nodes.transpose(x, perm)
    y = nodes.op(
        "BatchNormalization",
        [first, gamma, beta, mean, variance],
        main=True,
        shape=sizes_of(first),
        epsilon=float(site.layer.epsilon),
    )
    return nodes.transpose(y, tuple(perm.index(place) for place in range(rank)))


BATCH_NORMALIZATION = WholeLayer(
    layers=(keras.layers.BatchNormalization,),
    weights=("gamma", "beta", "moving_mean", "moving_variance"),
    write=_write,
    applies=lambda layer: layer.compute_dtype in ("float32", "float64"),
)
