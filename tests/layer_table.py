"""Every layer and option that torchgraft converts: each stage that handles layers is tested over this table.

The cases of one input shape make one model with an output a case, so that a table of hundreds costs a few conversions.
Sizes are odd and unequal, so that a swapped axis cannot pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import keras
from keras import layers
from keras_models import randomised

SERIES, MAP, VOLUME, VECTOR = (11, 6), (9, 11, 6), (5, 7, 6, 4), (6,)


@dataclass(frozen=True)
class Case:
    """One layer with its options.

    Attributes:
        name: of the case, and of the layer; unique.
        shape: of one sample.
        make: the layer under a name, given ``name=``; called on the input, or on two of them.
        inputs: how many inputs the layer takes (the same tensor, and a scaled one).
        dtype: of the input.
    """

    name: str
    shape: tuple[int, ...]
    make: Callable[..., layers.Layer]
    inputs: int = 1
    dtype: str = "float32"


def case(
    name: str, shape: tuple[int, ...], kind: type, *args, inputs: int = 1, dtype: str = "float32", **options
) -> Case:
    return Case(name, shape, lambda name: kind(*args, name=name, **options), inputs, dtype)


def _convolutions() -> Iterator[Case]:
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


def _depthwise() -> Iterator[Case]:
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


def _transposed() -> Iterator[Case]:
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


def _pooling() -> Iterator[Case]:
    for number, shape in ((1, SERIES), (2, MAP), (3, VOLUME)):
        for mode in ("Max", "Average"):
            kind = getattr(layers, f"{mode}Pooling{number}D")
            name = kind.__name__.lower()
            for padding, strides in product(("valid", "same"), (None, 1)):
                yield case(f"{name}_{padding}_{strides}", shape, kind, 2, strides=strides, padding=padding)
            yield case(f"{name}_wide_same", shape, kind, 3, strides=2, padding="same")
            yield case(f"{name}_gaps_same", shape, kind, 2, strides=3, padding="same")
            kind = getattr(layers, f"Global{mode}Pooling{number}D")
            yield case(kind.__name__.lower(), shape, kind)
            yield case(f"{kind.__name__.lower()}_kept", shape, kind, keepdims=True)


def _normalisation() -> Iterator[Case]:
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


def _reshaping() -> Iterator[Case]:
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


def _dense() -> Iterator[Case]:
    for letter, shape in (("vector", VECTOR), ("series", SERIES), ("map", MAP)):
        yield case(f"dense_{letter}", shape, layers.Dense, 5)
        yield case(f"dense_{letter}_no_bias", shape, layers.Dense, 5, use_bias=False, activation="tanh")
    yield case("dense_wide", VECTOR, layers.Dense, 1)
    yield case("embedding", (7,), layers.Embedding, 9, 4, dtype="int32")
    yield case("embedding_masked", (7,), layers.Embedding, 9, 4, mask_zero=True, dtype="int32")
    yield case("embedding_of_floats", (5,), layers.Embedding, 9, 4, dtype="int8")


def _merging() -> Iterator[Case]:
    for kind in (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum):
        yield case(kind.__name__.lower(), MAP, kind, inputs=2)
    yield case("concatenate", MAP, layers.Concatenate, inputs=2)
    yield case("concatenate_axis_1", MAP, layers.Concatenate, axis=1, inputs=2)
    yield case("dot_vector", VECTOR, layers.Dot, axes=1, inputs=2)
    yield case("dot_normalized", VECTOR, layers.Dot, axes=1, normalize=True, inputs=2)
    yield case("dot_series", SERIES, layers.Dot, axes=(1, 1), inputs=2)
    yield case("dot_series_last", SERIES, layers.Dot, axes=2, inputs=2)


ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
    "soft_shrink", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh",
    "tanh_shrink", "threshold",
)  # fmt: skip


def _activations() -> Iterator[Case]:
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


def _identities() -> Iterator[Case]:
    yield case("dropout", MAP, layers.Dropout, 0.5)
    yield case("spatial_dropout1d", SERIES, layers.SpatialDropout1D, 0.5)
    yield case("spatial_dropout2d", MAP, layers.SpatialDropout2D, 0.5)
    yield case("spatial_dropout3d", VOLUME, layers.SpatialDropout3D, 0.5)
    yield case("alpha_dropout", MAP, layers.AlphaDropout, 0.5)
    yield case("gaussian_dropout", MAP, layers.GaussianDropout, 0.5)
    yield case("gaussian_noise", MAP, layers.GaussianNoise, 0.5)
    yield case("activity", MAP, layers.ActivityRegularization, 0.1)
    yield case("identity", MAP, layers.Identity)
    yield case("rescaling", MAP, layers.Rescaling, 1 / 127.5, offset=-1.0)
    yield case("rescaling_channels", MAP, layers.Rescaling, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], offset=0.5)
    yield case("normalization", MAP, layers.Normalization)
    yield case("normalization_vector", VECTOR, layers.Normalization)
    yield case("normalization_inverted", MAP, layers.Normalization, invert=True)
    yield case("normalization_given", MAP, layers.Normalization, mean=[0.1] * 6, variance=[0.5, 1, 2, 3, 4, 5])
    yield case("normalization_scalar", MAP, layers.Normalization, axis=None)


CASES: tuple[Case, ...] = tuple(
    one
    for family in (
        _dense, _convolutions, _depthwise, _transposed, _pooling, _normalisation, _reshaping, _merging, _activations,
        _identities,
    )
    for one in family()
)  # fmt: skip


def shapes() -> tuple[tuple[tuple[int, ...], str], ...]:
    """(sample shape, dtype) of every model that the table makes."""
    return tuple(dict.fromkeys((one.shape, one.dtype) for one in CASES))


def table_model(shape: tuple[int, ...], dtype: str) -> keras.Model:
    """All cases of one input shape in one model: a layer and an output a case, both under its name."""
    given = keras.Input(shape, name="given", dtype=dtype)
    outputs = {}
    for one in CASES:
        if (one.shape, one.dtype) == (shape, dtype):
            layer = one.make(name=one.name)
            outputs[one.name] = layer([given, given * 0.5 + 0.25]) if one.inputs == 2 else layer(given)
    model = randomised(keras.Model(given, outputs, name="table"))
    for layer in model.layers:
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return model
