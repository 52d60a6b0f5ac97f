"""Conv1DTranspose, Conv2DTranspose, Conv3DTranspose → ConvTranspose.

Keras computes the gradient of a convolution that would take the *output* as its input (tf.nn.conv_transpose), so its
padding is that convolution's: of ``(n - 1) * stride + extent`` positions, what is more than the output is cut off,
half before, half after, the odd one after.

1. Equally much before and after: ``pads``.
2. One more after: ``pads`` for both sides, and a Slice for the odd one. PyTorch has no lopsided padding.
3. Fewer positions than the output (stride beyond the kernel, output_padding): ``output_padding``, zeros at the end.

Kernel (*spatial, filters, in) → Transpose → (in, filters, *spatial).
"""

from __future__ import annotations

import keras
import onnx_ir as ir

from ..writer import Writer, known
from .base import Site, Weights, WholeLayer
from .bias import misplaced_bias
from .conv import channels_first_shape


def _write(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    layer, rank = site.layer, site.layer.rank
    kernel = weights["kernel"]
    batch, channels, *_ = channels_first_shape(site)
    sizes = _fixed(site.output_shape[1:-1] if site.channels_last else site.output_shape[2:])
    surplus = _surplus(site, known(kernel)[:rank], sizes)
    odd = [more % 2 if more > 0 else 0 for more in surplus]
    pads = [max(more, 0) // 2 for more in surplus]
    y = nodes.op(
        "ConvTranspose",
        [
            nodes.channels_first(x) if site.channels_last else x,
            nodes.transpose(kernel, (rank + 1, rank, *range(rank))),
            *([weights["bias"]] if "bias" in weights else []),
        ],
        main=True,
        shape=[batch, channels, *(size + more for size, more in zip(sizes, odd, strict=True))],
        kernel_shape=list(known(kernel)[:rank]),
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        pads=[*pads, *pads],
        output_padding=[max(-more, 0) for more in surplus],
    )
    if any(odd):
        axes = [axis for axis, more in enumerate(odd, start=2) if more]
        y = nodes.op(
            "Slice",
            [
                y,
                nodes.integers([0] * len(axes), "starts"),
                nodes.integers([-1] * len(axes), "ends"),
                nodes.integers(axes, "axes"),
            ],
            shape=[batch, channels, *sizes],
        )
    return nodes.channels_last(y) if site.channels_last else y


def _fixed(sizes: tuple[int | None, ...]) -> list[int]:
    """Sizes of which ``_refuse`` has seen that none is free."""
    return [size for size in sizes if size is not None]


def _surplus(site: Site, kernel: tuple[int, ...], outputs: list[int]) -> list[int]:
    """How many positions the full transposed convolution has beyond the output, for each spatial axis."""
    layer = site.layer
    extents = [(size - 1) * step + 1 for size, step in zip(kernel, layer.dilation_rate, strict=True)]
    return [
        (n - 1) * stride + extent - output
        for n, stride, extent, output in zip(_fixed(site.spatial), layer.strides, extents, outputs, strict=True)
    ]


def _refuse(site: Site) -> str:
    if None in site.spatial:
        return f"the size of its input {site.input_shape} is free"
    return misplaced_bias(site)


CONV_TRANSPOSE = WholeLayer(
    layers=(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose),
    weights=("kernel", "bias"),
    write=_write,
    refuse=_refuse,
)
