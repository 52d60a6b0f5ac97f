"""A user's own classes: a layer, a wrapper around a layer, a Lambda."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from .case import SERIES, VECTOR, Case, case


class Gated(layers.Layer):
    """A layer with a weight and inner layers of its own: x * sigmoid(W x) + offset."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.gate = layers.Dense(shape[-1], activation="sigmoid", name="gate")
        self.gate.build(shape)
        self.offset = self.add_weight(shape=(shape[-1],), name="offset")

    def call(self, x):
        return x * self.gate(x) + self.offset


class Halved(layers.Wrapper):
    """What its layer gives, halved."""

    def call(self, x):
        return self.layer(x) / 2


def own() -> Iterator[Case]:
    for letter, shape in (("vector", VECTOR), ("series", SERIES)):
        yield case(f"own_layer_{letter}", shape, Gated)
        yield case(f"own_wrapper_{letter}", shape, Halved, layers.Dense(3, name="inner"))
    yield case("lambda", SERIES, layers.Lambda, lambda x: keras.ops.square(x) - 1)
