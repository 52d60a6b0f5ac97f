"""Every function of keras.activations, alone and inside a layer, and the activation layers."""

from __future__ import annotations

from collections.abc import Iterator

import keras
from keras import layers

from .case import MAP, SERIES, VECTOR, Case, case

ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
    "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh",
    "tanh_shrink", "threshold",
)  # fmt: skip


def activations() -> Iterator[Case]:
    for name in ACTIVATIONS:
        yield case(f"activation_{name}", SERIES, layers.Activation, _activation(name))
        yield case(f"dense_{name}", VECTOR, layers.Dense, 4, activation=_activation(name))
    yield case("gelu_tanh", MAP, layers.Activation, lambda x: keras.activations.gelu(x, approximate=True))
    yield case("relu_layer", MAP, layers.ReLU)
    yield case("relu_layer_options", MAP, layers.ReLU, max_value=0.8, negative_slope=0.2, threshold=0.1)
    yield case("relu_layer_6", MAP, layers.ReLU, 6.0)
    yield case("leaky_relu_layer", MAP, layers.LeakyReLU, negative_slope=0.15)
    yield case("elu_layer", MAP, layers.ELU, alpha=0.7)
    yield case("softmax_layer", MAP, layers.Softmax)
    yield case("softmax_layer_axis_1", MAP, layers.Softmax, axis=1)
    yield case("prelu", MAP, layers.PReLU)
    yield case("prelu_shared", MAP, layers.PReLU, shared_axes=[1, 2])
    yield case("prelu_series", SERIES, layers.PReLU, shared_axes=[1])
    yield case("prelu_vector", VECTOR, layers.PReLU)


def _activation(name: str):
    return (
        getattr(keras.activations, name) if name != "threshold" else lambda x: keras.activations.threshold(x, 0.2, -1)
    )
