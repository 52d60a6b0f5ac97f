"""Activations that PyTorch has one operation for: each stays one operation while Keras is traced, and one ONNX node.

1. silu (swish), hard_silu (hard_swish), hard_sigmoid; gelu, exact and by tanh.
2. TensorFlow writes them as arithmetic of two to ten operations, which every runtime then has to find again.
3. Of float32 alone: the local functions hold their constants in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from .opaque import FUNCTION, opaque

# function of keras/src/backend/tensorflow/nn.py → (options → local function)
WHOLE: tuple[tuple[str, Callable[..., str]], ...] = (
    ("silu", lambda: "Silu"),
    ("hard_silu", lambda: "HardSwish"),
    ("hard_sigmoid", lambda: "KerasHardSigmoid"),
    ("gelu", lambda approximate=True: "GeluTanh" if approximate else "Gelu"),
)


@contextmanager
def whole_activations() -> Iterator[None]:
    """Let Keras' backend emit one opaque operation for each of them."""
    backend = keras.src.backend.tensorflow.nn
    originals = {name: getattr(backend, name) for name, _ in WHOLE}
    for name, function in WHOLE:
        setattr(backend, name, _opaque(originals[name], function))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(backend, name, original)


def _opaque(original: Callable[..., Any], function: Callable[..., str]) -> Callable[..., Any]:
    def activation(x: Any, *args: Any, **options: Any) -> Any:
        if not tf.is_tensor(x) or x.dtype != tf.float32:
            return original(x, *args, **options)
        return opaque(f"{FUNCTION} {function(*args, **options)}", [x], x.shape, x.dtype)

    return activation
