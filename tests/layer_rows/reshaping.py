"""What moves, pads, crops and repeats."""

from __future__ import annotations

from collections.abc import Iterator

from keras import layers

from .case import MAP, SERIES, VECTOR, VOLUME, Case, case


def reshaping() -> Iterator[Case]:
    yield case("pad1d", SERIES, layers.ZeroPadding1D, (2, 1))
    yield case("pad2d", MAP, layers.ZeroPadding2D, ((1, 2), (0, 3)))
    yield case("pad3d", VOLUME, layers.ZeroPadding3D, ((1, 0), (2, 1), (0, 3)))
    yield case("crop1d", SERIES, layers.Cropping1D, (2, 1))
    yield case("crop2d", MAP, layers.Cropping2D, ((1, 2), (0, 3)))
    yield case("crop3d", VOLUME, layers.Cropping3D, ((1, 0), (2, 1), (0, 3)))
    yield case("up1d", SERIES, layers.UpSampling1D, 3)
    yield case("up2d_nearest", MAP, layers.UpSampling2D, (2, 3))
    yield case("up2d_bilinear", MAP, layers.UpSampling2D, (2, 3), interpolation="bilinear")
    yield case("up3d", VOLUME, layers.UpSampling3D, (2, 1, 3))
    for letter, shape in (("vector", VECTOR), ("series", SERIES), ("map", MAP), ("volume", VOLUME)):
        yield case(f"flatten_{letter}", shape, layers.Flatten)
    yield case("reshape", MAP, layers.Reshape, (11, 54))
    yield case("reshape_free", MAP, layers.Reshape, (-1, 6))
    yield case("reshape_vector", VECTOR, layers.Reshape, (1, 2, 3))
    yield case("permute", MAP, layers.Permute, (3, 1, 2))
    yield case("permute_series", SERIES, layers.Permute, (2, 1))
    yield case("repeat", VECTOR, layers.RepeatVector, 3)
