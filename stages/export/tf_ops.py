"""TensorFlow operations that tf2onnx 1.17 does not know, written with those that it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

Handler = Callable[[Any, Any, str, Any], None]


def erfc(graph: Any, node: Any, name: str, args: Any) -> None:
    """Erfc(x) = 1 - Erf(x); ``keras.activations.gelu`` emits it."""
    _replace(graph, node, "Erf", lambda one, y: ("Sub", [one, y]))


def expm1(graph: Any, node: Any, name: str, args: Any) -> None:
    """Expm1(x) = Exp(x) - 1; ``keras.activations.celu`` emits it."""
    _replace(graph, node, "Exp", lambda one, y: ("Sub", [y, one]))


def _replace(graph: Any, node: Any, op_type: str, combine: Callable[[str, str], tuple[str, list[str]]]) -> None:
    """Put ``op_type`` and one more operation, on its result and a one, in the place of ``node``."""
    name, source, target = node.name, node.input[0], node.output[0]
    types = {"shapes": [graph.get_shape(target)], "dtypes": [graph.get_dtype(target)]}
    graph.remove_node(name)
    one = graph.make_const(f"{name}/one", np.ones((), tensor_dtype_to_np_dtype(types["dtypes"][0])))
    inner = graph.make_node(op_type, [source], name=f"{name}/{op_type}", **types)
    outer, operands = combine(one.output[0], inner.output[0])
    graph.make_node(outer, operands, name=name, outputs=[target], **types)


TF_OPS: dict[str, Handler] = {"Erfc": erfc, "Expm1": expm1}
