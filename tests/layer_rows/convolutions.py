"""Convolutions: plain, grouped, depthwise, separable and transposed."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from keras import layers

from .case import MAP, SERIES, VOLUME, Case, case


def convolutions() -> Iterator[Case]:
    kinds = ((layers.Conv1D, SERIES, 4), (layers.Conv2D, MAP, (3, 4)), (layers.Conv3D, VOLUME, (2, 3, 2)))
    for kind, shape, kernel in kinds:
        name = kind.__name__.lower()
        for padding, strides in product(("valid", "same"), (1, 2)):
            yield case(f"{name}_{padding}_{strides}", shape, kind, 4, kernel, padding=padding, strides=strides)
        yield case(f"{name}_same_3_wide", shape, kind, 4, 5, padding="same", strides=3)
        yield case(f"{name}_groups", shape, kind, 4, kernel, groups=2, padding="same", activation="relu")
        yield case(f"{name}_no_bias", shape, kind, 4, kernel, use_bias=False)
        if kind is not layers.Conv3D:  # TensorFlow has no dilated Conv3D on a CPU
            yield case(f"{name}_dilated_same", shape, kind, 4, 3, dilation_rate=2, padding="same")
            yield case(f"{name}_dilated_valid", shape, kind, 4, 3, dilation_rate=3, padding="valid")
    yield case("conv1d_causal", SERIES, layers.Conv1D, 4, 3, padding="causal")
    yield case("conv1d_causal_dilated", SERIES, layers.Conv1D, 4, 3, padding="causal", dilation_rate=2)
    yield case("conv1d_causal_strided", SERIES, layers.Conv1D, 4, 4, padding="causal", strides=2)
    yield case("conv2d_rectangular", MAP, layers.Conv2D, 5, (1, 4), strides=(1, 2), padding="same")


def depthwise() -> Iterator[Case]:
    for kind, shape, kernel in ((layers.DepthwiseConv1D, SERIES, 4), (layers.DepthwiseConv2D, MAP, (3, 4))):
        name = kind.__name__.lower()
        for padding, strides in product(("valid", "same"), (1, 2)):
            yield case(f"{name}_{padding}_{strides}", shape, kind, kernel, padding=padding, strides=strides)
        yield case(f"{name}_multiplier", shape, kind, kernel, depth_multiplier=3, padding="same", activation="relu")
        yield case(f"{name}_dilated", shape, kind, 3, dilation_rate=2, padding="same", use_bias=False)
        yield case(f"{name}_dilated_strided", shape, kind, 3, dilation_rate=2, strides=2, padding="same")
    for kind, shape, kernel in ((layers.SeparableConv1D, SERIES, 4), (layers.SeparableConv2D, MAP, (3, 4))):
        name = kind.__name__.lower()
        for padding, strides in product(("valid", "same"), (1, 2)):
            yield case(f"{name}_{padding}_{strides}", shape, kind, 5, kernel, padding=padding, strides=strides)
        yield case(f"{name}_multiplier", shape, kind, 5, kernel, depth_multiplier=2, activation="relu")
        yield case(f"{name}_dilated_no_bias", shape, kind, 5, 3, dilation_rate=2, padding="same", use_bias=False)


def transposed() -> Iterator[Case]:
    kinds = (
        (layers.Conv1DTranspose, SERIES, 4),
        (layers.Conv2DTranspose, MAP, (3, 4)),
        (layers.Conv3DTranspose, VOLUME, (2, 3, 2)),
    )
    for kind, shape, kernel in kinds:
        name = kind.__name__.lower()
        for padding, strides in product(("valid", "same"), (1, 2, 3)):
            yield case(f"{name}_{padding}_{strides}", shape, kind, 4, kernel, padding=padding, strides=strides)
        yield case(f"{name}_odd_same_2", shape, kind, 4, 3, padding="same", strides=2, activation="relu")
        yield case(f"{name}_small_kernel", shape, kind, 4, 1, strides=2, padding="same", use_bias=False)
        yield case(f"{name}_output_padding", shape, kind, 4, 3, strides=3, padding="same", output_padding=2)
        yield case(f"{name}_output_padding_valid", shape, kind, 4, 3, strides=3, output_padding=1)
    yield case("conv2dtranspose_dilated", MAP, layers.Conv2DTranspose, 4, 3, dilation_rate=2, padding="same")
