"""Pieces that slide a window: convolutions and pooling."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from hypothesis import strategies as st
from keras import layers
from torch import nn
from torch.nn import functional

from .activating import ACTIVATIONS, with_activation
from .description import Draw, Options, Piece, Shape

Pads = list[tuple[int, int]]


def same_pads(sizes: Shape, kernel: Shape, strides: Shape, dilation: int = 1) -> Pads:
    """What TensorFlow's 'same' adds before and after each spatial axis: the odd one behind."""
    pads = []
    for size, length, stride in zip(sizes, kernel, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + (length - 1) * dilation + 1 - size, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def padded(pads: Pads, value: float = 0.0) -> nn.Module:
    """A module that pads the spatial axes."""
    flat = [size for pad in reversed(pads) for size in pad]
    kind = nn.ConstantPad1d if len(pads) == 1 else nn.ConstantPad2d
    return kind(tuple(flat), value)


class Cut(nn.Module):
    """Takes elements off the spatial axes."""

    def __init__(self, cuts: Pads) -> None:
        super().__init__()
        self.cuts = cuts

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for axis, (before, after) in enumerate(self.cuts, 2):
            x = x.narrow(axis, before, x.shape[axis] - before - after)
        return x


def _window(draw: Draw, shape: Shape) -> dict:
    sizes = shape[:-1]
    strides = draw(st.tuples(*(st.integers(1, 2) for _ in sizes)))
    return {
        "kernel_size": draw(st.tuples(*(st.integers(1, min(4, size)) for size in sizes))),
        "strides": strides,
        "padding": draw(st.sampled_from(["valid", "same"])),
        "use_bias": draw(st.booleans()),
        "activation": draw(st.sampled_from(ACTIVATIONS)),
    }


def _dilation(draw: Draw, options: dict, shape: Shape) -> int:
    fits = all((length - 1) * 2 < size for length, size in zip(options["kernel_size"], shape[:-1], strict=True))
    return 2 if fits and set(options["strides"]) == {1} and draw(st.booleans()) else 1


def _conv_options(draw: Draw, shapes: list[Shape]) -> Options:
    (shape,) = shapes
    groups = draw(st.sampled_from([size for size in (1, 1, 2, 3) if shape[-1] % size == 0]))
    options = {**_window(draw, shape), "filters": groups * draw(st.integers(1, 3)), "groups": groups}
    return {**options, "dilation_rate": _dilation(draw, options, shape)}


def _conv_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    (shape,) = shapes
    kind = nn.Conv1d if len(shape) == 2 else nn.Conv2d
    conv = kind(
        shape[-1],
        options["filters"],
        options["kernel_size"],
        options["strides"],
        dilation=options["dilation_rate"],
        groups=options["groups"],
        bias=options["use_bias"],
    )
    return with_activation(_before(options, shape, conv), options["activation"])


def _before(options: Options, shape: Shape, conv: nn.Module) -> nn.Module:
    """The convolution with 'same' padding: its own where both ends get the same, else a module before it."""
    if options["padding"] == "valid":
        return conv
    pads = same_pads(shape[:-1], options["kernel_size"], options["strides"], options.get("dilation_rate", 1))
    if all(before == after for before, after in pads):
        conv.padding = tuple(before for before, _ in pads)
        return conv
    return nn.Sequential(padded(pads), conv)


def _depthwise_options(draw: Draw, shapes: list[Shape]) -> Options:
    (shape,) = shapes
    options = _window(draw, shape)
    strides = (options["strides"][0],) * (len(shape) - 1)  # TensorFlow takes one for both axes
    return {**options, "strides": strides, "depth_multiplier": draw(st.integers(1, 2))}


def _depthwise_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    (shape,) = shapes
    return with_activation(_depthwise(options, shape, bias=options["use_bias"]), options["activation"])


def _depthwise(options: Options, shape: Shape, *, bias: bool) -> nn.Module:
    kind, channels = nn.Conv1d if len(shape) == 2 else nn.Conv2d, shape[-1]
    conv = kind(
        channels,
        channels * options["depth_multiplier"],
        options["kernel_size"],
        options["strides"],
        groups=channels,
        bias=bias,
    )
    return _before(options, shape, conv)


def _separable_options(draw: Draw, shapes: list[Shape]) -> Options:
    return {**_depthwise_options(draw, shapes), "filters": draw(st.integers(1, 5))}


def _separable_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    (shape,) = shapes
    kind = nn.Conv1d if len(shape) == 2 else nn.Conv2d
    pointwise = kind(shape[-1] * options["depth_multiplier"], options["filters"], 1, bias=options["use_bias"])
    return with_activation(nn.Sequential(_depthwise(options, shape, bias=False), pointwise), options["activation"])


def _transposed_options(draw: Draw, shapes: list[Shape]) -> Options:
    (shape,) = shapes
    strides = draw(st.tuples(*(st.integers(1, 3) for _ in shape[:-1])))
    return {
        "filters": draw(st.integers(1, 4)),
        "kernel_size": tuple(stride + draw(st.integers(0, 2)) for stride in strides),
        "strides": strides,
        "padding": draw(st.sampled_from(["valid", "same"])),
        "use_bias": draw(st.booleans()),
        "activation": draw(st.sampled_from(ACTIVATIONS)),
    }


def _transposed_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    (shape,) = shapes
    kind = nn.ConvTranspose1d if len(shape) == 2 else nn.ConvTranspose2d
    size, strides = options["kernel_size"], options["strides"]
    conv: nn.Module = kind(shape[-1], options["filters"], size, strides, bias=options["use_bias"])
    if options["padding"] == "same":
        surplus = [length - stride for length, stride in zip(size, strides, strict=True)]
        conv = nn.Sequential(conv, Cut([(total // 2, total - total // 2) for total in surplus]))
    return with_activation(conv, options["activation"])


def _pool_options(draw: Draw, shapes: list[Shape]) -> Options:
    (shape,) = shapes
    return {
        "pool_size": draw(st.tuples(*(st.integers(1, min(3, size)) for size in shape[:-1]))),
        "strides": draw(st.tuples(*(st.integers(1, 2) for _ in shape[:-1]))),
        "padding": draw(st.sampled_from(["valid", "same"])),
    }


def _max_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    (shape,) = shapes
    kind = nn.MaxPool1d if len(shape) == 2 else nn.MaxPool2d
    pool = kind(_one(options["pool_size"]), _one(options["strides"]))
    if options["padding"] == "valid":
        return pool
    return nn.Sequential(padded(same_pads(shape[:-1], options["pool_size"], options["strides"]), -torch.inf), pool)


class PaddedAverage(nn.Module):
    """An average over those elements of each window that are there."""

    def __init__(self, options: Options, pads: Pads) -> None:
        super().__init__()
        self.options, self.pads = options, [size for pad in reversed(pads) for size in pad]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pool = functional.avg_pool1d if x.dim() == 3 else functional.avg_pool2d
        sizes = _one(self.options["pool_size"]), _one(self.options["strides"])
        there = functional.pad(torch.ones_like(x[:1, :1]), self.pads)
        return pool(functional.pad(x, self.pads), *sizes) / pool(there, *sizes)


def _average_twin(options: Options, shapes: list[Shape]) -> nn.Module:
    (shape,) = shapes
    if options["padding"] == "same":
        return PaddedAverage(options, same_pads(shape[:-1], options["pool_size"], options["strides"]))
    kind = nn.AvgPool1d if len(shape) == 2 else nn.AvgPool2d
    return kind(_one(options["pool_size"]), _one(options["strides"]))


def _one(sizes: Shape) -> Shape | int:
    """Pooling over one axis takes a number."""
    return sizes if len(sizes) > 1 else sizes[0]


def windows() -> Iterator[Piece]:
    for number in (1, 2):
        ranks = (number + 1,)
        for name, options, twin in (
            ("Conv", _conv_options, _conv_twin),
            ("DepthwiseConv", _depthwise_options, _depthwise_twin),
            ("SeparableConv", _separable_options, _separable_twin),
        ):
            yield Piece(f"{name}{number}D", ranks, options, getattr(layers, f"{name}{number}D"), twin)
        transposed = f"Conv{number}DTranspose"
        yield Piece(transposed, ranks, _transposed_options, getattr(layers, transposed), _transposed_twin)
        yield Piece(f"MaxPooling{number}D", ranks, _pool_options, getattr(layers, f"MaxPooling{number}D"), _max_twin)
        average = f"AveragePooling{number}D"
        yield Piece(average, ranks, _pool_options, getattr(layers, average), _average_twin)
