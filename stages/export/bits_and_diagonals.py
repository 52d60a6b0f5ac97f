"""Signs by bits and diagonals of matrices, which ``keras.ops`` uses and ONNX 17 or PyTorch have no operator for.

1. The sign bit of a float (``ops.argmax``, ``ops.signbit``: Bitcast, then BitwiseAnd with the highest bit):
   negative, or a zero whose reciprocal is.
2. MatrixDiagPart (``ops.diagonal``, ``ops.trace``): the places of the diagonal out of all places of the matrix.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

HIGHEST_BIT = np.iinfo(np.int32).min


def bitcast(graph: Any, node: Any, name: str, args: Any) -> None:
    """Left as it is for ``sign_bit`` to look at.

    Raises:
        ValueError: its bits are used for anything else.
    """
    users = graph.find_output_consumers(node.output[0])
    if any(user.type != "BitwiseAnd" for user in users):
        raise ValueError(f"{node.name} reads the bits of a number")


def sign_bit(graph: Any, node: Any, name: str, args: Any) -> None:
    """Case 1; any other BitwiseAnd is ONNX 18's, and refused."""
    cast, mask = node.inputs
    if cast.type != "Bitcast" or not mask.is_const() or int(mask.get_tensor_value()) != HIGHEST_BIT:
        raise ValueError(f"{node.name} is a BitwiseAnd that asks for more than a sign")
    x, target, shape = cast.input[0], node.output[0], graph.get_shape(node.output[0])
    float_type = graph.get_dtype(x)
    graph.remove_node(node.name)

    def make(operator: str, inputs: list[str], dtype: int, suffix: str, **attributes: Any) -> str:
        made = graph.make_node(
            operator, inputs, attr=attributes, name=f"{node.name}/{suffix}", shapes=[shape], dtypes=[dtype]
        )
        return str(made.output[0])

    one, zero = (
        graph.make_const(f"{node.name}/{value}", np.asarray(value, np.float32)).output[0] for value in (1.0, 0.0)
    )
    below = make("Less", [x, zero], TensorProto.BOOL, "below")
    is_zero = make("Equal", [x, zero], TensorProto.BOOL, "is_zero")
    behind = make("Less", [make("Div", [one, x], float_type, "reciprocal"), zero], TensorProto.BOOL, "behind")
    negative_zero = make("And", [is_zero, behind], TensorProto.BOOL, "negative_zero")
    sign = make("Or", [below, negative_zero], TensorProto.BOOL, "sign")
    number = make("Cast", [sign], TensorProto.INT32, "number", to=TensorProto.INT32)
    graph.make_node("Neg", [number], name=node.name, outputs=[target], shapes=[shape], dtypes=[TensorProto.INT32])


def diagonal(graph: Any, node: Any, name: str, args: Any) -> None:
    """Case 2, for one diagonal of a matrix of known sizes."""
    shape, offset = graph.get_shape(node.input[0]), node.inputs[1]
    if shape is None or min(shape[-2:]) < 1 or not offset.is_const():
        raise ValueError(f"the sizes of {node.name} are only known at run time")
    offsets = np.asarray(offset.get_tensor_value(as_list=False)).reshape(-1)
    if offsets.size != 1:
        raise ValueError(f"{node.name} takes several diagonals")
    rows, columns = shape[-2:]
    places = np.diagonal(np.arange(rows * columns, dtype=np.int64).reshape(rows, columns), int(offsets[0]))
    source, target, dtype = node.input[0], node.output[0], graph.get_dtype(node.output[0])
    flat = [*(0 for _ in shape[:-2]), rows * columns]
    graph.remove_node(node.name)
    sizes = graph.make_const(f"{node.name}/flat", np.asarray(flat, np.int64)).output[0]
    line = graph.make_node(
        "Reshape", [source, sizes], name=f"{node.name}/Reshape", shapes=[[*shape[:-2], flat[-1]]], dtypes=[dtype]
    )
    index = graph.make_const(f"{node.name}/places", places).output[0]
    graph.make_node(
        "Gather", [line.output[0], index], attr={"axis": len(shape) - 2}, name=node.name, outputs=[target],
        shapes=[[*shape[:-2], len(places)]], dtypes=[dtype],
    )  # fmt: skip


BITS_AND_DIAGONALS = {
    "Bitcast": bitcast,
    "BitwiseAnd": sign_bit,
    "MatrixDiagPart": diagonal,
    "MatrixDiagPartV2": diagonal,
    "MatrixDiagPartV3": diagonal,
}
