"""Stage 2: the raw graph, channel-first, with the weight-side moves taken into the recipes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar

import onnx_ir as ir

from ..base import Artifacts, Boundary, ExportedGraph, Graph, NormalizedGraph, Port, Progress
from ..onnx_functions import add_functions
from .driver import Pass, rewritten
from .held import View
from .names import name_by_boundary
from .scan import alive, values_read
from .shapes import with_port_shapes

P = TypeVar("P", bound=Port)


class Normalize:
    """Rewrites NHWC to NCHW; what it did and why it did not is in ``NormalizedGraph.rewrites``."""

    name: ClassVar[str] = "normalize"
    needs: ClassVar[tuple[type, ...]] = (ExportedGraph,)
    gives: ClassVar[type] = NormalizedGraph

    def run(self, artifacts: Artifacts, progress: Progress) -> NormalizedGraph:
        raw = artifacts[ExportedGraph]
        progress.step(f"{len(raw.model.graph)} nodes to channel-first")
        graph = normalized(raw)
        left = Counter(node.op_type for node in graph.model.graph)["Transpose"]
        progress.step(f"{len(graph.model.graph)} nodes, {left} Transposes left")
        return graph


def normalized(raw: Graph) -> NormalizedGraph:
    """The raw graph rewritten; ``raw`` is not changed."""
    done = rewritten(raw, with_port_shapes(raw))
    builder = done.builder
    inputs = tuple(_tapped(port, done.inputs[port.value]) for port in raw.inputs)
    outputs = _outputs(raw.outputs, done)
    boundaries, unkept = _boundaries(raw.boundaries, done)
    nodes = alive(builder.nodes, {port.value for port in (*outputs, *boundaries)})
    name_by_boundary(nodes, boundaries)
    model = _model(raw.model, done, nodes, [port.value for port in inputs], [port.value for port in outputs])
    used = {value.name for value in model.graph.inputs}
    return NormalizedGraph(
        model=model,
        weights={name: recipe for name, (_, recipe) in builder.weights.items() if name in used},
        inputs=inputs,
        outputs=outputs,
        boundaries=boundaries,
        unkept={**raw.unkept, **unkept},
        rewrites=done.rewrites,
    )


def _tapped(port: P, view: View) -> P:
    assert view.value.name is not None
    return replace(port, value=view.value.name, moves=(*view.layout.to_keras(), *port.moves))


def _outputs(ports: Sequence[Port], done: Pass) -> tuple[Port, ...]:
    """Each output is the output of a node, and no two are one value: ONNX Runtime and onnx2torch ask for both."""
    taken: set[str] = set()
    made = []
    for port in ports:
        view = done.builder.view(done.held[port.value])
        if view.value.producer() is None or view.value.name in taken:
            shape = None if view.shape is None else view.layout.physical_shape(view.shape)
            (value,) = done.builder.node(
                "Identity", [view.value], {}, [(view.dtype, shape)], name=f"output/{port.name}"
            )
            view = replace(view, value=value)
        if view.value.shape is None and not port.moves:
            view.value.shape = ir.Shape(port.shape)
        taken.add(view.value.name or "")
        made.append(_tapped(port, view))
    return tuple(made)


def _boundaries(boundaries: Sequence[Boundary], done: Pass) -> tuple[tuple[Boundary, ...], dict[str, str]]:
    kept, unkept = [], {}
    for boundary in boundaries:
        held = done.held[boundary.value]
        if isinstance(held, View):
            kept.append(_tapped(boundary, held))
        else:
            unkept[boundary.name] = f"it gives a {type(held).__name__.lower()}, whatever the input is"
    return tuple(kept), unkept


def _model(raw: ir.Model, done: Pass, nodes: list[ir.Node], inputs: list[str], outputs: list[str]) -> ir.Model:
    builder = done.builder
    read = {value for node in nodes for value in values_read(node)}
    made = {value.name: value for node in nodes for value in node.outputs}
    given = {view.value.name: view.value for view in done.inputs.values()}
    for value in raw.graph.inputs:
        if value.name is not None and value.name in done.inputs:
            _name_free_sizes(done.inputs[value.name].value, value)
    weights = [value for value, _ in builder.weights.values() if value in read]
    graph = ir.Graph(
        [*(given[name] for name in inputs), *weights],
        [made[name] for name in outputs],
        nodes=nodes,
        initializers=[value for value in builder.constants if value in read],
        opset_imports=dict(raw.graph.opset_imports),
        name=raw.graph.name or "normalized",
    )
    model = ir.Model(graph, ir_version=raw.ir_version, producer_name="torchgraft")
    add_functions(model)
    return model


def _name_free_sizes(value: ir.Value, raw: ir.Value) -> None:
    """Call the batch as the raw graph does: ONNX Runtime uses memory again only for sizes of one name.

    Where an input has several free sizes, which is which is not known here, and they stay without names.
    """
    names = [size.value for size in raw.shape or () if isinstance(size, ir.SymbolicDim)]
    if value.shape is not None and len(names) == 1:
        sizes = [names[0] if isinstance(size, ir.SymbolicDim) else size for size in value.shape]
        value.shape = ir.Shape(sizes)
