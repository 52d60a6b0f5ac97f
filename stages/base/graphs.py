"""The model as a graph: exported, normalised, imported into PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..plan import Array, Move, Recipe, apply_moves, inverse_moves

if TYPE_CHECKING:
    import onnx_ir
    import torch


@dataclass(frozen=True)
class Port:
    """An input or output of the model.

    ``apply_moves(moves, value)`` is the array as Keras has it; ``inverse_moves`` is the way to the graph's layout.

    Attributes:
        name: Keras' name of it.
        value: the name of the ONNX value.
        shape: as Keras has it, None where free (the batch).
        dtype: numpy name ("float32").
        moves: from the ONNX value to the Keras array; Transpose, Reorder and Flip only (the batch is free).
    """

    name: str
    value: str
    shape: tuple[int | None, ...]
    dtype: str
    moves: tuple[Move, ...] = ()

    def to_keras(self, array: Array) -> Array:
        return apply_moves(self.moves, array)

    def from_keras(self, array: Array) -> Array:
        return apply_moves(inverse_moves(self.moves), array)


@dataclass(frozen=True)
class Boundary(Port):
    """One output of one call of one Keras layer: where the three runtimes are compared.

    ``name`` is unique: the layer's path ("encoder/conv1"), "#1" after it for its second call, ":1" for its second
    output.

    Attributes:
        layer: the layer's path in the model.
        layer_class: "Conv2D".
    """

    layer: str = ""
    layer_class: str = ""


@dataclass(frozen=True)
class Graph:
    """An ONNX graph (opset 17, domain "torchgraft" for its local functions) whose weights are graph inputs.

    Attributes:
        model: the graph. Its inputs are ``inputs`` and then the weights, in any order.
        weights: name of a weight input → the Recipe that makes it from Keras variables.
        inputs, outputs, boundaries: see Port and Boundary.
        unkept: boundary name → why its value is not in the graph; reported as not compared.
    """

    model: onnx_ir.Model
    weights: Mapping[str, Recipe]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    boundaries: tuple[Boundary, ...]
    unkept: Mapping[str, str] = field(default_factory=dict)

    @property
    def batch(self) -> int | None:
        """How many samples it takes at once, where that is fixed (a stateful layer keeps a state for each)."""
        return next((port.shape[0] for port in self.inputs if port.shape[0] is not None), None)

    def check(self) -> None:
        values = {value.name for value in self.model.graph.inputs}
        for node in self.model.graph:
            values.update(value.name for value in node.outputs)
        for name in self.weights:
            assert name in values, f"weight {name} is no input of the graph"
        for port in (*self.inputs, *self.outputs, *self.boundaries):
            assert port.value in values, f"{port.name}: value {port.value} is not in the graph"
        names = [boundary.name for boundary in self.boundaries]
        assert len(names) == len(set(names)), "two boundaries of one name"


@dataclass(frozen=True)
class ExportedGraph(Graph):
    """Stage 1: the graph as Keras computes it (NHWC), each weight input one Keras variable.

    Attributes:
        variables: path → value of every variable of the model, also of those that the graph does not use.
    """

    variables: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Rewrite:
    """What one rule did, or why it did not apply, at one node."""

    rule: str
    node: str
    applied: bool
    reason: str


@dataclass(frozen=True)
class NormalizedGraph(Graph):
    """Stage 2: the same graph, channel-first, weight-side moves taken into the recipes."""

    rewrites: tuple[Rewrite, ...] = ()


@dataclass(frozen=True)
class ImportedModule:
    """Stage 4: the normalised graph as an ``fx.GraphModule`` by onnx2torch.

    Attributes:
        module: takes the graph's inputs in order (normalised layout), gives its outputs: one tensor, or a tuple.
        recipes: key of its state_dict → Recipe.
        places: boundary name → name of the ``fx.Node`` whose value it is.
    """

    module: torch.fx.GraphModule
    recipes: Mapping[str, Recipe]
    places: Mapping[str, str]

    def check(self) -> None:
        missing = set(self.module.state_dict()) ^ set(self.recipes)
        assert not missing, f"parameters without a recipe, or recipes without a parameter: {sorted(missing)}"
