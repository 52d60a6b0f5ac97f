"""The bodies of Scan nodes: each is imported as a graph of its own, and becomes the step of its node's module.

In the graph around, the node then has no body; what the body reaches there (other values than weights and constants,
which a module holds itself) are further inputs of the node.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import onnx
import onnx_ir as ir
from torch import fx

from ..base import ImportedModule, NormalizedGraph, Port
from ..plan import Recipe
from .weighted_graph import WeightedGraph


def bodies_of(graph: NormalizedGraph) -> tuple[NormalizedGraph, dict[str, NormalizedGraph]]:
    """(the graph, its Scan nodes without bodies; node name → body)."""
    if not any(node.op_type == "Scan" for node in graph.model.graph):
        return graph, {}
    proto = ir.to_proto(graph.model)
    bodies = {}
    for node in proto.graph.node:
        if node.op_type == "Scan":
            bodies[node.name] = _taken_out(node, proto, graph)
    return replace(graph, model=ir.from_proto(proto)), bodies


def _taken_out(node: onnx.NodeProto, proto: onnx.ModelProto, graph: NormalizedGraph) -> NormalizedGraph:
    """The body as a graph; ``node`` loses it, and says how many values it carries."""
    place = next(place for place, attribute in enumerate(node.attribute) if attribute.name == "body")
    body = onnx.GraphProto()
    body.CopyFrom(node.attribute[place].g)
    scanned = next(attribute.i for attribute in node.attribute if attribute.name == "num_scan_inputs")
    carried = len(node.input) - scanned
    del node.attribute[place]
    node.attribute.append(onnx.helper.make_attribute("carried", carried))
    reached = list(dict.fromkeys(_reached(body)))
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    infos = {info.name: info for info in (*proto.graph.value_info, *proto.graph.input)}
    for name in reached:
        if name in constants:
            body.initializer.append(constants[name])
        elif name in graph.weights:
            body.input.append(infos[name])
        else:
            body.input.append(infos.get(name) or onnx.ValueInfoProto(name=name))
            node.input.append(name)
    weights = {name: graph.weights[name] for name in reached if name in graph.weights}
    model = onnx.helper.make_model(body, opset_imports=proto.opset_import, ir_version=proto.ir_version)
    outputs = tuple(Port(info.name, info.name, (), "float32") for info in body.output)
    return NormalizedGraph(ir.from_proto(model), weights, (), outputs, ())


def _reached(body: onnx.GraphProto) -> Iterator[str]:
    """Names that the body reads and does not give itself, in order."""
    own = {info.name for info in body.input} | {tensor.name for tensor in body.initializer} | {""}
    for node in body.node:
        inner = [name for attribute in node.attribute if attribute.HasField("g") for name in _reached(attribute.g)]
        yield from (name for name in (*node.input, *inner) if name not in own)
        own.update(node.output)


def put_in(module: fx.GraphModule, source: WeightedGraph, steps: Mapping[str, ImportedModule]) -> dict[str, Recipe]:
    """Give the module of each Scan node its step (by node name); key of ``module`` → Recipe of all that steps hold."""
    recipes = {}
    for name, node in source.nodes.items():
        step = steps.get(node.proto.name)
        if step is not None:
            module.get_submodule(name).step = step.module
            recipes.update({f"{name}.step.{key}": recipe for key, recipe in step.recipes.items()})
    return recipes
