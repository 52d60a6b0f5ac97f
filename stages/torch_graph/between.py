"""What of Keras stands in front of the user's module and behind it, computed by the imported module.

A module that takes preprocessed inputs is fed with what Keras makes of them; one that gives an inner value of Keras is
judged by what Keras makes of that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import fx

from ..base import Boundary, ImportedModule, NormalizedGraph
from ..fit import Fit, OutputFit
from ..plan import Array
from .fitted import given
from .tensors import as_tensor


def between(module: fx.GraphModule, starts: Sequence[str], end: fx.Node) -> fx.GraphModule:
    """The part of ``module`` from the values ``starts`` (its arguments, in this order) to the value ``end``.

    Raises:
        ValueError: the end depends on something that the starts do not give.
    """
    nodes = {node.name: node for node in module.graph.nodes}
    graph = fx.Graph()
    copies = {nodes[name]: graph.placeholder(name) for name in starts}
    needed, waiting = set(), [end]
    while waiting:
        node = waiting.pop()
        if node not in copies and node not in needed:
            if node.op == "placeholder":
                raise ValueError(f"{end.name} depends on {node.name}")
            needed.add(node)
            waiting += node.all_input_nodes
    for node in module.graph.nodes:
        if node in needed:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(copies[end])
    return fx.GraphModule(module, graph)


class Surroundings:
    """The values of Keras around the user's module, for any number of samples."""

    def __init__(self, imported: ImportedModule, graph: NormalizedGraph) -> None:
        self._imported, self._graph = imported, graph
        self._boundaries: Mapping[str, Boundary] = {boundary.name: boundary for boundary in graph.boundaries}
        self._parts: dict[tuple[str, str], fx.GraphModule] = {}

    def values(self, fit: Fit, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Keras' inputs, and what Keras makes of them that the module takes, in Keras layout."""
        fronts = [entry.value for entry in fit.inputs.values() if entry.value and entry.value not in inputs]
        return {**inputs, **{name: self._front(name, inputs) for name in fronts}}

    def output(self, name: str, fit: OutputFit, value: torch.Tensor) -> Array:
        """A tensor of the module's as the Keras output ``name``, or the layer of that name, in Keras layout."""
        if not fit.value:
            return _array(given(fit, value, self._port_shape(name)))
        source = self._boundaries[fit.value]
        taken = source.from_keras(_array(given(fit, value, source.shape)))
        position = [port.name for port in self._graph.outputs].index(name)
        start = self._imported.places[fit.value]
        with torch.no_grad():
            made = self._part(start, name, self._results[position])(as_tensor(taken))
        return self._graph.outputs[position].to_keras(_array(made))

    def _front(self, name: str, inputs: Mapping[str, Array]) -> Array:
        nodes = {node.name: node for node in self._imported.module.graph.nodes}
        starts = [node.name for node in nodes.values() if node.op == "placeholder"]
        key = ("", name)
        if key not in self._parts:
            self._parts[key] = between(self._imported.module, starts, nodes[self._imported.places[name]])
        taken = [as_tensor(port.from_keras(inputs[port.name])) for port in self._graph.inputs]
        with torch.no_grad():
            return self._boundaries[name].to_keras(_array(self._parts[key](*taken)))

    def _part(self, start: str, name: str, end: fx.Node) -> fx.GraphModule:
        if (start, name) not in self._parts:
            self._parts[start, name] = between(self._imported.module, [start], end)
        return self._parts[start, name]

    @cached_property
    def _results(self) -> Sequence[fx.Node]:
        (output,) = (node for node in self._imported.module.graph.nodes if node.op == "output")
        (result,) = output.args
        return list(result) if isinstance(result, tuple | list) else [result]

    def _port_shape(self, name: str) -> tuple[int | None, ...]:
        ports = {port.name: port for port in (*self._graph.boundaries, *self._graph.outputs)}
        return ports[name].shape


def _array(value: torch.Tensor) -> Array:
    array: Array = value.numpy()
    return array
