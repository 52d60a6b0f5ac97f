"""Conv1D, Conv2D, Conv3D, the depthwise and the separable ones → Conv.

1. Conv: kernel (*spatial, in / groups, filters) → Transpose → (filters, in / groups, *spatial).
2. DepthwiseConv: kernel (*spatial, in, multiplier) → Transpose, Reshape → (in * multiplier, 1, *spatial), groups = in.
   Output channel ``c * multiplier + m`` is made from input channel ``c`` (tf.nn.depthwise_conv2d).
3. SeparableConv: a depthwise Conv without bias, and a Conv of size 1.
4. Input (N, *spatial, in) → Transpose → (N, in, *spatial), and the output back; neither with channels_first.
5. 'causal' (Conv1D) is padding on the left alone.
"""

from __future__ import annotations

from typing import Any

import keras
import onnx_ir as ir

from ..writer import Size, Writer, known
from .base import Site, Weights, WholeLayer
from .bias import misplaced_bias
from .windows import explicit_pads, needs_fixed_sizes


def _conv(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    rank = site.layer.rank
    kernel = weights["kernel"]
    weight = nodes.transpose(kernel, (rank + 1, rank, *range(rank)))
    y = nodes.op(
        "Conv",
        [nodes.channels_first(x) if site.channels_last else x, weight, *_bias(weights)],
        main=True,
        shape=channels_first_shape(site),
        **_window(site, known(kernel)[:rank]),
        group=site.layer.groups,
    )
    return nodes.channels_last(y) if site.channels_last else y


def _depthwise(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    first = nodes.channels_first(x) if site.channels_last else x
    weight = _depthwise_weight(nodes, weights["kernel"], site.layer.rank)
    y = nodes.op(
        "Conv",
        [first, weight, *_bias(weights)],
        main=True,
        shape=channels_first_shape(site),
        **_window(site, known(weight)[2:]),
        group=known(weights["kernel"])[-2],
    )
    return nodes.channels_last(y) if site.channels_last else y


def _separable(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    rank = site.layer.rank
    depthwise = _depthwise_weight(nodes, weights["depthwise_kernel"], rank)
    pointwise = nodes.transpose(weights["pointwise_kernel"], (rank + 1, rank, *range(rank)))
    batch, _, *spatial = channels_first_shape(site)
    inner = nodes.op(
        "Conv",
        [nodes.channels_first(x) if site.channels_last else x, depthwise],
        label="depthwise",
        shape=[batch, known(depthwise)[0], *spatial],
        **_window(site, known(depthwise)[2:]),
        group=known(weights["depthwise_kernel"])[-2],
    )
    y = nodes.op(
        "Conv",
        [inner, pointwise, *_bias(weights)],
        label="pointwise",
        shape=channels_first_shape(site),
        kernel_shape=[1] * rank,
    )
    return nodes.channels_last(y) if site.channels_last else y


def _depthwise_weight(nodes: Writer, kernel: ir.Value, rank: int) -> ir.Value:
    *spatial, channels, multiplier = known(kernel)
    ordered = nodes.transpose(kernel, (rank, rank + 1, *range(rank)))
    return nodes.reshape(ordered, [channels * multiplier, 1, *spatial], "depthwise_shape")


def _bias(weights: Weights) -> list[ir.Value]:
    return [weights["bias"]] if "bias" in weights else []


def _window(site: Site, kernel: tuple[int, ...]) -> dict[str, Any]:
    layer = site.layer
    return {
        "kernel_shape": list(kernel),
        "strides": list(layer.strides),
        "dilations": list(layer.dilation_rate),
        "pads": explicit_pads(site, kernel, layer.dilation_rate),
    }


def channels_first_shape(site: Site) -> list[Size]:
    """The output's shape with the channels on axis 1."""
    shape = site.output_shape
    return [shape[0], shape[-1], *shape[1:-1]] if site.channels_last else list(shape)


def _refuse(site: Site) -> str:
    return needs_fixed_sizes(site) or misplaced_bias(site)


CONV = WholeLayer(
    layers=(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
    weights=("kernel", "bias"),
    write=_conv,
    refuse=_refuse,
)
DEPTHWISE_CONV = WholeLayer(
    layers=(keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D),
    weights=("kernel", "bias"),
    write=_depthwise,
    refuse=_refuse,
)
SEPARABLE_CONV = WholeLayer(
    layers=(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
    weights=("depthwise_kernel", "pointwise_kernel", "bias"),
    write=_separable,
    refuse=_refuse,
)
