"""Functions of ``keras.ops`` on a value (N, 11, 6), called as a functional model, a Lambda or a user's own layer would.

Each is verified through stages 1 to 4, or refused with its TensorFlow operation and the place (``REFUSED``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

Function = Callable[[Any], Any]
MATRIX = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")
SQUARE = np.random.default_rng(1).normal(size=(11, 11)).astype("float32")

ELEMENTWISE: dict[str, Function] = {
    name: getattr(ops, name)
    for name in (
        "abs", "arctan", "arcsinh", "ceil", "cos", "cosh", "erf", "exp", "expm1", "floor", "negative", "relu", "relu6",
        "round", "selu", "sigmoid", "sign", "silu", "sin", "sinh", "softplus", "softsign", "square", "tan", "tanh",
        "elu", "gelu", "hard_sigmoid", "hard_silu", "leaky_relu", "log_sigmoid", "reciprocal", "celu", "squareplus",
    )
}  # fmt: skip
ARITHMETIC: dict[str, Function] = {
    "log": lambda x: ops.log(ops.abs(x) + 1),
    "log1p": lambda x: ops.log1p(ops.abs(x)),
    "log2": lambda x: ops.log2(ops.abs(x) + 1),
    "log10": lambda x: ops.log10(ops.abs(x) + 1),
    "sqrt": lambda x: ops.sqrt(ops.abs(x)),
    "rsqrt": lambda x: ops.rsqrt(ops.abs(x) + 1),
    "power": lambda x: ops.power(ops.abs(x) + 1, 1.7),
    "mod": lambda x: ops.mod(ops.abs(x), 0.7),
    "floor_divide": lambda x: ops.floor_divide(x, 0.7),
    "true_divide": lambda x: ops.true_divide(x, ops.abs(x) + 1),
    "maximum": lambda x: ops.maximum(x, 0.1),
    "minimum": lambda x: ops.minimum(x, -0.1),
    "clip": lambda x: ops.clip(x, -0.5, 0.6),
    "where": lambda x: ops.where(x > 0, x, x * 0.1),
    "where_one_infinite": lambda x: ops.where(x > 0, 1 / x, 0.0),
    "logical": lambda x: ops.cast(ops.logical_and(x > 0, ops.logical_not(x > 1)), "float32") + x,
    "arctan2": lambda x: ops.arctan2(x, ops.abs(x) + 0.5),
    "nan_to_num": ops.nan_to_num,
}
REDUCTIONS: dict[str, Function] = {
    "sum": lambda x: ops.sum(x, axis=1),
    "mean": lambda x: ops.mean(x, axis=(1, 2)),
    "max": lambda x: ops.max(x, axis=-1),
    "min": lambda x: ops.min(x, axis=1, keepdims=True),
    "prod": lambda x: ops.prod(x, axis=2),
    "var": lambda x: ops.var(x, axis=1),
    "std": lambda x: ops.std(x, axis=2),
    "norm": lambda x: ops.norm(x, axis=-1),
    "norm_1": lambda x: ops.norm(x, ord=1, axis=1),
    "logsumexp": lambda x: ops.logsumexp(x, axis=1),
    "softmax": lambda x: ops.softmax(x, axis=1),
    "log_softmax": lambda x: ops.log_softmax(x, axis=-1),
    "argmax": lambda x: ops.argmax(x, axis=1),
    "argmin": lambda x: ops.argmin(x, axis=-1),
    "cumsum": lambda x: ops.cumsum(x, axis=1),
    "cumprod": lambda x: ops.cumprod(x, axis=1),
    "any": lambda x: ops.cast(ops.any(x > 1, axis=2), "float32") + x[:, :, 0],
    "count_nonzero": lambda x: ops.count_nonzero(ops.relu(x), axis=1),
    "moments": lambda x: ops.concatenate(ops.moments(x, axes=[1]), axis=-1),
    "normalize": lambda x: ops.normalize(x, axis=-1),
    "rms_normalization": ops.rms_normalization,
    "layer_normalization": ops.layer_normalization,
}
PRODUCTS: dict[str, Function] = {
    "matmul": lambda x: ops.matmul(x, MATRIX),
    "matmul_left": lambda x: ops.matmul(SQUARE, x),
    "dot": lambda x: ops.dot(x, MATRIX),
    "tensordot": lambda x: ops.tensordot(x, MATRIX, axes=[[2], [0]]),
    "einsum": lambda x: ops.einsum("abc,cd->adb", x, MATRIX),
    "einsum_values": lambda x: ops.einsum("abc,adc->abd", x, x),
    "einsum_outer": lambda x: ops.einsum("abc,abd->abcd", x, x),
    "einsum_diagonal": lambda x: ops.einsum("abb->ab", x[:, :6]),
    "outer_sum": lambda x: ops.expand_dims(x, 1) + ops.expand_dims(x, 2),
    "vdot_like": lambda x: ops.sum(x * x, axis=-1),
    "cross": lambda x: ops.cross(x[..., :3], x[..., 3:]),
    "kron_like": lambda x: ops.reshape(ops.expand_dims(x, -1) * MATRIX[0], (-1, 11, 30)),
}
SHAPES: dict[str, Function] = {
    "reshape": lambda x: ops.reshape(x, (-1, 6, 11)),
    "transpose": lambda x: ops.transpose(x, (0, 2, 1)),
    "swapaxes": lambda x: ops.swapaxes(x, 1, 2),
    "moveaxis": lambda x: ops.moveaxis(x, -1, 1),
    "squeeze": lambda x: ops.squeeze(x[:, :1], 1),
    "expand_dims": lambda x: ops.expand_dims(x, 2),
    "stack": lambda x: ops.stack([x, x * 2], axis=2),
    "unstack": lambda x: ops.unstack(x, axis=2)[3],
    "concatenate": lambda x: ops.concatenate([x, x * 2], axis=1),
    "hstack": lambda x: ops.hstack([x, x * 2]),
    "split": lambda x: ops.split(x, 3, axis=2)[1],
    "split_at": lambda x: ops.split(x, [2, 5], axis=1)[1],
    "pad": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1]]),
    "pad_reflect": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 0]], mode="reflect"),
    "roll": lambda x: ops.roll(x, 2, axis=1),
    "flip": lambda x: ops.flip(x, axis=1),
    "tile": lambda x: ops.tile(x, (1, 2, 1)),
    "repeat": lambda x: ops.repeat(x, 2, axis=1),
    "broadcast_to": lambda x: ops.broadcast_to(x[:, :1], (3, 11, 6)) + x,
    "slice": lambda x: ops.slice(x, (0, 2, 1), (3, 4, 3)),
    "getitem": lambda x: x[:, 1:9:2, ::-1],
    "take": lambda x: ops.take(x, [3, 0, 2], axis=1),
    "take_negative": lambda x: ops.take(x, -1, axis=2),
    "take_along_axis": lambda x: ops.take_along_axis(x, ops.argmax(x, axis=1, keepdims=True), axis=1),
    "diagonal": lambda x: ops.diagonal(x[:, :6], axis1=1, axis2=2),
    "trace": lambda x: ops.trace(x[:, :6], axis1=1, axis2=2),
    "tril": ops.tril,
    "triu": lambda x: ops.triu(x, k=1),
    "meshgrid": lambda x: x + ops.cast(ops.meshgrid(ops.arange(6), ops.arange(11))[0], "float32"),
    "arange": lambda x: x * ops.cast(ops.arange(6), "float32"),
    "linspace": lambda x: x * ops.linspace(0.0, 1.0, 6),
    "zeros_like": lambda x: x + ops.zeros_like(x),
    "ones_like": lambda x: x + ops.ones_like(x),
    "full_like": lambda x: x * ops.full_like(x, 3.0),
    "eye": lambda x: x @ ops.eye(6),
    "vectorize": lambda x: ops.reshape(x, (-1, 66)),
}
SELECTIONS: dict[str, Function] = {
    "top_k": lambda x: ops.top_k(x, 3)[0],
    "top_k_places": lambda x: ops.top_k(x, 3)[1],
    "sort": lambda x: ops.sort(x, axis=1),
    "argsort": lambda x: ops.argsort(x, axis=-1),
    "one_hot": lambda x: ops.one_hot(ops.argmax(x, axis=-1), 6),
    "multi_hot": lambda x: ops.multi_hot(ops.cast(ops.argmax(x, axis=1), "int32"), 11),
    "searchsorted": lambda x: ops.searchsorted(np.linspace(-1, 1, 5).astype("float32"), x[:, 0, 0]),
    "digitize": lambda x: ops.digitize(x, np.array([-0.5, 0.0, 0.5], "float32")),
    "in_top_k": lambda x: ops.cast(ops.in_top_k(ops.argmax(x[:, :, 0], axis=1), x[:, :, 1], 3), "float32") + x[:, 0, 0],
    "scatter_update": lambda x: ops.scatter_update(x, [[0, 1, 2]], x[0, 0, :1] * 3),
    "segment_sum": lambda x: ops.segment_sum(x[:, :, 0], ops.cast(x[:, 0, 0] > 0, "int32"), 2),
    "unique_like": lambda x: ops.max(ops.one_hot(ops.argmax(x, axis=-1), 6), axis=1),
}
IMAGES: dict[str, Function] = {
    "conv": lambda x: ops.conv(x, np.random.default_rng(2).normal(size=(3, 6, 4)).astype("float32"), padding="same"),
    "depthwise_conv": lambda x: ops.depthwise_conv(
        x, np.random.default_rng(3).normal(size=(3, 6, 1)).astype("float32"), padding="valid"
    ),
    "max_pool": lambda x: ops.max_pool(x, 2, strides=2),
    "average_pool": lambda x: ops.average_pool(x, 3, strides=1, padding="same"),
    "image_resize": lambda x: ops.image.resize(ops.expand_dims(x, -1), (7, 9), interpolation="bicubic"),
    "extract_patches": lambda x: ops.image.extract_patches(ops.expand_dims(x[:, :10], -1), 2),
    "rfft": lambda x: ops.rfft(x)[0],
    "fft": lambda x: ops.fft((x, ops.zeros_like(x)))[1],
    "cond_like": lambda x: ops.where(ops.mean(x, axis=(1, 2), keepdims=True) > 0, x, -x),
    "dot_product_attention": lambda x: ops.dot_product_attention(*[ops.reshape(x, (-1, 11, 2, 3))] * 3),
    "binary_crossentropy": lambda x: ops.binary_crossentropy(ops.sigmoid(x * 0.5), ops.sigmoid(x)),
}
FUNCTIONS: dict[str, Function] = {
    **ELEMENTWISE, **ARITHMETIC, **REDUCTIONS, **PRODUCTS, **SHAPES, **SELECTIONS, **IMAGES,
}  # fmt: skip
#: What the refusal says.
REFUSED = {
    "cross": "Cross",
    "in_top_k": "InTopKV2",
    "digitize": "Bucketize",
    "searchsorted": "LowerBound",
    "segment_sum": "Unique",
}


def model_of(name: str) -> keras.Model:
    given = keras.Input((11, 6), name="given")
    return keras.Model(given, FUNCTIONS[name](given), name=name)
