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
    NormalizedGraph,
    Progress,
    Run,
    Tolerance,
    Verification,
)
from ..fit import Fit, OutputFit
from ..fit.activations import activated
from ..measure import agreement
from ..plan import Array
from ..precision import between_float32
from ..torch_graph import Surroundings, as_tensor, floating_dtype
from .accuracy import accuracy
from .hidden import as_keras_where_hidden
from .run_module import layers_of, outputs_of
from .states import State, compared_as_laid


class Compare:
    """See ``Stage``."""

    name: ClassVar[str] = "compare"
    needs: ClassVar[tuple[type, ...]] = (Job, NormalizedGraph, Verification, ImportedModule, Extraction)
    gives: ClassVar[type] = Comparison

    def run(self, artifacts: Artifacts, progress: Progress) -> Comparison:
        return compared_as_laid(lambda state: self._compared(artifacts, state, progress), artifacts[Extraction])

    def _compared(self, artifacts: Artifacts, state: State, progress: Progress) -> Comparison:
        job, verification, extraction = artifacts[Job], artifacts[Verification], artifacts[Extraction]
        module = artifacts[ImportedModule].module if job.module is None else job.module
        around = Surroundings(artifacts[ImportedModule], artifacts[NormalizedGraph])
        outputs = outputs_of(module, extraction, state, around, job.inputs, progress=progress)
        progress.step("comparing layers")
        kept = verification.keras.layers
        # Stage 3 may have kept fewer samples of each layer than were probed (see Run).
        read_in = floating_dtype(artifacts[ImportedModule].module)
        probed = artifacts[NormalizedGraph].batch or job.probe_samples
        ours = layers_of(module, extraction, state, around, job.inputs, probe_samples=probed, dtype=read_in)
        ours = {name: array[: len(kept[name])] for name, array in ours.items() if name in kept}
        ours = dict(as_keras_where_hidden(ours, kept, extraction.padding, job.inputs))
        runs = {"keras": verification.keras, "onnxruntime": verification.normalized, "torch": Run(outputs, ours)}
        values = {name: run.layers for name, run in runs.items()}
        of_onnx = verification.tolerance or job.tolerance
        between = between_float32(of_onnx, module)
        layers = tuple(_agreements(values, kept, job.tolerance, of_onnx, between))
        not_compared = {
            name: f"it has no value in {' and '.join(absent)}"
            for name in kept
            if (absent := [runtime for runtime, found in values.items() if name not in found])
        }
        return Comparison(
            outputs=(
                *_agreements(_given(runs, extraction.fit), outputs, job.tolerance, of_onnx, between),
                *_agreements(values, extraction.ends, job.tolerance, of_onnx, between),
            ),
            layers=layers,
            not_compared={
                **not_compared,
                **extraction.unaligned,
                **{
                    name: f"the module gives {layer} in its place" if layer else "the module does not give it"
                    for name, layer in extraction.not_given.items()
                },
            },
            accuracy=_accuracies(runs, job.labels),
            findings=_judged(extraction, layers),
        )


def _agreements(
    values: Mapping[str, Mapping[str, Array]],
    order: Iterable[str],
    tolerance: Tolerance,
    of_onnx: Tolerance,
    between: Tolerance,
) -> Iterable[Agreement]:
    """For each name all runtimes have, one row a pair of runtimes; ours first, then what it is measured against.

    ``tolerance`` is that of the module against Keras, ``of_onnx`` of ONNX Runtime, ``between`` of both without Keras.
    """
    for name in order:
        if all(name in run for run in values.values()):
            for ours, theirs in (("onnxruntime", "keras"), ("torch", "keras"), ("torch", "onnxruntime")):
                limit = between if "keras" not in (ours, theirs) else of_onnx if ours == "onnxruntime" else tolerance
                yield agreement(name, (ours, theirs), values[ours][name], values[theirs][name], limit)


def _given(runs: Mapping[str, Run], fit: Fit) -> dict[str, dict[str, Array]]:
    """Runtime → what is compared with the module's outputs: the outputs, or the layers that the module gives."""
    values: dict[str, dict[str, Array]] = {}
    for runtime, run in runs.items():
        found = {name: run.outputs[name] if name in run.outputs else run.layers.get(name) for name in fit.outputs}
        values[runtime] = {
            name: array if runtime == "torch" else _as_module_gives(fit.outputs[name], array)
            for name, array in found.items()
            if array is not None
        }
    for name in fit.outputs:  # a layer is kept for fewer samples than an output
        held = [run[name] for run in values.values() if name in run]
        fewest = min(map(len, held), default=0)
        values = {
            runtime: {**run, **({name: run[name][:fewest]} if name in run else {})} for runtime, run in values.items()
        }
    return values


def _as_module_gives(fit: OutputFit, array: Array) -> Array:
    """With the activation that the module ends in and Keras does not."""
    if not fit.keras_activation:
        return array
    made: Array = activated(fit.keras_activation, as_tensor(array)).numpy()
    return made


def _accuracies(runs: Mapping[str, Run], labels: Array | None) -> dict[str, float]:
    """Accuracy of the first output in each runtime."""
    if labels is None:
        return {}
    first = next(iter(runs["keras"].outputs))
    return {name: accuracy(run.outputs[first], labels) for name, run in runs.items() if first in run.outputs}


def _judged(extraction: Extraction, layers: Iterable[Agreement]) -> tuple[Finding, ...]:
    """The findings; a warning about a layer whose values do differ becomes an error."""
    differing = {row.name.split("#")[0].split(":")[0] for row in layers if not row.agrees}
    judged = [
        replace(finding, severity="error") if finding.severity == "warning" and finding.layer in differing else finding
        for finding in extraction.findings
    ]
    return tuple(sorted(judged, key=lambda finding: Finding.RANK.index(finding.severity)))
