"""The functions of ``keras.ops`` beside those of operations.py, so that each public one stands somewhere.

Each is called in a Lambda, on a value (N, 11, 6): verified through stages 1 to 4, or refused with the layer's path.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

Function = Callable[[Any], Any]
RANDOM = np.random.default_rng(5)
KERNEL = RANDOM.normal(size=(3, 4, 6)).astype("float32")
OTHER = RANDOM.normal(size=(11, 6)).astype("float32")
COUNTS = RANDOM.integers(0, 5, (11, 6)).astype("int32")


def whole(x: Any) -> Any:
    """Integers of the value's shape."""
    return ops.cast(ops.floor(x * 4), "int32") + COUNTS


def grid(x: Any) -> Any:
    """(N, 11, 6, 1)."""
    return ops.expand_dims(x, -1)


def square(x: Any) -> Any:
    """Positive definite matrices (N, 6, 6)."""
    return ops.matmul(ops.transpose(x, (0, 2, 1)), x) + 8 * ops.eye(6)


def real(x: Any) -> Any:
    return ops.cast(x, "float32")


def colours(x: Any) -> Any:
    """Images (N, 11, 2, 3) between 0 and 1."""
    return ops.sigmoid(ops.reshape(x, (-1, 11, 2, 3)))


SAME: dict[str, str] = {
    # another name of a function of operations.py → that function
    "absolute": "abs", "amax": "max", "amin": "min", "array": "convert_to_tensor", "bitwise_not": "bitwise_invert",
    "hard_swish": "hard_silu", "swish": "silu", "divide": "true_divide", "vectorize": "reshape",
    "conjugate": "conj", "get_item": "getitem", "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
}  # fmt: skip

#: Functions that compute nothing of a model's values.
NO_VALUES: dict[str, str] = {
    "convert_to_numpy": "it leaves the model: Keras itself cannot call it on symbols",
    "is_tensor": "it answers a question about Python objects",
    "dtype": "it gives a name",
    "custom_gradient": "it changes how a function is differentiated",
    "jvp": "it differentiates a function",
}

