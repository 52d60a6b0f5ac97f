"""Layers of two inputs."""

from __future__ import annotations

from collections.abc import Iterator

from keras import layers

from .case import MAP, SERIES, VECTOR, Case, case


def merging() -> Iterator[Case]:
    for kind in (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum):
        yield case(kind.__name__.lower(), MAP, kind, inputs=2)
    yield case("concatenate", MAP, layers.Concatenate, inputs=2)
    yield case("concatenate_axis_1", MAP, layers.Concatenate, axis=1, inputs=2)
    yield case("dot_vector", VECTOR, layers.Dot, axes=1, inputs=2)
    yield case("dot_normalized", VECTOR, layers.Dot, axes=1, normalize=True, inputs=2)
    yield case("dot_series", SERIES, layers.Dot, axes=(1, 1), inputs=2)
    yield case("dot_series_last", SERIES, layers.Dot, axes=2, inputs=2)
