"""Stage 5: the user's module is aligned with the imported one, and the Plan is made and applied."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ..base import Artifacts, ExportedGraph, Extraction, ImportedModule, Job, NormalizedGraph, Port, Progress
from ..errors import MappingError
from ..plan import Move
from .absorb import absorptions
from .confirm import Confirmation, confirm
from .findings import Context, find
from .make_plan import make_plan
from .placements import placements
from .reference import Reference, read_reference
from .results import Twice, as_keras, layer_candidates, place_layers, place_outputs
from .search import Found, search


class Extract:
    """See ``Stage``. Without a module of the user's, the imported one is the target."""

    name: ClassVar[str] = "extract"
    needs: ClassVar[tuple[type, ...]] = (Job, ExportedGraph, NormalizedGraph, ImportedModule)
    gives: ClassVar[type] = Extraction

    def run(self, artifacts: Artifacts, progress: Progress) -> Extraction:
        job, graph, imported = artifacts[Job], artifacts[NormalizedGraph], artifacts[ImportedModule]
        variables = artifacts[ExportedGraph].variables
        module = imported.module if job.module is None else job.module
        progress.step("reading the imported module")
        reference = read_reference(job, graph, imported)
        progress.step("aligning the modules")
        found = search(module, reference)
        absorbed = tuple(absorptions(found.alignment, found.reading, reference.reading))
        plan = make_plan(module, found.alignment, absorbed, imported.recipes, variables)
        progress.step("confirming on a second probe")
        inner = _reference_values(graph, reference, found.probe.kept)
        candidates = layer_candidates(inner, found.alignment.marks)
        second = confirm(module, reference, found, {node for nodes in candidates.values() for node in nodes})
        outputs, guessed = _outputs(module, graph, found, second)
        wide = _reference_values(graph, reference, second.probe.kept)
        first = _values(module, found, set(second.kept))
        layers, unaligned = place_layers(
            graph.boundaries,
            {name: Twice(value, wide[name]) for name, value in inner.items()},
            candidates,
            {node: Twice(value, second.kept[node]) for node, value in first.items()},
            reading=found.reading,
            biasless={name: each.norm.target.place for each in absorbed for name in each.between},
        )
        progress.step("applying the plan")
        return Extraction(
            plan=plan,
            state=plan.apply(variables),
            reading=found.reading,
            inputs=found.fit.moves,
            outputs=outputs,
            layers=layers,
            unaligned={**graph.unkept, **unaligned},
            findings=find(
                Context(
                    found, reference, graph.outputs, guessed, second, frozenset(left.name for left in plan.unmatched)
                )
            ),
            evidence=placements(plan, found.alignment, reference),
        )


def _outputs(
    module: nn.Module, graph: NormalizedGraph, found: Found, second: Confirmation
) -> tuple[dict[str, tuple[int, tuple[Move, ...]]], list[str]]:
    """Where each Keras output stands among the module's, and the names of those found by position alone."""
    ports: tuple[Port, ...] = graph.outputs
    wanted = [as_keras(*each) for each in zip(ports, found.probe.outputs, second.probe.outputs, strict=True)]
    given = [Twice(*each) for each in zip(found.alignment.outputs, second.outputs, strict=True)]
    placed, guessed = place_outputs(ports, wanted, given, found.expected)
    missing = [port.name for port in ports if port.name not in placed]
    if missing:
        raise MappingError(
            f"forward gives {len(given)} tensors, none of them is Keras' {', '.join(missing)}",
            where=type(module).__name__,
            fix="return every output of the Keras model from forward",
        )
    return placed, guessed


def _reference_values(
    graph: NormalizedGraph, reference: Reference, kept: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Boundary name → the reference's value, in Keras layout."""
    return {
        boundary.name: torch.from_numpy(boundary.to_keras(kept[place].numpy()))
        for boundary in graph.boundaries
        if (place := reference.places.get(boundary.name, "")) in kept
    }


def _values(module: nn.Module, found: Found, names: set[str]) -> dict[str, torch.Tensor]:
    """The module's values of these names under the first probe: one more run, along the alignment found."""
    kept: dict[str, torch.Tensor] = {}

    def watch(name: str, value: torch.Tensor) -> None:
        if name in names:
            kept[name] = value.clone()

    found.reading.run(found.inputs, module.state_dict(), found.alignment.replay(found.probe), watch)
    return kept
