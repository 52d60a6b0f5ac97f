"""Conv1D, Conv2D, Conv3D → Conv.

1. Kernel (*spatial, in / groups, filters) → Transpose → (filters, in / groups, *spatial).
2. Input (N, *spatial, in) → Transpose → (N, in, *spatial), and the output back; neither with channels_first.
3. 'causal' (Conv1D) is padding on the left alone.
"""

from __future__ import annotations

import keras
import onnx_ir as ir

from ..writer import Writer, known
from .base import Site, Weights, WholeLayer
from .windows import explicit_pads, needs_fixed_sizes


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    layer = site.layer
    kernel = weights["kernel"]
    rank = layer.rank
    y = nodes.op(
        "Conv",
        [
            nodes.channels_first(x) if site.channels_last else x,
            nodes.transpose(kernel, (rank + 1, rank, *range(rank))),
            *([weights["bias"]] if "bias" in weights else []),
        ],
        main=True,
        shape=channels_first_shape(site),
        kernel_shape=list(known(kernel)[:rank]),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        pads=explicit_pads(site, known(kernel)[:rank], layer.dilation_rate),
        group=layer.groups,
    )
    return nodes.channels_last(y) if site.channels_last else y


def channels_first_shape(site: Site) -> list[int | None]:
    """The output's shape with the channels on axis 1."""
    shape = site.output_shape
    return [shape[0], shape[-1], *shape[1:-1]] if site.channels_last else list(shape)


CONV = WholeLayer(
    layers=(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
    weights=("kernel", "bias"),
    write=_write,
    refuse=needs_fixed_sizes,
)
