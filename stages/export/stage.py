"""Stage 1: Keras → ONNX by tf2onnx, the weights as inputs of the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import keras
import numpy as np

from ..base import Artifacts, ExportedGraph, Job, Progress
from ..errors import DifferenceError
from ..keras_io import call_model, model_inputs
from ..keras_layers import array_of, layer_paths, variable_paths
from ..measure import first_not_finite
from ..plan import Array
from .convert import onnx_from_function
from .lower import boundaries_in, lowered, ports, weights_in
from .refusals import refuse_unsupported, refuse_without_module
from .trace import trace
from .twin import twin_of


class Export:
    """Traces the model, converts it, and writes the layers that must stay whole."""

    name: ClassVar[str] = "export"
    needs: ClassVar[tuple[type, ...]] = (Job,)
    gives: ClassVar[type] = ExportedGraph

    def run(self, artifacts: Artifacts, progress: Progress) -> ExportedGraph:
        job = artifacts[Job]
        refuse_unsupported(job.model)
        _build_rest(job)
        variables = {path: array_of(variable) for path, variable in variable_paths(job.model).items()}
        _refuse_not_finite(variables)
        _refuse_negative_variances(job.model)
        progress.step("tracing the Keras model")
        twin = twin_of(job.model, variables)
        traced = trace(twin.model, job.inputs)
        progress.step(f"converting {len(traced.boundaries)} layer calls to ONNX")
        model = lowered(onnx_from_function(traced.function, traced.scopes), traced, job.model.name)
        refuse_without_module(model, traced.scopes)
        inputs, outputs = ports(model, traced)
        boundaries, unkept = boundaries_in(model, traced)
        weights = {name: twin.recipes[path] for name, path in weights_in(model).items()}
        return ExportedGraph(model, weights, inputs, outputs, boundaries, unkept, variables)


def _build_rest(job: Job) -> None:
    """Build what Keras builds at its first use alone (a layer given as an activation), before anything is traced."""
    if all(layer.built for layer in layer_paths(job.model).values()):
        return
    names = [entry.name for entry in model_inputs(job.model, job.inputs)]
    call_model(job.model, [keras.ops.convert_to_tensor(job.inputs[name][:1]) for name in names], names)


def _refuse_not_finite(variables: Mapping[str, Array]) -> None:
    """Raise one DifferenceError that lists every weight with a NaN or Inf: nothing it touches can be verified."""
    found = [f"weight {path}: {what}" for path, array in variables.items() if (what := first_not_finite(array))]
    if found:
        raise DifferenceError(
            f"{len(found)} weights hold values that are not finite, so nothing can be verified",
            where=found[0],
            details=tuple(found[1:]),
            fix="train the model again from a checkpoint before the values broke",
        )


def _refuse_negative_variances(model: keras.Model) -> None:
    """Raise one DifferenceError that lists every variance below zero: no training gives one, and its root is NaN."""
    found = []
    for path, layer in layer_paths(model).items():
        if isinstance(layer, keras.layers.BatchNormalization):
            variance = np.asarray(layer.moving_variance)
            if (variance < 0).any():
                index = int(np.argmin(variance))
                found.append(f"weight {path}/moving_variance: {variance[index]:.4g} at index ({index},)")
    if found:
        raise DifferenceError(
            f"{len(found)} BatchNormalization layers hold a negative variance, so nothing can be verified",
            where=found[0],
            details=tuple(found[1:]),
            fix="load the checkpoint that was trained: a file that was damaged or edited has such values",
        )
