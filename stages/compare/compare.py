"""Stage 6: Keras, ONNX Runtime and the user's module on identical inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import ClassVar

from ..base import (
    Agreement,
    Artifacts,
    Comparison,
    Extraction,
    Finding,
    ImportedModule,
    Job,
    Progress,
    Run,
    Tolerance,
    Verification,
)
from ..measure import agreement
from ..plan import Array
from .accuracy import accuracy
from .run_module import layers_of, outputs_of


class Compare:
    """See ``Stage``."""

    name: ClassVar[str] = "compare"
    needs: ClassVar[tuple[type, ...]] = (Job, Verification, ImportedModule, Extraction)
    gives: ClassVar[type] = Comparison

    def run(self, artifacts: Artifacts, progress: Progress) -> Comparison:
        job, verification, extraction = artifacts[Job], artifacts[Verification], artifacts[Extraction]
        module = artifacts[ImportedModule].module if job.module is None else job.module
        outputs = outputs_of(module, extraction, job.inputs, job.probe_samples, progress)
        progress.step("comparing layers")
        kept = verification.keras.layers
        # Stage 3 may have kept fewer samples of each layer than were probed (see Run).
        ours = layers_of(module, extraction, job.inputs, job.probe_samples)
        ours = {name: array[: len(kept[name])] for name, array in ours.items() if name in kept}
        runs = {"keras": verification.keras, "onnxruntime": verification.normalized, "torch": Run(outputs, ours)}
        values = {name: run.layers for name, run in runs.items()}
        layers = tuple(_agreements(values, kept, job.tolerance))
        not_compared = {
            name: f"it has no value in {' and '.join(absent)}"
            for name in kept
            if (absent := [runtime for runtime, found in values.items() if name not in found])
        }
        return Comparison(
            outputs=tuple(_agreements({name: run.outputs for name, run in runs.items()}, outputs, job.tolerance)),
            layers=layers,
            not_compared={**not_compared, **extraction.unaligned},
            accuracy=_accuracies(runs, job.labels),
            findings=_judged(extraction, layers),
        )


def _agreements(
    values: Mapping[str, Mapping[str, Array]], order: Iterable[str], tolerance: Tolerance
) -> Iterable[Agreement]:
    """For each name all runtimes have, one row a pair of runtimes; ours first, then what it is measured against."""
    for name in order:
        if all(name in run for run in values.values()):
            for ours, theirs in (("onnxruntime", "keras"), ("torch", "keras"), ("torch", "onnxruntime")):
                yield agreement(name, (ours, theirs), values[ours][name], values[theirs][name], tolerance)


def _accuracies(runs: Mapping[str, Run], labels: Array | None) -> dict[str, float]:
    """Accuracy of the first output in each runtime."""
    if labels is None:
        return {}
    return {name: accuracy(next(iter(run.outputs.values())), labels) for name, run in runs.items()}


def _judged(extraction: Extraction, layers: Iterable[Agreement]) -> tuple[Finding, ...]:
    """The findings; a warning about a layer whose values do differ becomes an error."""
    differing = {row.name.split("#")[0].split(":")[0] for row in layers if not row.agrees}
    judged = [
        replace(finding, severity="error") if finding.severity == "warning" and finding.layer in differing else finding
        for finding in extraction.findings
    ]
    return tuple(sorted(judged, key=lambda finding: Finding.RANK.index(finding.severity)))
