"""Normalisation by statistics of the batch, the sample, or the group."""

from __future__ import annotations

from collections.abc import Iterator

from keras import layers

from .case import MAP, SERIES, VECTOR, VOLUME, Case, case


def normalisation() -> Iterator[Case]:
    for letter, shape in (("vector", VECTOR), ("series", SERIES), ("map", MAP), ("volume", VOLUME)):
        yield case(f"bn_{letter}", shape, layers.BatchNormalization)
        yield case(f"ln_{letter}", shape, layers.LayerNormalization)
        yield case(f"gn_{letter}", shape, layers.GroupNormalization, 2)
    yield case("bn_axis_1", MAP, layers.BatchNormalization, axis=1)
    yield case("bn_axis_2", MAP, layers.BatchNormalization, axis=2)
    yield case("bn_no_scale", MAP, layers.BatchNormalization, scale=False, epsilon=1e-5)
    yield case("bn_no_center", MAP, layers.BatchNormalization, center=False)
    yield case("bn_neither", VECTOR, layers.BatchNormalization, center=False, scale=False)
    yield case("ln_axis_1", MAP, layers.LayerNormalization, axis=1)
    yield case("ln_two_axes", MAP, layers.LayerNormalization, axis=(-2, -1))
    yield case("ln_outer_axes", MAP, layers.LayerNormalization, axis=(1, 3), epsilon=1e-6)
    yield case("ln_no_scale", MAP, layers.LayerNormalization, scale=False)
    yield case("ln_no_center", VECTOR, layers.LayerNormalization, center=False)
    yield case("ln_neither", SERIES, layers.LayerNormalization, center=False, scale=False)
    yield case("ln_rms", SERIES, layers.LayerNormalization, rms_scaling=True)
    yield case("gn_axis_1", (6, 5, 7), layers.GroupNormalization, 3, axis=1)
    yield case("gn_instance", MAP, layers.GroupNormalization, -1)
    yield case("gn_no_scale", MAP, layers.GroupNormalization, 3, scale=False)
    yield case("gn_no_center", MAP, layers.GroupNormalization, 3, center=False, epsilon=1e-5)
    yield case("rms", SERIES, layers.RMSNormalization)
    yield case("unit", SERIES, layers.UnitNormalization)
