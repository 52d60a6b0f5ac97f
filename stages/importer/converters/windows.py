"""Pad, Resize, Expand and Tile by figures that are known → modules that hold them as numbers.

1. Pad: constant, reflect, edge (``replicate``).
2. Resize, where ``F.interpolate`` computes the same: nearest with coordinates that are asymmetric and rounded down,
   linear with half-pixel or aligned coordinates. Otherwise UnsupportedError: onnx2torch would convert with a warning.
3. Resize by nearest and whole scales of other axes than the last ones (a series that stayed channels-last): repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...errors import UnsupportedError
from ...plan import Array
from .base import Converter, Source

_TORCH_MODE = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


class Pad(nn.Module):
    """``pads`` are ONNX's: the begins of all axes, then the ends."""

    def __init__(self, pads: Sequence[int], mode: str, value: float) -> None:
        super().__init__()
        self.pads = torch_pads(pads)
        self.mode = mode
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.mode == "constant":
            return functional.pad(x, self.pads, value=self.value)
        return functional.pad(x, self.pads, mode=self.mode)

    def extra_repr(self) -> str:
        return f"{self.pads}, mode={self.mode!r}, value={self.value}"


def torch_pads(pads: Sequence[int]) -> list[int]:
    """ONNX (begin of each axis, end of each axis) → torch (begin, end, from the last axis), leading zeros left out.

    >>> torch_pads([0, 0, 1, 2, 0, 0, 3, 4])
    [2, 4, 1, 3]
    """
    half = len(pads) // 2
    pairs = list(zip(pads[:half], pads[half:], strict=True))[::-1]
    while len(pairs) > 1 and pairs[-1] == (0, 0):
        pairs.pop()
    return [pad for pair in pairs for pad in pair]


class Resize(nn.Module):
    """The spatial axes by ``scales``, or to ``sizes``."""

    def __init__(
        self, mode: str, scales: Sequence[float] | None, sizes: Sequence[int] | None, align_corners: bool | None
    ) -> None:
        super().__init__()
        self.mode = mode
        self.scales = None if scales is None else list(scales)
        self.sizes = None if sizes is None else list(sizes)
        self.align_corners = align_corners

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, self.sizes, self.scales, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        return f"mode={self.mode!r}, scales={self.scales}, sizes={self.sizes}"


class Repeat(nn.Module):
    """Each element ``times`` along its axis: what interpolation by nearest is where the scale is whole."""

    def __init__(self, times: Mapping[int, int]) -> None:
        super().__init__()
        self.times = dict(times)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for axis, times in self.times.items():
            x = x.repeat_interleave(times, dim=axis)
        return x

    def extra_repr(self) -> str:
        return f"times={self.times}"


class Expand(nn.Module):
    """Broadcast to ``shape``, in which 1 leaves an axis as it is."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.broadcast_to(torch.broadcast_shapes(x.shape, self.shape))  # type: ignore[no-untyped-call]


class Tile(nn.Module):
    """The whole of each axis ``repeats`` times."""

    def __init__(self, repeats: Sequence[int]) -> None:
        super().__init__()
        self.repeats = tuple(repeats)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.repeat(self.repeats)


def _pad(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    value = source.constant(2)
    mode = _TORCH_MODE[source.attributes.get("mode", "constant")]
    return Pad(source.integers(1) or [], mode, 0.0 if value is None else float(value.reshape(())))


def _resize(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    spatial = len(source.shape(0) or ()) - 2
    mode = source.attributes.get("mode", "nearest")
    coordinates = source.attributes.get("coordinate_transformation_mode", "half_pixel")
    rounding = source.attributes.get("nearest_mode", "round_prefer_floor")
    nearest = mode == "nearest" and coordinates == "asymmetric" and rounding == "floor"
    linear = (
        mode == "linear" and coordinates in ("half_pixel", "pytorch_half_pixel", "align_corners") and spatial in _LINEAR
    )
    scales, sizes = source.constant(2), source.constant(3)
    figures = scales if scales is not None and scales.size else sizes
    by_scale = figures is scales
    if by_scale and nearest and figures is not None and figures[:2].tolist() != [1, 1] and not (figures % 1).any():
        return Repeat({axis: int(scale) for axis, scale in enumerate(figures) if scale != 1})
    if figures is None or not (nearest or linear) or (by_scale and figures[:2].tolist() != [1, 1]):
        raise UnsupportedError(
            f"PyTorch has no Resize by {mode}, coordinates={coordinates}, rounding={rounding}, figures {figures}",
            where=source.outputs[0],
            fix='use interpolation="nearest" or "bilinear"',
        )
    target = _sizes(source, figures) if by_scale else [int(size) for size in figures[2:]]
    return Resize(
        "nearest" if nearest else _LINEAR[spatial],
        None if target else [float(scale) for scale in figures[2:]],
        target,
        None if nearest else coordinates == "align_corners",
    )


def _sizes(source: Source, scales: Array) -> list[int] | None:
    """What ``scales`` makes of the spatial sizes, rounded down as ONNX does; None where one of them is free."""
    sizes = (source.shape(0) or ())[2:]
    if any(size is None for size in sizes):
        return None
    return [int(np.float32(size or 0) * scale) for size, scale in zip(sizes, scales[2:], strict=True)]


def _expand(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    return {"Expand": Expand, "Tile": Tile}[source.operator](source.integers(1) or [])


PAD = Converter(
    ("Pad",),
    _pad,
    accepts=lambda source: source.is_constant(1, 2) and source.attributes.get("mode", "constant") in _TORCH_MODE,
)
RESIZE = Converter(
    ("Resize",), _resize, accepts=lambda source: source.is_constant(1, 2, 3) and source.shape(0) is not None
)
EXPAND = Converter(("Expand", "Tile"), _expand, accepts=lambda source: source.is_constant(1))
