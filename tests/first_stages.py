"""Stages 1 to 4 on a Keras model, and how the imported module compares with Keras at every layer."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import torch
from torchgraft.stages.base import (
    Agreement,
    Artifacts,
    ImportedModule,
    Job,
    NormalizedGraph,
    Silent,
    Tolerance,
    Verification,
    run_stage,
)
from torchgraft.stages.export import Export
from torchgraft.stages.importer import Import
from torchgraft.stages.measure import agreement
from torchgraft.stages.normalize import Normalize
from torchgraft.stages.verify import Verify


def first_stages(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> Artifacts:
    """Export, normalize, verify, import."""
    artifacts = Artifacts(Job(model, None, inputs, probe_samples=len(next(iter(inputs.values())))))
    for stage in (Export(), Normalize(), Verify(), Import()):
        run_stage(stage, artifacts, Silent())
    return artifacts


class Recorder(torch.fx.Interpreter):
    """Keeps the value of every fx node."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, torch.Tensor] = {}

    def run_node(self, n: torch.fx.Node) -> torch.Tensor:
        self.values[n.name] = super().run_node(n)
        return self.values[n.name]


def imported_rows(artifacts: Artifacts, tolerance: Tolerance | None = None) -> list[Agreement]:
    """The imported module against Keras: every output, every layer that the graph keeps."""
    job, graph = artifacts[Job], artifacts[NormalizedGraph]
    imported, keras_run = artifacts[ImportedModule], artifacts[Verification].keras
    recorder = Recorder(imported.module)
    with torch.no_grad():
        given = recorder.run(*(torch.from_numpy(p.from_keras(job.inputs[p.name]).copy()) for p in graph.inputs))
    outputs = (given,) if len(graph.outputs) == 1 else given
    pairs = [(port, value, keras_run.outputs) for port, value in zip(graph.outputs, outputs, strict=True)]
    pairs += [(port, recorder.values[imported.places[port.name]], keras_run.layers) for port in graph.boundaries]
    return [
        agreement(
            port.name, ("torch", "keras"), port.to_keras(value.numpy()), theirs[port.name], tolerance or job.tolerance
        )
        for port, value, theirs in pairs
    ]
