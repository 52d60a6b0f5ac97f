"""A loop over time steps as ONNX Scan: time is axis 1 of what is scanned and of the outputs.

What the step reaches (weights, above all) is no input of the body: the body names the values of the graph around it,
as ONNX lets it, so a weight stands once, whatever the number of steps.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from .recurrence import Loop
from .writer import GraphNames, graph_shape, name_of, onnx_dtype


def name_in(layer: str, name: str) -> str:
    """A name of the step's, which mostly begins with the layer's name scope already."""
    return name if name.startswith(f"{layer}/") else f"{layer}/{name}"


def step_inputs(loop: Loop, step: ir.Graph) -> list[ir.Value | None]:
    """The converted step's inputs in the loop's order, None for one that it does not use; with the shapes traced."""
    by_name = {name_of(value): value for value in step.inputs}
    tensors = [tensor for tensor in loop.function.inputs if tensor.name not in loop.constants]
    inputs = [by_name.get(tensor.name) for tensor in tensors]
    for value, tensor in zip(inputs, tensors, strict=True):
        if value is not None:
            value.shape = graph_shape(tuple(tensor.shape), loop.batch)
    return inputs


def body_graph(
    step: ir.Graph, inputs: Sequence[ir.Value | None], loop: Loop, node: ir.Node, graph: ir.Graph
) -> ir.Graph:
    """The converted step as the body of a Scan: its inputs are the carried and scanned values alone.

    Args:
        step: the step.
        inputs: carried, scanned, reached.
        loop: the loop.
        node: the opaque node, whose inputs are the same outside.
        graph: the graph around; gets the step's constants.
    """
    own = loop.carried + loop.scanned
    for value, outer in zip(inputs[own:], node.inputs[own:], strict=True):
        assert outer is not None, f"{loop.name}: what it reaches is missing"
        if value is not None:
            ir.convenience.replace_all_uses_with([value], [outer])
    nodes, outputs = list(step), list(step.outputs)
    for value in list(step.initializers.values()):
        step.initializers.pop(name_of(value))
        graph.register_initializer(value)
    step.outputs.clear()
    step.inputs.clear()
    step.remove(nodes)
    taken = [value for value in inputs[:own] if value is not None]
    assert len(taken) == own, f"{loop.name}: the step has lost an input"
    return ir.Graph(taken, outputs, nodes=nodes, name=f"{loop.name}/step")


def scan_node(loop: Loop, node: ir.Node, body: ir.Graph, names: GraphNames) -> ir.Node:
    """The node over the opaque node's inputs, its outputs with the shapes that were traced."""
    scan = ir.node(
        "Scan",
        node.inputs[: loop.carried + loop.scanned],
        {
            "body": ir.AttrGraph("body", body),
            "num_scan_inputs": loop.scanned,
            "scan_input_axes": ir.AttrInt64s("scan_input_axes", [1] * loop.scanned),
            "scan_input_directions": ir.AttrInt64s("scan_input_directions", [int(loop.backwards)] * loop.scanned),
            "scan_output_axes": ir.AttrInt64s("scan_output_axes", [1] * (len(loop.outputs) - loop.carried)),
        },
        num_outputs=len(loop.outputs),
        name=names.nodes.unique(loop.name.replace("#", "_")),
    )
    for place, (value, (shape, dtype)) in enumerate(zip(scan.outputs, loop.outputs, strict=True)):
        value.name = names.values.unique(f"{loop.name}/{'after' if place < loop.carried else 'outputs'}")
        value.shape, value.dtype = graph_shape(shape, loop.batch), onnx_dtype(dtype)
    return scan
