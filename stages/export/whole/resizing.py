"""ZeroPadding → Pad, Cropping → Slice, UpSampling → Resize, on the spatial axes of (N, C, *spatial).

1. UpSampling 'nearest' repeats: asymmetric coordinates, rounded down.
2. UpSampling 'bilinear' samples at pixel centres (tf.image.resize). Other interpolations stay TensorFlow's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import onnx_ir as ir

from ..writer import Writer
from .base import Site, Weights, WholeLayer
from .conv import channels_first_shape

LAST = np.iinfo(np.int64).max


def _pad(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    starts, ends = zip(*_pairs(site.layer.padding), strict=True)
    pads = nodes.integers([0, 0, *starts, 0, 0, *ends], "pads")
    return _on_channels_first(nodes, site, x, "Pad", [pads], mode="constant")


def _crop(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    starts, ends = zip(*_pairs(site.layer.cropping), strict=True)
    places = [
        nodes.integers(starts, "starts"),
        nodes.integers([-end if end else LAST for end in ends], "ends"),
        nodes.integers(range(2, 2 + len(starts)), "axes"),
    ]
    return _on_channels_first(nodes, site, x, "Slice", places)


def _upsample(nodes: Writer, site: Site, x: ir.Value, weights: Weights) -> ir.Value:
    size = site.layer.size
    factors = [size] if isinstance(size, int) else list(size)
    scales = nodes.constant(np.asarray([1, 1, *factors], np.float32), "scales")
    how = (
        {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        if _interpolation(site.layer) == "nearest"
        else {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    )
    return _on_channels_first(nodes, site, x, "Resize", [None, scales], **how)


def _on_channels_first(
    nodes: Writer, site: Site, x: ir.Value, op_type: str, more: Sequence[ir.Value | None], **attributes: Any
) -> ir.Value:
    first = nodes.channels_first(x) if site.channels_last else x
    y = nodes.op(op_type, [first, *more], main=True, shape=channels_first_shape(site), **attributes)
    return nodes.channels_last(y) if site.channels_last else y


def _pairs(value: Any) -> tuple[tuple[int, int], ...]:
    """The 1-D layers have one pair, the others one for each axis."""
    return (tuple(value),) if isinstance(value[0], int) else tuple(value)


def _interpolation(layer: keras.Layer) -> str:
    return str(getattr(layer, "interpolation", "nearest"))


ZERO_PADDING = WholeLayer(
    layers=(keras.layers.ZeroPadding1D, keras.layers.ZeroPadding2D, keras.layers.ZeroPadding3D), write=_pad
)
CROPPING = WholeLayer(layers=(keras.layers.Cropping1D, keras.layers.Cropping2D, keras.layers.Cropping3D), write=_crop)
UP_SAMPLING = WholeLayer(
    layers=(keras.layers.UpSampling1D, keras.layers.UpSampling2D, keras.layers.UpSampling3D),
    write=_upsample,
    applies=lambda layer: _interpolation(layer) in ("nearest", "bilinear"),
)
