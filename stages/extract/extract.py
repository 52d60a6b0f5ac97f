"""Stage 5: the user's module is aligned with the imported one, and the Plan is made and applied."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import nn

from ..base import (
    AlignedLayer,
    Artifacts,
    ExportedGraph,
    Extraction,
    ImportedModule,
    Job,
    NormalizedGraph,
    Progress,
)
from ..errors import MappingError
from ..plan import Move
from .findings import Context, find
from .make_plan import make_plan
from .reference import Reference, read_reference
from .results import aligned_layers, place_layers, place_outputs
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
        found = search(module, reference, job.seed)
        plan = make_plan(module, found.alignment, imported.recipes, variables)
        progress.step("applying the plan")
        outputs, guessed = _outputs(module, graph, found)
        layers, unaligned = _layers(module, graph, reference, found)
        context = Context(found, reference, graph.outputs, guessed)
        return Extraction(
            plan=plan,
            state=plan.apply(variables),
            reading=found.reading,
            inputs=found.fit.moves,
            outputs=outputs,
            layers=layers,
            unaligned={**graph.unkept, **unaligned},
            findings=find(context),
        )


def _outputs(
    module: nn.Module, graph: NormalizedGraph, found: Found
) -> tuple[dict[str, tuple[int, tuple[Move, ...]]], list[str]]:
    """Where each Keras output stands among the module's, and the names of those found by position alone."""
    wanted = [
        torch.from_numpy(np.ascontiguousarray(port.to_keras(value.numpy())))
        for port, value in zip(graph.outputs, found.probe.outputs, strict=True)
    ]
    placed, guessed = place_outputs(graph.outputs, wanted, found.alignment.outputs)
    missing = [port.name for port in graph.outputs if port.name not in placed]
    if missing:
        raise MappingError(
            f"forward gives {len(found.alignment.outputs)} tensors, none of them is Keras' {', '.join(missing)}",
            where=type(module).__name__,
            fix="return every output of the Keras model from forward",
        )
    return placed, guessed


def _layers(
    module: nn.Module, graph: NormalizedGraph, reference: Reference, found: Found
) -> tuple[tuple[AlignedLayer, ...], dict[str, str]]:
    """The aligned boundaries, and why the others have no counterpart."""
    wanted = {
        boundary.name: torch.from_numpy(boundary.to_keras(found.probe.kept[place].numpy()))
        for boundary in graph.boundaries
        if (place := reference.places.get(boundary.name, "")) in found.probe.kept
    }
    candidates, unaligned = place_layers(graph.boundaries, wanted, found.alignment.marks)
    names = {name for names in candidates.values() for name in names}
    layers, unclear = aligned_layers(candidates, wanted, _values(module, found, names), found.reading)
    return tuple(layers), {**unaligned, **unclear}


def _values(module: nn.Module, found: Found, names: set[str]) -> dict[str, torch.Tensor]:
    """The module's values of these names under the probe: one more run, along the alignment found."""
    kept: dict[str, torch.Tensor] = {}

    def watch(name: str, value: torch.Tensor) -> None:
        if name in names:
            kept[name] = value.clone()

    found.reading.run(found.inputs, module.state_dict(), found.alignment.replay(found.probe), watch)
    return kept
