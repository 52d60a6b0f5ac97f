"""Stage 5: the user's module is aligned with the imported one, and the Plan is made and applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from ..base import Artifacts, ExportedGraph, Extraction, ImportedModule, Job, NormalizedGraph, Progress
from ..errors import DifferenceError, MappingError
from ..plan import Array, Recipe
from ..torch_graph import ForwardError, Op, Reading, read, working_copy
from .align import Alignment, align
from .findings import Context, find
from .fit import Fit, as_tensor, fits
from .make_plan import make_plan
from .probe import Probe, probe, random_values
from .results import aligned_layers, place_layers, place_outputs


@dataclass(frozen=True)
class _Found:
    """The user's module aligned under one Fit."""

    fit: Fit
    reading: Reading
    probe: Probe
    alignment: Alignment


class Extract:
    """See ``Stage``. Without a module of the user's, the imported one is the target."""

    name: ClassVar[str] = "extract"
    needs: ClassVar[tuple[type, ...]] = (Job, ExportedGraph, NormalizedGraph, ImportedModule)
    gives: ClassVar[type] = Extraction

    def run(self, artifacts: Artifacts, progress: Progress) -> Extraction:
        job, graph, imported = artifacts[Job], artifacts[NormalizedGraph], artifacts[ImportedModule]
        variables = artifacts[ExportedGraph].variables
        module = imported.module if job.module is None else job.module
        inputs = probe_inputs(job)
        progress.step("reading the imported module")
        arguments = [as_tensor(port.from_keras(inputs[port.name])) for port in graph.inputs]
        reference = read(imported.module, arguments)
        places = _places(imported, reference)
        progress.step("aligning the modules")
        found = _best_fit(module, graph, imported, reference, arguments, inputs, frozenset(places.values()), job.seed)
        plan = make_plan(module, found.alignment, imported.recipes, variables)
        progress.step("applying the plan")
        state = plan.apply(variables)
        wanted = {
            boundary.name: torch.from_numpy(boundary.to_keras(found.probe.kept[places[boundary.name]].numpy()))
            for boundary in graph.boundaries
            if places.get(boundary.name) in found.probe.kept
        }
        outputs = [
            torch.from_numpy(np.ascontiguousarray(port.to_keras(value.numpy())))
            for port, value in zip(graph.outputs, found.probe.outputs, strict=True)
        ]
        placed, guessed = place_outputs(graph.outputs, outputs, found.alignment.outputs)
        if len(placed) < len(outputs):
            raise MappingError(
                f"forward gives {len(found.alignment.outputs)} tensors, none of them is Keras' "
                + ", ".join(port.name for port in graph.outputs if port.name not in placed),
                where=type(module).__name__,
                fix="return every output of the Keras model from forward",
            )
        candidates, unaligned = place_layers(graph.boundaries, wanted, found.alignment.marks)
        kept = _values(found, inputs, module, {name for names in candidates.values() for name in names}, imported)
        layers, unclear = aligned_layers(candidates, wanted, kept, found.reading)
        context = Context(
            found.alignment,
            reference,
            found.reading,
            found.probe,
            _layer_of(imported.recipes),
            graph.outputs,
            guessed,
            found.alignment.outputs,
        )
        return Extraction(
            plan=plan,
            state=state,
            reading=found.reading,
            inputs=found.fit.moves,
            outputs=placed,
            layers=tuple(layers),
            unaligned={**graph.unkept, **unaligned, **unclear},
            findings=find(context),
        )


def probe_inputs(job: Job) -> dict[str, Array]:
    """The probe's inputs: random floats in the shape of the user's, the user's own integers."""
    found = {}
    for position, (name, array) in enumerate(job.inputs.items()):
        first = array[: job.probe_samples]
        if np.issubdtype(first.dtype, np.floating):
            first = random_values(first.shape, job.seed * 1000 + position).numpy().astype(first.dtype)
        found[name] = first
    return found


