"""The reference: the imported module, read, with what is known of it from Keras."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import getitem

import numpy as np
import torch
from torch import nn

from ..base import ImportedModule, Job, NormalizedGraph, Port
from ..keras_io import hidden_steps, hidden_values
from ..keras_layers import layer_paths
from ..plan import Array, Recipe
from ..torch_graph import PARAMETER, Op, Reading, Rows, Slot, as_tensor, read
from .probe import NARROW, Probe, Spread, probe, random_values
from .tables import entering_glue, held_rows


@dataclass(frozen=True)
class Reference:
    """The imported module as the alignment needs it.

    Attributes:
        module: it.
        reading: it, read.
        recipes: key → Recipe.
        ports: the Keras inputs.
        outputs: names of the Keras outputs.
        samples: Keras input name → the first of the user's samples, in Keras layout.
        places: boundary name → name of its value in ``reading``.
        seed: of every random number.
        ids: names of the inputs that index a table: a probe has the user's own samples for them, as for integers.
        numbers: paths of variables that are read as the numbers that they are, and not as something to be placed.
        masked: what a step is full of that a Masking layer hides: a probe has such steps where the samples have them.
        padding: input name → what its steps are full of that Keras hides.
        shown: whether the samples have had their padding taken out.
        unpadded: names of the inputs of ``padding`` of which no sample at all holds a hidden step.
    """

    module: nn.Module
    reading: Reading
    recipes: Mapping[str, Recipe]
    ports: tuple[Port, ...]
    outputs: tuple[str, ...]
    samples: Mapping[str, Array]
    places: Mapping[str, str]
    seed: int
    ids: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    masked: tuple[float, ...] = ()
    padding: Mapping[str, float] = field(default_factory=dict)
    shown: bool = False
    unpadded: tuple[str, ...] = ()

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

    def inputs(self, spread: Spread) -> dict[str, Array]:
        """A probe's inputs, in Keras layout: random floats of the samples' shapes; their own integers, which index."""
        return _inputs(self.samples, spread, self.seed, self.ids, self.masked)

    def arguments(self, inputs: Mapping[str, Array]) -> list[torch.Tensor]:
        """Keras' inputs as the imported module takes them."""
        return _arguments(self.ports, inputs)

    def probed(self, target: Reading, spread: Spread, rows: Mapping[str, Rows], *, marked: bool = True) -> Probe:
        """The imported module under the probe; ops of constants only are ops where ``target`` has a counterpart.

        A parameter is an operand of its own call on both sides, or enters glue on both. ``rows``: those that ``target``
        reads of its tables.
        """
        target.take_as_glue(entering_glue(target, self.reading, rows))
        self.reading.take_as_glue(_taken_otherwise(self.reading, target, rows))
        target.take_as_glue(_taken_otherwise(target, self.reading, {}))
        probed = probe(
            self.reading,
            self.arguments(self.inputs(spread)),
            self.module.state_dict(),
            spread=spread,
            seed=self.seed,
            keep=frozenset(self.places.values()),
            constant=self._constant(target),
            identity=self._identity,
            marked=marked,
        )
        return replace(probed, rows=rows)

    def _identity(self, op: Op) -> object:
        """The kind, the settings and the recipes: equal for two calls of one Keras layer."""
        recipes = ((name, str(self.recipes[slot.key])) for name, slot in op.slots.items() if slot.key in self.recipes)
        return (op.signature, tuple(sorted(recipes)), str(sorted(op.hyper.items())))

    def _constant(self, target: Reading) -> frozenset[str]:
        """Ops without a variable, where the module has no op for them (``elementwise_affine=False``): glue.

        Likewise those whose variables are read as numbers.
        """
        have = Counter(op.signature for op in target.ops.values())
        want = Counter(op.signature for op in self.reading.ops.values())
        held = {name: self.variables_of(op) for name, op in self.reading.ops.items()}
        return frozenset(
            name
            for name, op in self.reading.ops.items()
            if (held[name] and held[name] <= self.numbers)
            or (not held[name] and (want[op.signature] > have[op.signature] or op.kind == PARAMETER))
        )


def _taken_otherwise(ours: Reading, theirs: Reading, rows: Mapping[str, Rows]) -> list[str]:
    """Elementwise calls that the other side has not, where it has a parameter that enters glue: of its size, or a table
    that holds it. ``rows``: those that the other side reads.
    """
    signatures = {op.signature for op in theirs.ops.values()}
    slots = [op.slots["value"] for op in theirs.ops.values() if op.kind == PARAMETER]

    def enters(operand: Slot) -> bool:
        return any(
            operand.size == math.prod(slot.shape) or held_rows(slot.shape, operand.shape, rows.get(slot.key))
            for slot in slots
        )

    return [
        name
        for name, op in ours.ops.items()
        if op.is_elementwise and op.signature not in signatures and enters(op.slots["operand"])
    ]


