"""Dense and Embedding."""

from __future__ import annotations

from collections.abc import Iterator

from keras import layers

from .case import MAP, SERIES, VECTOR, Case, case


def dense() -> Iterator[Case]:
    for letter, shape in (("vector", VECTOR), ("series", SERIES), ("map", MAP)):
        yield case(f"dense_{letter}", shape, layers.Dense, 5)
        yield case(f"dense_{letter}_no_bias", shape, layers.Dense, 5, use_bias=False, activation="tanh")
    yield case("dense_wide", VECTOR, layers.Dense, 1)
    yield case("embedding", (7,), layers.Embedding, 9, 4, dtype="int32")
    yield case("embedding_masked", (7,), layers.Embedding, 9, 4, mask_zero=True, dtype="int32")
    yield case("embedding_of_floats", (5,), layers.Embedding, 9, 4, dtype="int8")
