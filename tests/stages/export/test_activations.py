"""Activations of several operations, as ONNX Runtime knows them."""

from __future__ import annotations

from pathlib import Path

import keras
import onnx
import onnxruntime
import pytest
from first_stages import first_stages
from keras_models import inputs_for
from torchgraft.stages.base import ExportedGraph, NormalizedGraph
from torchgraft.stages.deliver import write_onnx


@pytest.mark.parametrize(("activation", "fused"), [("gelu", "Gelu"), ("gelu_tanh", "FastGelu"), ("softsign", None)])
def test_onnx_runtime_computes_a_gelu_in_one_operator(activation: str, fused: str | None, tmp_path: Path) -> None:
    """Spelled out it costs a transformer a seventh of its time."""
    functions = {"gelu": keras.activations.gelu, "gelu_tanh": lambda x: keras.activations.gelu(x, True)}
    given = keras.Input((6,))
    made = keras.layers.Dense(5)(given)
    made = keras.layers.Dense(4)(keras.layers.Activation(functions.get(activation, activation))(made))
    model = keras.Model(given, made)
    artifacts = first_stages(model, inputs_for(model, 2))
    write_onnx(artifacts[NormalizedGraph], artifacts[ExportedGraph], tmp_path)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), options, providers=["CPUExecutionProvider"])
    operators = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert operators & {"Gelu", "FastGelu"} == ({fused} if fused else set())
