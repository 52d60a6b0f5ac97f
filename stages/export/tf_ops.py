"""TensorFlow operations that tf2onnx 1.17 does not know, or writes in a worse way, written anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from .bits_and_diagonals import BITS_AND_DIAGONALS
from .blocks import depth_to_space, space_to_depth
from .einsum import einsum
from .fourier import FOURIER
from .resize import RESIZING

Handler = Callable[[Any, Any, str, Any], None]


def erfc(graph: Any, node: Any, name: str, args: Any) -> None:
    """Erfc(x) = 1 - Erf(x); ``keras.activations.gelu`` emits it."""
    _replace(graph, node, "Erf", lambda one, y: ("Sub", [one, y]))


def bias_add(graph: Any, node: Any, name: str, args: Any) -> None:
    """BiasAdd with the channels on axis 1, which tf2onnx 1.17 leaves to broadcasting unless the bias is a constant.

    ``keras.ops.add`` emits it for any vector that fits (keras/src/backend/tensorflow/numpy.py).
    """
    value, bias = node.input
    target, shape, dtype = node.output[0], graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    first = node.data_format == "NCHW"
    graph.remove_node(node.name)
    if first and len(shape) > 2:
        sizes = np.asarray([-1, *[1] * (len(shape) - 2)], np.int64)
        column = graph.make_const(f"{node.name}/column", sizes).output[0]
        bias = graph.make_node("Reshape", [bias, column], name=f"{node.name}/Reshape").output[0]
    graph.make_node("Add", [value, bias], name=node.name, outputs=[target], shapes=[shape], dtypes=[dtype])


def expm1(graph: Any, node: Any, name: str, args: Any) -> None:
    """Expm1(x) = Exp(x) - 1; ``keras.activations.celu`` emits it."""
    _replace(graph, node, "Exp", lambda one, y: ("Sub", [y, one]))


def log1p(graph: Any, node: Any, name: str, args: Any) -> None:
    """Log1p(x) = Log(x + 1)."""
    source, target, types = _removed(graph, node)
    one = _one(graph, node.name, types)
    shifted = graph.make_node("Add", [source, one], name=f"{node.name}/Add", **types)
    graph.make_node("Log", [shifted.output[0]], name=node.name, outputs=[target], **types)


def select(graph: Any, node: Any, name: str, args: Any) -> None:
    """SelectV2 is Where; tf2onnx 1.17 writes a sum of products, where what is not chosen still counts if infinite."""
    shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    inputs, target = list(node.input), node.output[0]
    graph.remove_node(node.name)
    graph.make_node("Where", inputs, name=node.name, outputs=[target], shapes=[shape], dtypes=[dtype])


def reverse(graph: Any, node: Any, name: str, args: Any) -> None:
    """ReverseV2 = Slice with steps of -1, where tf2onnx writes a ReverseSequence between Transposes."""
    axes = [int(axis) for axis in node.inputs[1].get_tensor_value(as_list=False).reshape(-1)]
    source, target, types = _removed(graph, node)
    last, before_first = [-1] * len(axes), [-(2**63)] * len(axes)
    figures = (("starts", last), ("ends", before_first), ("axes", axes), ("steps", last))
    given = [graph.make_const(f"{node.name}/{label}", np.asarray(row, np.int64)).output[0] for label, row in figures]
    graph.make_node("Slice", [source, *given], name=node.name, outputs=[target], **types)


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


def cumprod(graph: Any, node: Any, name: str, args: Any) -> None:
    """Cumprod over n steps: n products, each over the steps so far and ones; tf2onnx writes a Loop.

    (…, n, …) → the steps behind (…, n) → against (n, n) → their products.
    """
    shape, dtype = graph.get_shape(node.output[0]), graph.get_dtype(node.output[0])
    axis = int(node.inputs[1].get_tensor_value())
    exclusive, backwards = (bool(node.get_attr_value(each, 0)) for each in ("exclusive", "reverse"))
    axis, rank = axis % len(shape), len(shape)
    steps = shape[axis]
    if steps < 1:
        raise ValueError(f"{node.name} has a number of steps that is only known at run time")
    source, target = node.input[0], node.output[0]
    graph.remove_node(node.name)
    so_far = np.tril(np.ones((steps, steps), bool), -1 if exclusive else 0)
    so_far = (so_far.T if backwards else so_far).reshape(steps, *[1] * (rank - axis - 1), steps)
    behind = [*(a for a in range(rank) if a != axis), axis]
    last = graph.make_node("Transpose", [source], attr={"perm": behind}, name=f"{node.name}/steps_last").output[0]
    place = graph.make_const(f"{node.name}/behind", np.asarray([axis], np.int64)).output[0]
    wide = graph.make_node("Unsqueeze", [last, place], name=f"{node.name}/wide").output[0]
    mask = graph.make_const(f"{node.name}/so_far", so_far).output[0]
    one = graph.make_const(f"{node.name}/one", np.ones((), tensor_dtype_to_np_dtype(dtype))).output[0]
    taken = graph.make_node("Where", [mask, wide, one], name=f"{node.name}/taken", dtypes=[dtype]).output[0]
    graph.make_node(
        "ReduceProd", [taken], attr={"axes": [rank], "keepdims": 0},
        name=node.name, outputs=[target], shapes=[shape], dtypes=[dtype],
    )  # fmt: skip


TF_OPS: dict[str, Handler] = {
    "BiasAdd": bias_add,
    "Cumprod": cumprod,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Einsum": einsum,
    "Erfc": erfc,
    "Expm1": expm1,
    "Log1p": log1p,
    "ReverseV2": reverse,
    "SelectV2": select,
    **RESIZING,
    **FOURIER,
    **BITS_AND_DIAGONALS,
}
