"""What a Keras layer computes besides its weights, as whoever mends a module would write it in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

#: keras.activations (keras/src/activations/activations.py), by the function's name with its default arguments.
ACTIVATIONS: Mapping[str, str] = {
    "relu": "nn.ReLU()",
    "relu6": "nn.ReLU6()",
    "leaky_relu": "nn.LeakyReLU(0.2)",
    "elu": "nn.ELU()",
    "selu": "nn.SELU()",
    "celu": "nn.CELU()",
    "gelu": "nn.GELU()",
    "silu": "nn.SiLU()",
    "mish": "nn.Mish()",
    "tanh": "nn.Tanh()",
    "sigmoid": "nn.Sigmoid()",
    "hard_sigmoid": "nn.Hardsigmoid()",
    "hard_silu": "nn.Hardswish()",
    "hard_tanh": "nn.Hardtanh()",
    "hard_shrink": "nn.Hardshrink()",
    "soft_shrink": "nn.Softshrink()",
    "tanh_shrink": "nn.Tanhshrink()",
    "log_sigmoid": "nn.LogSigmoid()",
    "softplus": "nn.Softplus()",
    "softsign": "nn.Softsign()",
    "softmax": "nn.Softmax(-1)",
    "log_softmax": "nn.LogSoftmax(-1)",
    "exponential": "torch.exp(x)",
}


def _relu(layer: Any) -> str:
    top, slope, threshold = layer.max_value, layer.negative_slope, layer.threshold
    if threshold or (slope and top is not None):
        return ""
    if slope:
        return f"nn.LeakyReLU({slope:g})"
    return "nn.ReLU()" if top is None else "nn.ReLU6()" if top == 6 else f"nn.Hardtanh(0, {top:g})"


def _rescaling(layer: Any) -> str:
    if not all(isinstance(value, (int, float)) for value in (layer.scale, layer.offset)):
        return ""
    return f"x * {layer.scale:g}" + (f" + {layer.offset:g}" if layer.offset else "")


def _pooling(line: str, _layer: Any) -> str:
    return line


#: Class of keras.layers → the line of such a layer; "" where it has none.
LAYERS: Mapping[str, Callable[[Any], str]] = {
    "ReLU": _relu,
    "LeakyReLU": lambda layer: f"nn.LeakyReLU({layer.negative_slope:g})",
    "ELU": lambda layer: f"nn.ELU({layer.alpha:g})",
    "Softmax": lambda layer: f"nn.Softmax({layer.axis})",
    "Rescaling": _rescaling,
    **{f"GlobalAveragePooling{rank}D": partial(_pooling, f"nn.AdaptiveAvgPool{rank}d(1)") for rank in (1, 2, 3)},
    **{f"GlobalMaxPooling{rank}D": partial(_pooling, f"nn.AdaptiveMaxPool{rank}d(1)") for rank in (1, 2, 3)},
}


def torch_line(layer: Any) -> str:
    """The line for a layer, or for the activation that it ends in; "" where there is none to give.

    Example: "nn.GELU()" for ``Dense(8, activation="gelu")``, "nn.LeakyReLU(0.3)" for ``LeakyReLU(0.3)``.
    """
    if layer is None:
        return ""
    if (write := LAYERS.get(type(layer).__name__)) is not None:
        return write(layer)
    if hasattr(layer, "recurrent_activation"):
        return ""  # two activations inside, and none at its end
    return ACTIVATIONS.get(getattr(getattr(layer, "activation", None), "__name__", ""), "")
