"""Pieces that move, pad, crop, repeat and join."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from hypothesis import strategies as st
from keras import layers
from torch import nn

from .activating import nothing
from .description import Draw, Options, Piece, Shape
from .windows import Cut, padded

FLATTEN = "nn.Flatten"


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *values: torch.Tensor) -> torch.Tensor:
        return self.function(*values)


def _sides(draw: Draw, shapes: list[Shape]) -> tuple:
    sides = tuple(draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in shapes[0][:-1])
    return sides if len(sides) > 1 else sides[0]


def _pairs(sides: tuple) -> list[tuple[int, int]]:
    return [sides] if isinstance(sides[0], int) else list(sides)


def _crop(draw: Draw, shapes: list[Shape]) -> Options | None:
    sides = _sides(draw, shapes)
    fits = all(sum(pair) < size for pair, size in zip(_pairs(sides), shapes[0][:-1], strict=True))
    return {"cropping": sides} if fits else None


def _up(draw: Draw, shapes: list[Shape]) -> Options:
    size = draw(st.tuples(*(st.integers(1, 3) for _ in shapes[0][:-1])))
    if len(size) == 1:
        return {"size": size[0]}
    return {"size": size, "interpolation": draw(st.sampled_from(["nearest", "bilinear"]))}


def _up_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    if options.get("interpolation") == "bilinear":
        return nn.Upsample(scale_factor=options["size"], mode="bilinear", align_corners=False)
    return nn.Upsample(scale_factor=options["size"])


def _reshape(draw: Draw, shapes: list[Shape]) -> Options | None:
    """A vector becomes a series or a map."""
    (size,) = shapes[0]
    sides = [(first, last) for first in range(1, 6) for last in range(2, 6) if size % (first * last) == 0]
    splits = [(first, size // first // last, last) for first, last in sides]
    series = [(size // last, last) for last in range(2, 6) if size % last == 0]
    return {"target_shape": draw(st.sampled_from(splits + series))} if splits + series else None


def _reshape_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    target = options["target_shape"]
    return Apply(lambda x: x.reshape(-1, *target).movedim(-1, 1))


def _permute(draw: Draw, shapes: list[Shape]) -> Options:
    return {"dims": tuple(draw(st.permutations(range(1, len(shapes[0]) + 1))))}


def _permute_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    dims = options["dims"]
    return Apply(lambda x: x.movedim(1, -1).permute(0, *dims).movedim(-1, 1))


def _repeat(draw: Draw, shapes: list[Shape]) -> Options:
    return {"n": draw(st.integers(1, 4))}


def _same(draw: Draw, shapes: list[Shape]) -> Options | None:
    return {} if shapes[0] == shapes[1] else None


def _joined(draw: Draw, shapes: list[Shape]) -> Options | None:
    """Along an axis in which alone they may differ, counted with the batch."""
    first, second = shapes
    if len(first) != len(second):
        return None
    differ = [axis for axis, (one, other) in enumerate(zip(first, second, strict=True), 1) if one != other]
    axes = differ or list(range(1, len(first) + 1))
    return {"axis": draw(st.sampled_from(axes))} if len(differ) < 2 else None


def _join_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    axis = 1 if options["axis"] == len(shapes[0]) else options["axis"] + 1
    return Apply(lambda *values: torch.cat(values, axis))


MERGES = {
    "Add": torch.add,
    "Subtract": torch.sub,
    "Multiply": torch.mul,
    "Maximum": torch.maximum,
    "Minimum": torch.minimum,
    "Average": lambda one, other: (one + other) / 2,
}


def shaping() -> Iterator[Piece]:
    for number in (1, 2):
        ranks = (number + 1,)
        pad, crop, up = (f"{name}{number}D" for name in ("ZeroPadding", "Cropping", "UpSampling"))
        yield Piece(
            pad,
            ranks,
            lambda draw, shapes: {"padding": _sides(draw, shapes)},
            getattr(layers, pad),
            lambda options, _: padded(_pairs(options["padding"])),
        )
        yield Piece(crop, ranks, _crop, getattr(layers, crop), lambda options, _: Cut(_pairs(options["cropping"])))
        yield Piece(up, ranks, _up, getattr(layers, up), _up_twin)
    yield Piece("Flatten", (2, 3), nothing, layers.Flatten, lambda *_: Apply(lambda x: x.movedim(1, -1).flatten(1)))
    # nn.Flatten has another order than Keras: right only where a Dense follows, so it is drawn with one (strategy.py).
    yield Piece(FLATTEN, (), nothing, layers.Flatten, lambda *_: nn.Flatten())
    yield Piece("Reshape", (1,), _reshape, layers.Reshape, _reshape_twin)
    yield Piece("Permute", (2, 3), _permute, layers.Permute, _permute_twin)
    yield Piece(
        "RepeatVector",
        (1,),
        _repeat,
        layers.RepeatVector,
        lambda options, _: Apply(lambda x: x.unsqueeze(2).expand(-1, -1, options["n"])),
    )
    for name, function in MERGES.items():
        kind = getattr(layers, name)
        yield Piece(name, (1, 2, 3), _same, kind, lambda *_, function=function: Apply(function), 2)
    yield Piece("Concatenate", (1, 2, 3), _joined, layers.Concatenate, _join_twin, 2)


def size_of(shape: Shape) -> int:
    return math.prod(shape)
