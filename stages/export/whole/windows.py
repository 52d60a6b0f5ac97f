"""Sliding windows: where 'same', 'valid' and 'causal' put their padding."""

from __future__ import annotations

from collections.abc import Sequence

from .base import Site


def explicit_pads(site: Site, kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    """ONNX pads, all starts then all ends, that mean the layer's ``padding``.

    'same' gives ``ceil(n / stride)`` windows; what they lack is padded half before, half after, the odd one after
    (tensorflow/core/framework/common_shape_fns.cc, GetWindowedOutputSize).

        >>> n=9, kernel 4, stride 2: 5 windows need 12 → (1, 2)
    """
    strides = site.layer.strides
    extents = [(size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True)]
    if site.layer.padding == "causal":
        return [extents[0] - 1, 0]
    if site.layer.padding == "valid":
        return [0] * (2 * len(extents))
    totals = [
        max((-(-(size or 0) // stride) - 1) * stride + extent - (size or 0), 0) if size else extent - 1
        for size, stride, extent in zip(site.spatial, strides, extents, strict=True)
    ]
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]


def needs_fixed_sizes(site: Site) -> str:
    """'same' with a stride depends on the size: it must be known."""
    layer = site.layer
    if layer.padding == "same" and any(
        size is None and stride > 1 for size, stride in zip(site.spatial, layer.strides, strict=True)
    ):
        return f"padding='same' with strides {tuple(layer.strides)} on a map of free size {site.spatial}"
    return ""
