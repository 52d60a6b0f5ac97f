"""Slice, Split and Gather at places that are known → modules that hold them as numbers.

onnx2torch hands the places to ``forward`` as tensors, which ``torch.export`` cannot read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from .base import Converter, Source


class Slice(nn.Module):
    """``starts:ends:steps`` along ``axes``; a negative step runs backwards, as in numpy."""

    def __init__(self, axes: Sequence[int], slices: Sequence[slice]) -> None:
        super().__init__()
        self.axes = tuple(axes)
        self.slices = tuple(slices)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for axis, part in zip(self.axes, self.slices, strict=True):
            if part.step < 0:
                places = range(x.shape[axis])[part]
                x = x.index_select(axis, torch.tensor(list(places), dtype=torch.long, device=x.device))
            else:
                x = x[(slice(None),) * (axis % x.dim()) + (part,)]
        return x

    def extra_repr(self) -> str:
        return f"axes={self.axes}, slices={self.slices}"


class Split(nn.Module):
    """Pieces of ``lengths`` along ``axis``."""

    def __init__(self, lengths: Sequence[int], axis: int) -> None:
        super().__init__()
        self.lengths = list(lengths)
        self.axis = axis

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.split(x, self.lengths, self.axis)


class Gather(nn.Module):
    """The ``places`` of ``axis``; the axis is gone where it is a single one."""

    def __init__(self, places: torch.Tensor, axis: int) -> None:
        super().__init__()
        self.register_buffer("places", places, persistent=False)
        self.places: torch.Tensor
        self.axis = axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.index_select(self.axis, self.places)


class Select(nn.Module):
    """The one place ``place`` of ``axis``, which is gone then."""

    def __init__(self, place: int, axis: int) -> None:
        super().__init__()
        self.place = place
        self.axis = axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.select(self.axis, self.place)


def _slice(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    starts, ends = source.integers(1) or [], source.integers(2) or []
    axes = source.integers(3) or list(range(len(starts)))
    steps = source.integers(4) or [1] * len(starts)
    return Slice(axes, [slice(*bounds) for bounds in zip(starts, ends, steps, strict=True)])


def _split(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    axis = source.attributes.get("axis", 0)
    lengths = source.integers(1)
    if lengths is None:
        length = (source.shape(0) or ())[axis] or 0
        lengths = [length // len(source.outputs)] * len(source.outputs)
    return Split(lengths, axis)


def _gather(source: Source, weights: Mapping[int, torch.Tensor]) -> nn.Module:
    places, axis = source.constant(1), source.attributes.get("axis", 0)
    assert places is not None
    if places.ndim == 0:
        return Select(int(places), axis)
    length = (source.shape(0) or ())[axis]
    assert length is not None
    return Gather(torch.from_numpy(places % length), axis)


def _knows_axis(source: Source) -> bool:
    shape = source.shape(0)
    return shape is not None and shape[source.attributes.get("axis", 0)] is not None


SLICE = Converter(("Slice",), _slice, accepts=lambda source: source.is_constant(1, 2, 3, 4))
SPLIT = Converter(
    ("Split",), _split, accepts=lambda source: source.is_constant(1) and (source.has(1) or _knows_axis(source))
)
GATHER = Converter(
    ("Gather",),
    _gather,
    accepts=lambda source: (
        source.is_constant(1) and not source.is_held(0) and source.constant(1).ndim < 2 and _knows_axis(source)  # type: ignore[union-attr]
    ),
)
