"""GroupNormalization → the local function torchgraft.GroupNormalization over (N, C, …).

1. The axis of the channels is moved to place 1 and back.
2. ``scale=False`` gives a constant gamma of ones, ``center=False`` a constant beta of zeros.
"""

from __future__ import annotations

import keras
import numpy as np
import onnx_ir as ir

from ...onnx_functions import DOMAIN
from ..writer import Writer, sizes_of
from .base import Site, Weights, WholeLayer


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    rank = len(site.input_shape)
    axis = site.layer.axis % rank
    perm = [0, axis, *(other for other in range(1, rank) if other != axis)]
    first = nodes.transpose(x, perm)
    size = [site.input_shape[axis]]
    y = nodes.op(
        "GroupNormalization",
        [
            first,
            weights.get("gamma") or nodes.constant(np.ones(size, site.dtype), "ones"),
            weights.get("beta") or nodes.constant(np.zeros(size, site.dtype), "zeros"),
        ],
        main=True,
        domain=DOMAIN,
        shape=sizes_of(first),
        num_groups=int(site.layer.groups),
        epsilon=float(site.layer.epsilon),
    )
    return nodes.transpose(y, [perm.index(place) for place in range(rank)])


GROUP_NORMALIZATION = WholeLayer(
    layers=(keras.layers.GroupNormalization,),
    weights=("gamma", "beta"),
    write=_write,
    applies=lambda layer: layer.compute_dtype == "float32",
)
