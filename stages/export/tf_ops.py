"""TensorFlow operations that tf2onnx 1.17 does not know, written with those that it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from .einsum import einsum

Handler = Callable[[Any, Any, str, Any], None]


def erfc(graph: Any, node: Any, name: str, args: Any) -> None:
    """Erfc(x) = 1 - Erf(x); ``keras.activations.gelu`` emits it."""
    _replace(graph, node, "Erf", lambda one, y: ("Sub", [one, y]))


def expm1(graph: Any, node: Any, name: str, args: Any) -> None:
    """Expm1(x) = Exp(x) - 1; ``keras.activations.celu`` emits it."""
    _replace(graph, node, "Exp", lambda one, y: ("Sub", [y, one]))


def log1p(graph: Any, node: Any, name: str, args: Any) -> None:
    """Log1p(x) = Log(x + 1)."""
    source, target, types = _removed(graph, node)
    one = _one(graph, node.name, types)
    shifted = graph.make_node("Add", [source, one], name=f"{node.name}/Add", **types)
    graph.make_node("Log", [shifted.output[0]], name=node.name, outputs=[target], **types)


def _replace(graph: Any, node: Any, op_type: str, combine: Callable[[str, str], tuple[str, list[str]]]) -> None:
    """Put ``op_type`` and one more operation, on its result and a one, in the place of ``node``."""
    source, target, types = _removed(graph, node)
    inner = graph.make_node(op_type, [source], name=f"{node.name}/{op_type}", **types)
    outer, operands = combine(_one(graph, node.name, types), inner.output[0])
    graph.make_node(outer, operands, name=node.name, outputs=[target], **types)


def _removed(graph: Any, node: Any) -> tuple[str, str, dict[str, list[Any]]]:
    """Take ``node`` out: its input, its output, and the shape and dtype that both have."""
    source, target = node.input[0], node.output[0]
    types = {"shapes": [graph.get_shape(target)], "dtypes": [graph.get_dtype(target)]}
    graph.remove_node(node.name)
    return source, target, types


def _one(graph: Any, name: str, types: dict[str, list[Any]]) -> str:
    constant = graph.make_const(f"{name}/one", np.ones((), tensor_dtype_to_np_dtype(types["dtypes"][0])))
    return str(constant.output[0])


TF_OPS: dict[str, Handler] = {"Einsum": einsum, "Erfc": erfc, "Expm1": expm1, "Log1p": log1p}
