"""Tiny graphs in ONNX text form, normalised and run beside their originals."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from torchgraft.stages.base import ExportedGraph, Graph, NormalizedGraph, Port
from torchgraft.stages.normalize import normalized
from torchgraft.stages.plan import Array, Recipe, Variable

BATCH = 3


def raw_graph(signature: str, body: str, functions: str = "") -> ExportedGraph:
    """A graph of ``(float[N,4] x, float[2,4] w) => (float[N,2] y)`` and its nodes.

    Inputs without a free axis N are weights, each its own variable with random values (positive, so that they may be
    variances). A node is named after its output.
    """
    model = ir.from_onnx_text(
        f'<ir_version: 8, opset_import: ["": 17, "torchgraft": 1]>\ngraph {signature} {{\n{body}\n}}\n{functions}'
    )
    for node in model.graph:
        node.name = node.outputs[0].name
    inputs = [value for value in model.graph.inputs if not _is_weight(value)]
    shapes = {value.name: tuple(value.shape) for value in model.graph.inputs if _is_weight(value)}
    random = np.random.default_rng(0)
    return ExportedGraph(
        model=model,
        weights={name: Recipe(Variable(name, shape)) for name, shape in shapes.items()},
        inputs=tuple(_port(value) for value in inputs),
        outputs=tuple(_port(value) for value in model.graph.outputs),
        boundaries=(),
        variables={name: random.uniform(0.5, 1.5, shape).astype("float32") for name, shape in shapes.items()},
    )


def _is_weight(value: ir.Value) -> bool:
    return all(isinstance(dim, int) for dim in value.shape)


def _port(value: ir.Value) -> Port:
    shape = tuple(dim if isinstance(dim, int) else None for dim in value.shape)
    return Port(value.name, value.name, shape, value.dtype.numpy().name)


def inputs_of(graph: Graph) -> dict[str, Array]:
    """Keras input name → random array in Keras layout."""
    random = np.random.default_rng(1)
    return {port.name: _random(random, port) for port in graph.inputs}


def _random(random: np.random.Generator, port: Port) -> Array:
    shape = tuple(BATCH if size is None else size for size in port.shape)
    if port.dtype.startswith("int"):
        return random.integers(0, 3, shape).astype(port.dtype)
    return random.normal(size=shape).astype(port.dtype)


def run(graph: Graph, variables: dict[str, Array], inputs: dict[str, Array]) -> dict[str, Array]:
    """Output name → array in Keras layout, by ONNX Runtime."""
    proto = ir.to_proto(graph.model)
    onnx.checker.check_model(proto)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feeds = {port.value: np.ascontiguousarray(port.from_keras(inputs[port.name])) for port in graph.inputs}
    feeds.update({name: recipe.apply(variables) for name, recipe in graph.weights.items()})
    found = session.run([port.value for port in graph.outputs], feeds)
    return {port.name: port.to_keras(array) for port, array in zip(graph.outputs, found, strict=True)}


def assert_same(ours: dict[str, Array], theirs: dict[str, Array]) -> None:
    """Sums of at most a hundred float32 products in another order: 2**-24 * 10 of the largest, times a margin of 10."""
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        assert ours[name].shape == array.shape, name
        assert np.ptp(array) > 0, f"{name} is constant: that proves nothing"
        np.testing.assert_allclose(ours[name], array, rtol=0, atol=1e-5 * np.abs(array).max(), err_msg=name)


def normalised(raw: ExportedGraph) -> NormalizedGraph:
    """The graph normalised, its values found equal to the original's."""
    graph = normalized(raw)
    graph.check()
    inputs = inputs_of(raw)
    assert_same(run(graph, dict(raw.variables), inputs), run(raw, dict(raw.variables), inputs))
    return graph


def operators(graph: Graph) -> list[str]:
    return [node.op_type for node in graph.model.graph]


def refusals(graph: NormalizedGraph) -> list[str]:
    return [rewrite.reason for rewrite in graph.rewrites if not rewrite.applied]
