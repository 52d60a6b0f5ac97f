"""TensorFlow operations that tf2onnx 1.17 does not know, written with those that it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Handler = Callable[[Any, Any, str, Any], None]


def erfc(graph: Any, node: Any, name: str, args: Any) -> None:
    """Erfc(x) = 1 - Erf(x); ``keras.activations.gelu`` emits it."""
    source, target = node.input[0], node.output[0]
    shape, dtype = graph.get_shape(target), graph.get_dtype(target)
    graph.remove_node(node.name)
    one = graph.make_const(f"{name}/one", np.ones((), _numpy(dtype)))
    erf = graph.make_node("Erf", [source], name=f"{name}/Erf", shapes=[shape], dtypes=[dtype])
    graph.make_node("Sub", [one.output[0], erf.output[0]], name=name, outputs=[target], shapes=[shape], dtypes=[dtype])


def _numpy(dtype: int) -> Any:
    from onnx.helper import tensor_dtype_to_np_dtype

    return tensor_dtype_to_np_dtype(dtype)


TF_OPS: dict[str, Handler] = {"Erfc": erfc}