def read_reference(job: Job, graph: NormalizedGraph, imported: ImportedModule) -> Reference:
    """Read the imported module on the probe's inputs."""
    samples = {name: array[: graph.batch or job.probe_samples] for name, array in job.inputs.items()}
    masked = _masked(job)
    reading = read(
        imported.module, _arguments(graph.inputs, _inputs(samples, NARROW, job.seed, masked=masked)), ours=True
    )
    ids = _ids(reading, graph.inputs)
    places = _places(imported, reading)
    padding = {} if job.model is None else hidden_values(job.model)
    unpadded = tuple(name for name, value in padding.items() if not hidden_steps(job.inputs[name], value).any())
    names = tuple(port.name for port in graph.outputs)
    return Reference(
        imported.module,
        reading,
        imported.recipes,
        graph.inputs,
        names,
        samples,
        places,
        job.seed,
        ids,
        masked=masked,
        padding=padding,
        unpadded=unpadded,
    )


def without_padding(reference: Reference) -> Reference | None:
    """The reference on samples that hide nothing; None where they hide nothing as they are.

    A step that is hidden has values all the same, which nothing that matters reads; a module may have others there.
    """
    padded = {name: hidden_steps(reference.samples[name], value) for name, value in reference.padding.items()}
    if not any(hidden.any() for hidden in padded.values()):
        return None
    samples = dict(reference.samples)
    for name, hidden in padded.items():
        if name in reference.ids and (~hidden).any():
            ids = samples[name].copy()
            ids[hidden] = np.random.default_rng(reference.seed).choice(ids[~hidden], int(hidden.sum()))
            samples[name] = ids
    return replace(reference, samples=samples, masked=(), shown=True)


def _masked(job: Job) -> tuple[float, ...]:
    """What the steps are full of that Masking layers hide."""
    layers = {} if job.model is None else layer_paths(job.model)
    return tuple({float(layer.mask_value) for layer in layers.values() if type(layer).__name__ == "Masking"})


def _ids(reading: Reading, ports: Sequence[Port]) -> frozenset[str]:
    """Inputs that index a table, as they are or as floats that Keras takes for integers."""
    inputs = [name for name, place in reading.places.items() if place.startswith("input ")]
    indexing = {source for op in reading.ops.values() if op.kind == "embedding" for source in op.sources}
    return frozenset(port.name for name, port in zip(inputs, ports, strict=False) if name in indexing)


def _inputs(
    samples: Mapping[str, Array],
    spread: Spread,
    seed: int,
    ids: frozenset[str] = frozenset(),
    masked: tuple[float, ...] = (),
) -> dict[str, Array]:
    found = {}
    for position, (name, array) in enumerate(samples.items()):
        floating = np.issubdtype(array.dtype, np.floating) and name not in ids
        # Far from the seeds of the ops' numbers (probe.py): an input must not hold what an op gives.
        drawn = random_values(array.shape, spread, (seed + 1) * 1_000_003 + position).numpy() if floating else array
        for value in masked if floating and array.ndim > 2 else ():
            drawn = np.where((array == value).all(axis=-1, keepdims=True), array, drawn)
        found[name] = drawn.astype(array.dtype)
    return found


def _arguments(ports: Sequence[Port], inputs: Mapping[str, Array]) -> list[torch.Tensor]:
    """The inputs as the imported module takes them."""
    return [as_tensor(port.from_keras(inputs[port.name])) for port in ports]


def _places(imported: ImportedModule, reading: Reading) -> dict[str, str]:
    """Boundary name → name of its value: what its module's last call gave, or an input."""
    nodes = {node.name: node for node in imported.module.graph.nodes}
    placeholders = [node.name for node in imported.module.graph.nodes if node.op == "placeholder"]
    inputs = [name for name, place in reading.places.items() if place.startswith("input ")]
    found = {}
    for boundary, name in imported.places.items():
        node = nodes[name]
        if node.op == "call_function" and node.target is getitem:  # a Scan gives each of its results by such a module
            path = f"{node.args[0].target}.results.{node.args[1]}"
        else:
            path = str(node.target)
        if path in reading.results:
            found[boundary] = reading.results[path]
        elif node.op == "placeholder":
            found[boundary] = inputs[placeholders.index(name)]
    return found