def _best_fit(
    module: nn.Module,
    graph: NormalizedGraph,
    imported: ImportedModule,
    reference: Reading,
    arguments: list[torch.Tensor],
    inputs: Mapping[str, Array],
    keep: frozenset[str],
    seed: int,
) -> _Found:
    """The Fit under which most is placed; the first under which all is."""
    best: _Found | None = None
    failure: ForwardError | None = None
    layer_of = _layer_of(imported.recipes)
    for fit in fits(module, graph.inputs):
        tensors = fit.tensors(inputs)
        try:
            reading = read(module, tensors)
        except ForwardError as error:
            failure = failure or error
            continue
        _must_be_deterministic(module, tensors)
        constant = _constants(reference, reading, imported.recipes)
        probed = probe(reference, arguments, imported.module.state_dict(), seed, keep, constant)
        alignment = align(probed, reading, tensors, module.state_dict(), layer_of)
        if best is None or alignment.score > best.alignment.score:
            best = _Found(fit, reading, probed, alignment)
        if not alignment.departures and not alignment.unplaced:
            break
    if best is None:
        assert failure is not None
        raise failure
    return best


def _must_be_deterministic(module: nn.Module, inputs: list[torch.Tensor]) -> None:
    """Run twice; raise DifferenceError where the outputs differ (FAULTS: a forward that draws random numbers in eval mode)."""
    results = []
    for seed in (0, 1):
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = working_copy(module)(*inputs)
        results.append([leaf for leaf in torch.utils._pytree.tree_leaves(made) if isinstance(leaf, torch.Tensor)])
    for first, second in zip(*results, strict=True):
        if not torch.equal(first.nan_to_num(), second.nan_to_num()):
            raise DifferenceError(
                "forward is not deterministic in eval mode: two runs on the same inputs differ",
                where=type(module).__name__,
                fix="use torch.nn.Dropout, or guard random numbers by `if self.training`",
            )


def _constants(reference: Reading, target: Reading, recipes: Mapping[str, Recipe]) -> frozenset[str]:
    """Reference ops that hold constants only, where the module has no op for them (``elementwise_affine=False``)."""
    have = Counter(op.signature for op in target.ops.values())
    want = Counter(op.signature for op in reference.ops.values())
    return frozenset(
        name
        for name, op in reference.ops.items()
        if want[op.signature] > have[op.signature]
        and not any(recipes[slot.key].variables for slot in op.slots.values() if slot.key in recipes)
    )


def _places(imported: ImportedModule, reference: Reading) -> dict[str, str]:
    """Boundary name → name of its value in the reading of the imported module."""
    nodes = {node.name: node for node in imported.module.graph.nodes}
    placeholders = [node.name for node in imported.module.graph.nodes if node.op == "placeholder"]
    inputs = [name for name, place in reference.places.items() if place.startswith("input ")]
    found = {}
    for boundary, name in imported.places.items():
        node = nodes[name]
        if node.op == "call_module" and str(node.target) in reference.results:
            found[boundary] = reference.results[str(node.target)]
        elif node.op == "placeholder":
            found[boundary] = inputs[placeholders.index(name)]
    return found


def _layer_of(recipes: Mapping[str, Recipe]):  # type: ignore[no-untyped-def]
    """The Keras layer of a reference op: that of its first variable, else its place in the graph."""

    def layer_of(op: Op) -> str:
        for slot in op.slots.values():
            for variable in recipes[slot.key].variables if slot.key in recipes else ():
                return variable.path.rpartition("/")[0]
        return op.place

    return layer_of


def _values(
    found: _Found, inputs: Mapping[str, Array], module: nn.Module, names: set[str], imported: ImportedModule
) -> dict[str, torch.Tensor]:
    """The target's values of these names under the probe: one more run, along the alignment found."""
    kept: dict[str, torch.Tensor] = {}
    chosen = {name: pair for name, pair in found.alignment.pairs.items()}

    def at_op(call):  # type: ignore[no-untyped-def]
        from .align import laid_out

        pair = chosen.get(call.op.name)
        if pair is None:
            return call.compute()
        given = found.probe.ops[pair.reference.name].given
        return laid_out(pair, given, call.value.shape, call.op.whole_output_shape(call.output_shape), call.output_shape)

    def watch(name: str, value: torch.Tensor) -> None:
        if name in names:
            kept[name] = value

    found.reading.run(found.fit.tensors(inputs), module.state_dict(), at_op, watch)
    return kept
