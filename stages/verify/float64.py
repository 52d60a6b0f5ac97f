"""Operators that ONNX Runtime's CPU provider does not compute in float64: float32 takes their place, and that is said.

Tried on onnxruntime 1.31, opset 17, one node at a time. Half precision never comes here (see export/twin.py): of
float16 it would compute every operator, in float32 between Casts of its own, of bfloat16 hardly any.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto

WITHOUT_FLOAT64 = (
    *("Conv", "ConvTranspose", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "GlobalLpPool"),
    *("Elu", "Selu", "Softplus", "Softsign", "HardSigmoid", "HardSwish", "Celu", "ThresholdedRelu", "Mish", "Erf"),
    *("InstanceNormalization", "RNN", "Resize"),
)


def in_float32(proto: onnx.ModelProto) -> tuple[str, ...]:
    """Put Casts around those nodes of ``proto``, in place; their operators.

    A call of a local function is one node: where its body has such an operator, all of it is computed in float32.
    """
    graph = proto.graph
    infos = (*graph.input, *graph.output, *graph.value_info)
    doubles = {info.name for info in infos if info.type.tensor_type.elem_type == TensorProto.DOUBLE}
    doubles |= {tensor.name for tensor in graph.initializer if tensor.data_type == TensorProto.DOUBLE}
    lacking = {
        function.name for function in proto.functions if any(node.op_type in WITHOUT_FLOAT64 for node in function.node)
    }
    lacking.update(WITHOUT_FLOAT64)
    nodes, found = [], {}
    for node in graph.node:
        if node.op_type in lacking and doubles.intersection((*node.input, *node.output)):
            found[node.op_type] = True
            nodes += _around(node, doubles)
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return tuple(found)


def _around(node: onnx.NodeProto, doubles: set[str]) -> list[onnx.NodeProto]:
    inner = onnx.NodeProto()
    inner.CopyFrom(node)
    before, after = [], []
    for place, name in enumerate(node.input):
        if name in doubles:
            inner.input[place] = f"{node.name}/{place}/float32"
            before.append(onnx.helper.make_node("Cast", [name], [inner.input[place]], to=TensorProto.FLOAT))
    for place, name in enumerate(node.output):
        if name in doubles:
            inner.output[place] = f"{name}/float32"
            after.append(onnx.helper.make_node("Cast", [inner.output[place]], [name], to=TensorProto.DOUBLE))
    return [*before, inner, *after]
