"""What ONNX Runtime computes from a Graph whose weights are inputs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from ..base import Graph, Port, Run
from ..errors import ResourceError, UnsupportedError
from ..plan import Array, Recipe
from .float64 import in_float32
from .lying import as_they_lie, turn_back
from .samples import Collected, Samples
from .segments import WEIGHT_BYTES, Segment, model_of, segments

THREADS = 2


class OnnxRunner:
    """Outputs and inner values of a graph, segment by segment.

    The weights are made from the variables by their recipes and fed as inputs, so they never pass through protobuf,
    whose limit is 2 GB. Where they are many, those of one segment are there at once (segments.py), and what a recipe
    only turns is fed from Keras' own memory (lying.py). Of ONNX Runtime's own optimisations only the basic ones run:
    they move and drop nodes that only move data, and change no value.

    Args:
        graph: the graph.
        variables: path → value.

    Attributes:
        in_float32: operators of a float64 graph that are computed in float32.
    """

    def __init__(self, graph: Graph, variables: Mapping[str, Array]) -> None:
        self._graph = graph
        self._variables = variables
        self._proto = _with_outputs(graph, [*graph.outputs, *graph.boundaries])
        self.in_float32 = in_float32(self._proto)
        sizes = {name: _bytes(recipe) for name, recipe in graph.weights.items()}
        wanted = {port.value for port in (*graph.outputs, *graph.boundaries)}
        self._segments = segments(self._proto.graph, sizes, wanted, WEIGHT_BYTES)
        self._kept: tuple[Any, dict[str, Array]] | None = None

    def run(self, samples: Samples) -> Run:
        """Outputs of all samples, layers of the probed ones, in Keras layout."""
        outputs, boundaries = self._graph.outputs, self._graph.boundaries
        collected, layers = Collected(samples.count), Collected(samples.probed)
        for batch in samples.batches():
            asked = {port.value for port in (*outputs, *(boundaries if batch.probed else ()))}
            values = self._values(asked, batch.inputs)
            collected.add(batch.place, {port.value: values[port.value] for port in outputs})
            if batch.probed:
                layers.add(batch.place, values)
        return Run(_in_keras_layout(outputs, collected.arrays), _in_keras_layout(boundaries, layers.arrays))

    def _values(self, names: set[str], batch: Mapping[str, Array]) -> dict[str, Array]:
        """ONNX value → array, for one batch of Keras inputs."""
        values = {port.value: np.ascontiguousarray(port.from_keras(batch[port.name])) for port in self._graph.inputs}
        for segment in self._segments:
            kept = names | segment.later
            values.update(self._run(segment, values, kept))
            values = {name: value for name, value in values.items() if name in kept}
        return values

    def _run(self, segment: Segment, values: Mapping[str, Array], names: set[str]) -> dict[str, Array]:
        """What a segment makes of ``names``."""
        asked = [name for name in segment.makes if name in names]
        given = {name: values[name] for name in segment.reads}
        if not asked:
            return {}
        session, weights = self._kept or self._made(segment, given)
        try:
            return dict(zip(asked, session.run(asked, given | weights), strict=True))
        except _session_errors() as error:
            if "bad_alloc" in str(error) or "Failed to allocate" in str(error):
                what = f"ONNX Runtime ran out of memory: {str(error).splitlines()[0]}"
                raise ResourceError(what, where="stage verify", fix="give fewer or smaller samples") from error
            raise _refused(error, "failed while it ran the graph") from error

    def _made(self, segment: Segment, given: Mapping[str, Array]) -> tuple[Any, dict[str, Array]]:
        """(session, weights) of a segment; kept for the next batch where it is the only one."""
        recipes = {name: self._graph.weights[name] for name in segment.weights}
        if len(self._segments) == 1:
            weights = {name: recipe.apply(self._variables) for name, recipe in recipes.items()}
            self._kept = _session(model_of(self._proto, segment, given)), weights
            return self._kept
        weights, turns = as_they_lie({name: recipe.view(self._variables) for name, recipe in recipes.items()})
        model = model_of(self._proto, segment, given)
        turn_back(model, turns)
        return _session(model), weights


def _session(model: onnx.ModelProto) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.intra_op_num_threads = THREADS
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except _session_errors() as error:
        raise _refused(error, "cannot run the graph") from error


def _session_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises where it does not take a graph; its kinds have no common base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = (
        "NotImplemented",
        "Fail",
        "InvalidGraph",
        "InvalidArgument",
        "RuntimeException",
        "EPFail",
        "InvalidProtobuf",
    )
    return tuple(getattr(state, name) for name in names if hasattr(state, name))


def _refused(error: Exception, what: str) -> UnsupportedError:
    """What onnxruntime says, with the node that it says it of: nodes bear the names of their Keras layers."""
    text = str(error).strip().splitlines()[0]
    node = re.search(r"[Nn]ame:? ?'([^']+)'|node with name '([^']+)'|[Nn]ode \(([^)]+)\)|Node:([^ ]+)", text)
    place = next((group for group in node.groups() if group), "") if node else ""
    return UnsupportedError(
        f"ONNX Runtime {what}: {text}",
        where=f"stage verify, layer {place.removesuffix('/output')}" if place else "stage verify",
        fix="check that the samples are what the model takes (an id past the end of a vocabulary, say); save the model "
        "with float32 as its dtype policy; where it has that already, report the layer",
    )


def _bytes(recipe: Recipe) -> int:
    return math.prod(recipe.shape) * np.dtype(recipe.dtype).itemsize


def _in_keras_layout(ports: Sequence[Port], values: Mapping[str, Array]) -> dict[str, Array]:
    return {port.name: port.to_keras(values[port.value]) for port in ports}


def _with_outputs(graph: Graph, ports: Sequence[Port]) -> onnx.ModelProto:
    """A copy of the graph that gives every port's value, each once."""
    proto = ir.to_proto(graph.model)
    inputs = {value.name for value in proto.graph.input}
    types = {port.value: port.dtype for port in ports if port.value not in inputs}
    del proto.graph.output[:]
    for name, dtype in types.items():
        element = ir.DataType.from_numpy(np.dtype(dtype)).value
        proto.graph.output.append(onnx.helper.make_tensor_value_info(name, element, None))
    return proto
