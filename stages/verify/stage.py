"""Stage 3: ONNX Runtime, raw and normalised graph, against Keras."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import ClassVar

from ..base import (
    Agreement,
    Artifacts,
    ExportedGraph,
    Graph,
    Job,
    NormalizedGraph,
    Progress,
    Run,
    Tolerance,
    Verification,
)
from ..measure import agreement
from .keras_run import run_keras
from .onnx_run import OnnxRunner
from .samples import samples_of
from .weakness import refuse_weak

KERAS, RAW, NORMALIZED = "keras", "onnxruntime raw", "onnxruntime"


class Verify:
    """Runs all three on identical inputs and compares outputs and every kept layer.

    The raw graph tells whether a difference comes from the export or from the rewriting; the samples that are compared
    layer by layer are enough for that, and it is the slowest of the three.
    """

    name: ClassVar[str] = "verify"
    needs: ClassVar[tuple[type, ...]] = (Job, ExportedGraph, NormalizedGraph)
    gives: ClassVar[type] = Verification

    def run(self, artifacts: Artifacts, progress: Progress) -> Verification:
        job, exported, normalized = artifacts[Job], artifacts[ExportedGraph], artifacts[NormalizedGraph]
        samples = samples_of(job, exported)
        progress.step(f"running Keras on {samples.count} samples, {samples.probed} of them layer by layer")
        keras_run = run_keras(job.model, samples)
        refuse_weak(job.model, samples, keras_run)
        progress.step(f"running {RAW}")
        runner = OnnxRunner(exported, exported.variables)
        tolerance = _of_onnx(job.tolerance, runner.in_float32)
        raw = runner.run(samples.probes)
        probed = Run({name: value[: samples.probed] for name, value in keras_run.outputs.items()}, keras_run.layers)
        raw_rows = list(compared(RAW, exported, raw, probed, tolerance))
        raw = Run(raw.outputs, {})
        progress.step(f"running {NORMALIZED}")
        runner = OnnxRunner(normalized, exported.variables)
        tolerance = _of_onnx(tolerance, runner.in_float32)
        run = runner.run(samples)
        rows = list(compared(NORMALIZED, normalized, run, keras_run, tolerance))
        return Verification(
            keras_run,
            raw,
            run,
            _in_order([*raw_rows, *rows], keras_run),
            unkept={**exported.unkept, **normalized.unkept},
            tolerance=tolerance,
        )


def _of_onnx(tolerance: Tolerance, in_float32: tuple[str, ...]) -> Tolerance:
    """Of float32 where ONNX Runtime computes some of a float64 graph in it."""
    wide = Tolerance()
    if not in_float32 or tolerance.rtol >= wide.rtol:
        return tolerance
    reason = f"ONNX Runtime has no float64 {', '.join(in_float32)} and computes it in float32"
    return Tolerance(max(tolerance.atol, wide.atol), wide.rtol, reason)


def _in_order(rows: Iterable[tuple[bool, Agreement]], keras: Run) -> tuple[Agreement, ...]:
    """Layers as Keras ran them, both graphs' rows together, and then the outputs."""
    places = {name: place for place, name in enumerate(keras.layers)}
    ordered = sorted(rows, key=lambda row: (row[0], 0 if row[0] else places.get(row[1].name, len(places))))
    return tuple(row for _, row in ordered)


def compared(
    runtime: str, graph: Graph, ours: Run, keras: Run, tolerance: Tolerance
) -> Iterator[tuple[bool, Agreement]]:
    """(whether it is an output, row) for every layer that Keras computed and the graph keeps, and for every output.

    A name that one side lacks, and that ``graph.unkept`` does not explain, is a row that does not agree.
    """
    kinds = ((False, ours.layers, keras.layers), (True, ours.outputs, keras.outputs))
    for is_output, mine, theirs in kinds:
        for name in [*theirs, *(name for name in mine if name not in theirs)]:
            if name in mine and name in theirs:
                yield is_output, agreement(name, (runtime, KERAS), mine[name], theirs[name], tolerance)
            elif is_output or name not in graph.unkept:
                yield is_output, _missing(name, runtime, runtime if name in theirs else KERAS)


def _missing(name: str, runtime: str, lacking: str) -> Agreement:
    nothing = (math.inf, math.inf, math.inf, math.nan)
    return Agreement(name, (runtime, KERAS), *nothing, agrees=False, reason=f"{lacking} has no value of that name")