ARITHMETIC: dict[str, Function] = {
    "add": lambda x: ops.add(x, OTHER),
    "subtract": lambda x: ops.subtract(x, OTHER),
    "multiply": lambda x: ops.multiply(x, OTHER),
    "divide_no_nan": lambda x: ops.divide_no_nan(x, ops.relu(OTHER)),
    "all": lambda x: real(ops.all(x > -1, axis=2)) + x[:, :, 0],
    "allclose": lambda x: real(ops.allclose(x, x)) + x,
    "arccos": lambda x: ops.arccos(ops.tanh(x)),
    "arcsin": lambda x: ops.arcsin(ops.tanh(x)),
    "arccosh": lambda x: ops.arccosh(1.1 + ops.abs(x)),
    "arctanh": lambda x: ops.arctanh(0.9 * ops.tanh(x)),
    "angle": ops.angle,
    "average": lambda x: ops.average(x, axis=1, weights=np.arange(1.0, 12.0, dtype="float32")),
    "batch_normalization": lambda x: ops.batch_normalization(x, OTHER[0], OTHER[1] ** 2 + 0.1, axis=-1),
    "cbrt": lambda x: ops.cbrt(ops.abs(x) + 0.1),
    "copy": lambda x: ops.copy(x) * 2,
    "conj": lambda x: ops.conj(x) * 2,
    "real": lambda x: ops.real(x) * 2,
    "imag": lambda x: ops.imag(x) + x,
    "deg2rad": ops.deg2rad,
    "rad2deg": ops.rad2deg,
    "equal": lambda x: real(ops.equal(x > 0, OTHER > 0)) + x,
    "not_equal": lambda x: real(ops.not_equal(x > 0, OTHER > 0)) + x,
    "greater": lambda x: real(ops.greater(x, OTHER)) + x,
    "greater_equal": lambda x: real(ops.greater_equal(x, OTHER)) + x,
    "less": lambda x: real(ops.less(x, OTHER)) + x,
    "less_equal": lambda x: real(ops.less_equal(x, OTHER)) + x,
    "logical_or": lambda x: real(ops.logical_or(x > 0, OTHER > 0)) + x,
    "logical_xor": lambda x: real(ops.logical_xor(x > 0, OTHER > 0)) + x,
    "erfc": ops.erfc,
    "erfinv": lambda x: ops.erfinv(0.9 * ops.tanh(x)),
    "exp2": ops.exp2,
    "fabs": ops.fabs,
    "fmax": lambda x: ops.fmax(x, OTHER),
    "fmin": lambda x: ops.fmin(x, OTHER),
    "fmod": lambda x: ops.fmod(x, 0.7),
    "heaviside": lambda x: ops.heaviside(x, 0.5) + x,
    "hypot": lambda x: ops.hypot(x, OTHER),
    "i0": ops.i0,
    "isclose": lambda x: real(ops.isclose(x, OTHER, atol=0.5)) + x,
    "isfinite": lambda x: real(ops.isfinite(x)) + x,
    "isinf": lambda x: real(ops.isinf(x)) + x,
    "isnan": lambda x: real(ops.isnan(x)) + x,
    "isneginf": lambda x: real(ops.isneginf(x)) + x,
    "isposinf": lambda x: real(ops.isposinf(x)) + x,
    "isreal": lambda x: real(ops.isreal(x)) + x,
    "isin": lambda x: real(ops.isin(whole(x), np.arange(3, dtype="int32"))) + x,
    "ldexp": lambda x: ops.ldexp(x, COUNTS),
    "logaddexp": lambda x: ops.logaddexp(x, OTHER),
    "logaddexp2": lambda x: ops.logaddexp2(x, OTHER),
    "nextafter": lambda x: ops.nextafter(x, OTHER),
    "polar": lambda x: ops.real(ops.polar(ops.abs(x), OTHER)),
    "psnr": lambda x: ops.psnr(x, x * 0.9, 1.0) + x,
    "saturate_cast": lambda x: real(ops.saturate_cast(x * 50, "int8")) + x,
    "signbit": lambda x: real(ops.signbit(x)) + x,
    "sinc": ops.sinc,
    "stop_gradient": lambda x: ops.stop_gradient(x) * 2,
    "trunc": lambda x: ops.trunc(x * 3),
    "convert_to_tensor": lambda x: x + ops.convert_to_tensor(OTHER),
    "gcd": lambda x: ops.gcd(whole(x), 12),
    "lcm": lambda x: ops.lcm(ops.abs(whole(x)) + 1, 6),
    "bitwise_and": lambda x: ops.bitwise_and(whole(x), 5),
    "bitwise_or": lambda x: ops.bitwise_or(whole(x), 5),
    "bitwise_xor": lambda x: ops.bitwise_xor(whole(x), 5),
    "bitwise_invert": lambda x: ops.bitwise_invert(whole(x)),
    "bitwise_left_shift": lambda x: ops.bitwise_left_shift(whole(x), 2),
    "bitwise_right_shift": lambda x: ops.bitwise_right_shift(whole(x), 1),
}
ACTIVATIONS: dict[str, Function] = {
    name: getattr(ops, name)
    for name in (
        "hard_shrink", "hard_tanh", "soft_shrink", "sparse_plus", "sparse_sigmoid", "sparsemax", "tanh_shrink", "glu",
    )
} | {"threshold": lambda x: ops.threshold(x, 0.1, 0.2)}  # fmt: skip
SHAPES: dict[str, Function] = {
    "append": lambda x: ops.append(x, x, axis=1),
    "array_split": lambda x: ops.array_split(x, 3, axis=1)[1],
    "depth_to_space": lambda x: ops.depth_to_space(ops.reshape(x[:, :10], (-1, 5, 3, 4)), 2),
    "space_to_depth": lambda x: ops.space_to_depth(ops.reshape(x[:, :10], (-1, 10, 6, 1)), 2),
    "diag": lambda x: x @ ops.diag(OTHER[0]),
    "diagflat": lambda x: x @ ops.diagflat(OTHER[0]),
    "diff": lambda x: ops.diff(x, axis=1),
    "dsplit": lambda x: ops.dsplit(x, 2)[1],
    "hsplit": lambda x: ops.hsplit(x, [4])[1],
    "vsplit": lambda x: ops.vsplit(x, [1])[1],
    "dstack": lambda x: ops.dstack([x, x * 2]),
    "vstack": lambda x: ops.vstack([x, x * 2]),
    "empty": lambda x: x + 0 * ops.nan_to_num(ops.empty((6,))),
    "empty_like": lambda x: x + 0 * ops.nan_to_num(ops.empty_like(x)),
    "fliplr": ops.fliplr,
    "flipud": ops.flipud,
    "full": lambda x: x + ops.full((6,), 2.0),
    "ones": lambda x: x + ops.ones((6,)),
    "zeros": lambda x: x + ops.zeros((6,)),
    "identity": lambda x: x @ ops.identity(6),
    "tri": lambda x: x @ ops.tri(6),
    "geomspace": lambda x: x * ops.geomspace(1.0, 8.0, 6),
    "logspace": lambda x: x * ops.logspace(0.0, 1.0, 6),
    "bartlett": lambda x: x * ops.bartlett(6),
    "blackman": lambda x: x * ops.blackman(6),
    "hamming": lambda x: x * ops.hamming(6),
    "hanning": lambda x: x * ops.hanning(6),
    "kaiser": lambda x: x * ops.kaiser(6, 3.0),
    "vander": lambda x: ops.vander(x[:, 0, 0], 3),
    "ndim": lambda x: x * ops.ndim(x),
    "shape": lambda x: x * ops.shape(x)[1],
    "size": lambda x: x * real(ops.size(x)),
    "ravel": ops.ravel,
    "rearrange": lambda x: ops.rearrange(x, "n t (h d) -> n h t d", h=2),
    "rot90": lambda x: ops.rot90(x, axes=(1, 2)),
    "select": lambda x: ops.select([x > 1, x < 0], [x * 2, -x], 0.5),
    "slice_update": lambda x: ops.slice_update(x, (0, 2, 1), ops.slice(x, (0, 0, 0), (3, 4, 3)) * 3),
    "scatter": lambda x: ops.scatter([[1], [3]], ops.stack([x[0, 0], x[0, 1]]), (5, 6)),
    "switch": lambda x: ops.switch(1, [lambda v: v, lambda v: v * 2], x),
    "unravel_index": lambda x: ops.unravel_index(ops.argmax(x, axis=1), (3, 4))[1],
    "view": lambda x: ops.view(x, "int32"),
    "view_as_complex": lambda x: ops.real(ops.view_as_complex(ops.reshape(x, (-1, 11, 3, 2)))),
    "view_as_real": lambda x: ops.view_as_real(ops.cast(x, "complex64")),
    "extract_sequences": lambda x: ops.extract_sequences(ops.transpose(x, (0, 2, 1)), 4, 2),
    "unfold": lambda x: ops.unfold(ops.reshape(x, (-1, 1, 11, 6)), 2),
    "fold": lambda x: ops.fold(ops.reshape(x[:, :10], (-1, 4, 15)), (6, 4), 2),
    "cond": lambda x: ops.cond(ops.sum(x) > 0, lambda: x, lambda: -x),
    "fori_loop": lambda x: ops.fori_loop(0, 3, lambda i, v: v * 1.5, x),
    "while_loop": lambda x: ops.while_loop(lambda v: ops.max(v) < 9, lambda v: (v * 2,), (x,))[0],
    "scan": lambda x: ops.scan(lambda c, v: (c + v, c), ops.zeros_like(x[0]), x)[1],
    "associative_scan": lambda x: ops.associative_scan(lambda a, b: a + b, x, axis=1),
    "map": lambda x: ops.map(lambda row: row * 2, x),
    "vectorized_map": lambda x: ops.vectorized_map(lambda row: row * 2, x),
}
STATISTICS: dict[str, Function] = {
    "corrcoef": lambda x: ops.corrcoef(x[0]),
    "median": lambda x: ops.median(x, axis=1),
    "percentile": lambda x: ops.percentile(x, 30, axis=1),
    "quantile": lambda x: ops.quantile(x, 0.3, axis=1),
    "ptp": lambda x: ops.ptp(x, axis=1),
    "trapezoid": lambda x: ops.trapezoid(x, axis=1),
    "nonzero": lambda x: ops.nonzero(x > 0)[0],
    "unique": lambda x: ops.unique(whole(x)),
    "histogram": lambda x: ops.histogram(ops.reshape(x, (-1,)), bins=4)[0],
    "bincount": lambda x: ops.bincount(ops.abs(whole(x))[:, 0], minlength=40),
    "argpartition": lambda x: ops.argpartition(x, 3, axis=-1),
    "segment_max": lambda x: ops.segment_max(x[:, :, 0], np.array([0, 0, 1], "int32"), 2),
    "segment_min": lambda x: ops.segment_min(x[:, :, 0], np.array([0, 0, 1], "int32"), 2),
    "segment_prod": lambda x: ops.segment_prod(x[:, :, 0], np.array([0, 0, 1], "int32"), 2),
    "categorical_crossentropy": lambda x: ops.categorical_crossentropy(ops.softmax(x * 2), ops.softmax(x)),
    "sparse_categorical_crossentropy": lambda x: ops.sparse_categorical_crossentropy(
        ops.argmax(x[:, :, ::-1], axis=-1), ops.softmax(x)
    ),
    "ctc_loss": lambda x: ops.ctc_loss(np.ones((3, 2), "int32"), x, np.full(3, 2), np.full(3, 11)),
    "ctc_decode": lambda x: ops.ctc_decode(x, np.full(3, 11))[0],
    **{
        name: (lambda x, name=name: real(getattr(ops, name)(x, axis=1)))
        for name in ("nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin",
                     "nanprod", "nanstd", "nansum", "nanvar")
    },
    "nanpercentile": lambda x: ops.nanpercentile(x, 30, axis=1),
    "nanquantile": lambda x: ops.nanquantile(x, 0.3, axis=1),
}  # fmt: skip
PRODUCTS: dict[str, Function] = {
    "cdist": lambda x: ops.cdist(x, x[:, :5]),
    "correlate": lambda x: ops.correlate(x[0, :, 0], OTHER[:3, 0]),
    "inner": lambda x: ops.inner(x, OTHER),
    "kron": lambda x: ops.kron(x[0], OTHER[:2]),
    "outer": lambda x: ops.outer(x[0, 0], OTHER[0]),
    "vdot": lambda x: ops.vdot(x[0, 0], OTHER[0]) + x,
    "cholesky": lambda x: ops.cholesky(square(x)),
    "cholesky_inverse": lambda x: ops.cholesky_inverse(ops.cholesky(square(x))),
    "det": lambda x: ops.det(square(x)),
    "eig": lambda x: ops.real(ops.eig(square(x))[0]),
    "eigh": lambda x: ops.eigh(square(x))[0],
    "inv": lambda x: ops.inv(square(x)),
    "logdet": lambda x: ops.logdet(square(x)),
    "slogdet": lambda x: ops.slogdet(square(x))[1],
    "lstsq": lambda x: ops.lstsq(x[0], OTHER[:, 0]),
    "lu_factor": lambda x: ops.lu_factor(square(x))[0],
    "matrix_rank": ops.matrix_rank,
    "pinv": ops.pinv,
    "qr": lambda x: ops.qr(x)[1],
    "solve": lambda x: ops.solve(square(x), x[:, :6]),
    "solve_triangular": lambda x: ops.solve_triangular(ops.tril(square(x)), x[:, :6], lower=True),
    "svd": lambda x: ops.svd(x)[1],
    "fft2": lambda x: ops.fft2((x, ops.zeros_like(x)))[0],
    "ifft2": lambda x: ops.ifft2((x, ops.zeros_like(x)))[0],
    "irfft": lambda x: ops.irfft((x, ops.zeros_like(x))),
    "stft": lambda x: ops.stft(ops.transpose(x, (0, 2, 1)), 4, 2, 4)[0],
    "istft": lambda x: ops.istft(ops.stft(ops.transpose(x, (0, 2, 1)), 4, 2, 4), 4, 2, 4),
}
IMAGES: dict[str, Function] = {
    "adaptive_average_pool": lambda x: ops.adaptive_average_pool(x, 4),
    "adaptive_max_pool": lambda x: ops.adaptive_max_pool(x, 4),
    "conv_transpose": lambda x: ops.conv_transpose(x, KERNEL, strides=2),
    "separable_conv": lambda x: ops.separable_conv(
        x, KERNEL[:, :1].reshape(3, 6, 1), KERNEL[:1, :4].transpose(0, 2, 1)
    ),
    "image.affine_transform": lambda x: ops.image.affine_transform(
        grid(x), np.tile(np.array([1, 0.1, 0, 0, 1, 0.2, 0, 0], "float32"), (3, 1))
    ),
    "image.crop_images": lambda x: ops.image.crop_images(grid(x), 1, 1, target_height=5, target_width=4),
    "image.pad_images": lambda x: ops.image.pad_images(grid(x), 1, 1, target_height=14, target_width=9),
    "image.elastic_transform": lambda x: ops.image.elastic_transform(grid(x), seed=1),
    "image.extract_patches_3d": lambda x: ops.image.extract_patches_3d(ops.reshape(x, (-1, 11, 3, 2, 1)), 2),
    "image.gaussian_blur": lambda x: ops.image.gaussian_blur(grid(x)),
    "image.hsv_to_rgb": lambda x: ops.image.hsv_to_rgb(colours(x)),
    "image.rgb_to_hsv": lambda x: ops.image.rgb_to_hsv(colours(x)),
    "image.rgb_to_grayscale": lambda x: ops.image.rgb_to_grayscale(colours(x)),
    "image.map_coordinates": lambda x: ops.image.map_coordinates(x[0], np.mgrid[0:5, 0:4].astype("float32"), order=1),
    "image.perspective_transform": lambda x: ops.image.perspective_transform(
        grid(x),
        np.tile(np.array([[0, 0], [0, 5], [10, 0], [10, 5]], "float32"), (3, 1, 1)),
        np.tile(np.array([[1, 0], [0, 5], [10, 1], [9, 5]], "float32"), (3, 1, 1)),
    ),
    "image.scale_and_translate": lambda x: ops.image.scale_and_translate(
        grid(x), (3, 9, 7, 1), np.array([1.2, 0.9], "float32"), np.array([0.5, 0.1], "float32"), (1, 2), "linear"
    ),
    "image.sobel_edges": lambda x: ops.image.sobel_edges(colours(x)),
    "image.ssim": lambda x: ops.image.ssim(grid(x), grid(x) * 0.9, 1.0, filter_size=3) + x[:, 0, 0],
}
FUNCTIONS: dict[str, Function] = {
    **ARITHMETIC, **ACTIVATIONS, **SHAPES, **STATISTICS, **PRODUCTS, **IMAGES,
}  # fmt: skip
#: Without an operator in ONNX or PyTorch, or with a result whose size depends on values.
NO_FORM = (
    *("erfinv", "i0", "nextafter", "polar", "view_as_complex", "view_as_real", "view", "ifft2", "irfft", "istft"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert", "bitwise_left_shift", "bitwise_right_shift"),
    *("cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "logdet", "slogdet", "lstsq", "matrix_rank", "pinv"),
    *("qr", "solve", "solve_triangular", "svd", "image.affine_transform", "image.perspective_transform"),
    *(
        "image.hsv_to_rgb",
        "image.rgb_to_hsv",
        "nonzero",
        "unique",
        "bincount",
        "argpartition",
        "ctc_loss",
        "ctc_decode",
    ),
    *("slice_update", "size"),
)
#: A branch or a loop of TensorFlow's.
CONTROL_FLOW = ("switch", "cond", "fori_loop", "while_loop", "scan", "map", "fold")
#: TensorFlow's own code fails while the size of the batch is free, or branches on values.
NOT_TRACEABLE = (
    *("average", "isin", "gcd", "lcm", "vsplit", "bartlett", "unravel_index", "unfold", "associative_scan", "corrcoef"),
    *("nanmedian", "nanpercentile", "nanquantile", "kron", "lu_factor", "histogram"),
)
#: They join the samples of a batch: what they give has no sample axis, and nothing can be compared sample by sample.
WITHOUT_SAMPLES = (
    *("vstack", "ravel", "scatter", "correlate", "outer", "image.map_coordinates"),
    *("segment_max", "segment_min", "segment_prod"),
)
#: They draw random numbers.
RANDOM = ("image.elastic_transform",)
REFUSED = (*NO_FORM, *CONTROL_FLOW, *NOT_TRACEABLE)
VERIFIED = sorted(set(FUNCTIONS) - {*REFUSED, *WITHOUT_SAMPLES, *RANDOM})
