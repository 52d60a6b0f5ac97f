"""Operations that TensorFlow cannot look into: marks in a traced function that become ONNX nodes afterwards.

TensorFlow's ``PyFunc`` serves: it is never run, takes any inputs, and its token tells what it stands for. What it gives
has no static shape, hence the ``ensure_shape`` behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..errors import UnsupportedError
from ..plan import Array

SITE, BOUNDARY, LOOP, FUNCTION = "site", "boundary", "loop", "function"


def opaque(token: str, inputs: Sequence[tf.Tensor], shape: Any, dtype: tf.DType) -> tf.Tensor:
    """One operation with one output."""
    return opaques(token, inputs, [(shape, dtype)])[0]


def opaques(token: str, inputs: Sequence[tf.Tensor], outputs: Sequence[tuple[Any, tf.DType]]) -> list[tf.Tensor]:
    """One operation; ``outputs`` are the shape and dtype of each of its results."""
    results = tf.raw_ops.PyFunc(input=list(inputs), token=token, Tout=[dtype for _, dtype in outputs], name="opaque")
    return [
        tf.ensure_shape(result, shape, name="opaque_shape") for result, (shape, _) in zip(results, outputs, strict=True)
    ]


def eager_constants(captures: Sequence[tuple[Any, Any]]) -> dict[str, Array]:
    """What a function reaches beside its arguments: tensors that a layer made once, outside its variables.

    Args:
        captures: (tensor outside, placeholder inside) of a ``FuncGraph``.

    Raises:
        UnsupportedError: it reaches a TensorFlow variable, whose value would be frozen unseen.
    """
    found = {}
    for outer, inner in captures:
        if inner.dtype == tf.resource:
            raise UnsupportedError(
                f"the model uses a TensorFlow variable or table that Keras does not track ({inner.name})",
                fix="create it with add_weight, or assign it to an attribute of a layer as a keras.Variable",
            )
        found[inner.name] = np.asarray(outer.numpy())
    return found
