"""The reference: the imported module, read, with what is known of it from Keras."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..base import ImportedModule, Job, NormalizedGraph, Port
from ..plan import Array, Recipe
from ..torch_graph import Op, Reading, read
from .fit import as_tensor
from .probe import Probe, probe, random_values


@dataclass(frozen=True)
class Reference:
    """The imported module as the alignment needs it.

    Attributes:
        module: it.
        reading: it, read.
        recipes: key → Recipe.
        ports: the Keras inputs.
        inputs: Keras input name → the probe's array, in Keras layout.
        arguments: the same as the imported module takes them.
        places: boundary name → name of its value in ``reading``.
    """

    module: nn.Module
    reading: Reading
    recipes: Mapping[str, Recipe]
    ports: tuple[Port, ...]
    inputs: Mapping[str, Array]
    arguments: tuple[torch.Tensor, ...]
    places: Mapping[str, str]

    def layer_of(self, op: Op) -> str:
        """The Keras layer of an op: that of its first variable, else its place in the graph."""
        recipes = (self.recipes[slot.key] for slot in op.slots.values() if slot.key in self.recipes)
        variables = (variable for recipe in recipes for variable in recipe.variables)
        first = next(variables, None)
        return first.path.rpartition("/")[0] if first else op.place

    def variables_of(self, op: Op) -> frozenset[str]:
        """The paths of all Keras variables that an op holds."""
        recipes = (self.recipes[slot.key] for slot in op.slots.values() if slot.key in self.recipes)
        return frozenset(variable.path for recipe in recipes for variable in recipe.variables)

    def probed(self, target: Reading, seed: int) -> Probe:
        """The imported module under the probe; ops of constants only are ops where ``target`` has a counterpart."""
        keep = frozenset(self.places.values())
        constant = self._constant(target)
        return probe(self.reading, self.arguments, self.module.state_dict(), seed=seed, keep=keep, constant=constant)

    def _constant(self, target: Reading) -> frozenset[str]:
        """Ops without a variable, where the module has no op for them (``elementwise_affine=False``): glue."""
        have = Counter(op.signature for op in target.ops.values())
        want = Counter(op.signature for op in self.reading.ops.values())
        return frozenset(
            name
            for name, op in self.reading.ops.items()
            if want[op.signature] > have[op.signature]
            and not any(self.recipes[slot.key].variables for slot in op.slots.values() if slot.key in self.recipes)
        )


def read_reference(job: Job, graph: NormalizedGraph, imported: ImportedModule) -> Reference:
    """Read the imported module on the probe's inputs."""
    inputs = _probe_inputs(job)
    arguments = tuple(as_tensor(port.from_keras(inputs[port.name])) for port in graph.inputs)
    reading = read(imported.module, arguments)
    places = _places(imported, reading)
    return Reference(imported.module, reading, imported.recipes, graph.inputs, inputs, arguments, places)


def _probe_inputs(job: Job) -> dict[str, Array]:
    """Random floats in the shape of the user's inputs; the user's own integers, which index something."""
    found = {}
    for position, (name, array) in enumerate(job.inputs.items()):
        first = array[: job.probe_samples]
        if np.issubdtype(first.dtype, np.floating):
            first = random_values(first.shape, job.seed * 1000 + position).numpy().astype(first.dtype)
        found[name] = first
    return found


def _places(imported: ImportedModule, reading: Reading) -> dict[str, str]:
    """Boundary name → name of its value: what its module's last call gave, or an input."""
    nodes = {node.name: node for node in imported.module.graph.nodes}
    placeholders = [node.name for node in imported.module.graph.nodes if node.op == "placeholder"]
    inputs = [name for name, place in reading.places.items() if place.startswith("input ")]
    found = {}
    for boundary, name in imported.places.items():
        node = nodes[name]
        if node.op == "call_module" and str(node.target) in reading.results:
            found[boundary] = reading.results[str(node.target)]
        elif node.op == "placeholder":
            found[boundary] = inputs[placeholders.index(name)]
    return found
