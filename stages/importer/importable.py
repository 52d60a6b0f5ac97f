"""The normalised graph in the form that onnx2torch converts without loss.

1. A node that one of our converters takes goes to the domain "torchgraft".
2. Each output comes from an Identity of its own: onnx2torch would give two outputs of one node once.
3. The local functions are left out: their nodes become modules.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from ..base import NormalizedGraph
from .converters import DOMAIN, converter_for, source_of
from .names import module_name

OUTPUT = "output"


def importable(graph: NormalizedGraph) -> onnx.ModelProto:
    """A copy of the graph's protobuf, which holds no weights."""
    proto = ir.to_proto(graph.model)
    del proto.functions[:]
    if all(entry.domain != DOMAIN for entry in proto.opset_import):
        proto.opset_import.append(onnx.helper.make_opsetid(DOMAIN, 1))
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    infos = {info.name: info for info in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output)}
    for node in proto.graph.node:
        if converter_for(source_of(node, infos, constants, graph.weights)) is not None:
            node.domain = DOMAIN
    for place, output in enumerate(proto.graph.output):
        name = f"{OUTPUT}_{place}"
        proto.graph.node.append(
            onnx.helper.make_node("Identity", [output.name], [f"{name}/value"], name=f"{name}/node")
        )
        proto.graph.value_info.append(output)
        proto.graph.output[place].CopyFrom(onnx.ValueInfoProto(name=f"{name}/value", type=output.type))
    return proto


def module_names(proto: onnx.ModelProto) -> dict[str, str]:
    """Node name → name of its module."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for node in proto.graph.node:
        names[node.name] = module_name(node.name, taken)
        taken.add(names[node.name])
    return names
