"""onnx2torch.convert, with our graph in the place of its own, and what it leaves to be done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from operator import getitem
from typing import Any

import onnx2torch.converter
from torch import fx

from ..base import NormalizedGraph
from ..errors import UnsupportedError
from ..plan import Array
from .converters import register_converters
from .importable import OUTPUT, importable, module_names
from .weighted_graph import WeightedGraph


def converted(graph: NormalizedGraph, variables: Mapping[str, Array]) -> tuple[WeightedGraph, fx.GraphModule]:
    """(the graph as onnx2torch saw it, the module).

    Raises:
        UnsupportedError: an operator that neither onnx2torch nor we have a converter for.
    """
    register_converters()
    proto = importable(graph)
    made: list[WeightedGraph] = []
    make = partial(WeightedGraph, recipes=graph.weights, variables=variables, module_names=module_names(proto))

    def make_and_keep(graph_proto: Any) -> WeightedGraph:
        made.append(make(graph_proto))
        return made[-1]

    with _graph_made_by(make_and_keep):
        try:
            module = onnx2torch.converter.convert(proto)
        except NotImplementedError as error:
            raise UnsupportedError(
                f"onnx2torch cannot convert the graph: {error}",
                where=graph.model.graph.name or "the normalized graph",
                fix="replace the layer that makes this operator, or report it to torchgraft with the model's config",
            ) from error
    return made[0], module


@contextmanager
def _graph_made_by(make: Any) -> Iterator[None]:
    """``onnx2torch.convert`` takes no graph of its caller's: for its time, the class that it makes one of is ours."""
    original = onnx2torch.converter.OnnxGraph
    onnx2torch.converter.OnnxGraph = make
    try:
        yield
    finally:
        onnx2torch.converter.OnnxGraph = original


def fx_nodes(module: fx.GraphModule, source: WeightedGraph) -> dict[str, fx.Node]:
    """ONNX value name → the fx node whose value it is."""
    found: dict[str, fx.Node] = {}
    placeholders = [node for node in module.graph.nodes if node.op == "placeholder"]
    found.update(zip(source.input_values, placeholders, strict=True))
    for call in [node for node in module.graph.nodes if node.op == "call_module"]:
        values = source.nodes[call.target].output_values
        if len(values) == 1:
            found[values[0]] = call
        else:
            found.update({value: _element(module.graph, call, place) for place, value in enumerate(values)})
    return found


def _element(graph: fx.Graph, call: fx.Node, place: int) -> fx.Node:
    """One output of a node that has several."""
    for user in call.users:
        if user.op == "call_function" and user.target is getitem and user.args[1] == place:
            return user
    with graph.inserting_after(call):
        return graph.call_function(getitem, args=(call, place))


def give_outputs(module: fx.GraphModule, count: int) -> None:
    """One tensor, or a tuple; the Identities that held the outputs apart are taken out again."""
    calls = {node.target: node for node in module.graph.nodes if node.op == "call_module"}
    held = [calls[f"{OUTPUT}_{place}/node"] for place in range(count)]
    values = tuple(call.args[0] for call in held)
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    output.args = (values[0] if count == 1 else values,)
    for call in held:
        module.graph.erase_node(call)
        module.delete_submodule(call.target)
