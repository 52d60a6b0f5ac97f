"""Stage 1: Keras → ONNX by tf2onnx, the weights as inputs of the graph."""

from __future__ import annotations

from typing import ClassVar

import keras
import numpy as np

from ..base import Artifacts, ExportedGraph, Job, Progress
from ..keras_layers import variable_paths
from ..plan import Recipe, Variable
from .convert import onnx_from_traced
from .lower import boundaries_in, lowered, ports
from .refusals import refuse_unsupported
from .trace import trace


class Export:
    """Traces the model, converts it, and writes the layers that must stay whole."""

    name: ClassVar[str] = "export"
    needs: ClassVar[tuple[type, ...]] = (Job,)
    gives: ClassVar[type] = ExportedGraph

    def run(self, artifacts: Artifacts, progress: Progress) -> ExportedGraph:
        job = artifacts[Job]
        refuse_unsupported(job.model)
        progress.step("tracing the Keras model")
        traced = trace(job.model, job.inputs)
        progress.step(f"converting {len(traced.boundaries)} layer calls to ONNX")
        model = lowered(onnx_from_traced(traced), traced)
        variables = {path: np.asarray(variable) for path, variable in variable_paths(job.model).items()}
        inputs, outputs = ports(model, traced)
        boundaries, unkept = boundaries_in(model, traced)
        present = {value.name for value in model.graph.inputs}
        weights = {
            path: Recipe(Variable(path, array.shape, array.dtype.name)).because("export: the variable itself")
            for path, array in variables.items()
            if path in present
        }
        return ExportedGraph(model, weights, inputs, outputs, boundaries, unkept, variables)
