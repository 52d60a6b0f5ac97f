"""Weights as they lie in Keras' memory, and Transposes that make of them what the graph takes.

A kernel that its Recipe only turns need not be copied for ONNX Runtime, which reads no strides: it is given as it lies,
and ONNX Runtime multiplies with it so (GemmTransposeFusion), or turns it itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from ..plan import Array


def as_they_lie(weights: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, tuple[int, ...]]]:
    """(what is fed, C-contiguous; the axes that turn back what of it is turned, by the weight's name).

    >>> kernel = np.zeros((2, 3))
    >>> fed, turns = as_they_lie({"weight": kernel.T, "bias": np.zeros(2)})
    >>> fed["weight/as it lies"].shape, fed["bias"].shape, turns
    ((2, 3), (2,), {'weight': (1, 0)})
    """
    fed: dict[str, Array] = {}
    turns: dict[str, tuple[int, ...]] = {}
    for name, array in weights.items():
        order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
        lying = array.transpose(order)
        if array.flags.c_contiguous or not lying.flags.c_contiguous:
            fed[name] = np.asarray(array, order="C")
        else:
            fed[_fed(name)], turns[name] = lying, tuple(int(axis) for axis in np.argsort(order))
    return fed, turns


def turn_back(model: onnx.ModelProto, turns: Mapping[str, tuple[int, ...]]) -> None:
    """Let ``model`` take the weights of ``turns`` as they lie."""
    for value in model.graph.input:
        if value.name in turns:
            kind = value.type.tensor_type
            shape = [kind.shape.dim[axis].dim_value for axis in np.argsort(turns[value.name])]
            value.CopyFrom(onnx.helper.make_tensor_value_info(_fed(value.name), kind.elem_type, shape))
    nodes = [onnx.helper.make_node("Transpose", [_fed(name)], [name], perm=perm) for name, perm in turns.items()]
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type == "Gemm":  # takes a Transpose in only where one node reads what it gives
            alone = f"{node.output[0]}/alone"
            nodes.append(onnx.helper.make_node("Identity", [alone], [node.output[0]]))
            node.output[0] = alone
    given = onnx.GraphProto(node=nodes)
    del model.graph.node[:]
    model.graph.node.extend(given.node)


def _fed(name: str) -> str:
    return f"{name}/as it lies"
