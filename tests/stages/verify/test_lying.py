"""Weights fed as they lie in memory: what is copied, and that the graph computes the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser
from torchgraft.stages.verify.lying import as_they_lie, turn_back

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
dense (float[N, 3] x, float[2, 3] weight, float[2] bias) => (float[N, 2] z)
{
  y = Gemm <transB = 1> (x, weight, bias)
  root = Erf(y)
  z = Mul(y, root)
}
"""


def numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype="float32")


@pytest.mark.parametrize("perm", [(1, 0, 2, 3), (3, 2, 0, 1), (2, 3, 1, 0)])
def test_what_is_only_turned_is_fed_from_its_own_memory(perm):
    kernel = numbers(2, 3, 4, 5)
    fed, turns = as_they_lie({"weight": kernel.transpose(perm)})
    (lying,) = fed.values()
    assert np.shares_memory(lying, kernel)
    assert lying.flags.c_contiguous
    np.testing.assert_array_equal(lying.transpose(turns["weight"]), kernel.transpose(perm))


def test_what_lies_as_it_is_wanted_is_fed_as_it_is_and_a_part_is_copied():
    kernel = numbers(4, 6)
    fed, turns = as_they_lie({"whole": kernel, "part": kernel[:, 1:3], "turned part": kernel[:, 1:3].T})
    assert not turns
    assert fed["whole"] is kernel
    np.testing.assert_array_equal(fed["part"], kernel[:, 1:3])
    np.testing.assert_array_equal(fed["turned part"], kernel[:, 1:3].T)


def optimized(model, folder):
    """(the session, the operators that it runs)."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session, [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]


def test_a_turned_kernel_is_multiplied_as_it_lies(tmp_path):
    x, kernel, bias = numbers(5, 3), numbers(3, 2), numbers(2)
    model = parser.parse_model(GRAPH)
    (expected,) = optimized(model, tmp_path)[0].run(None, {"x": x, "weight": kernel.T, "bias": bias})
    fed, turns = as_they_lie({"weight": kernel.T, "bias": bias})
    turn_back(model, turns)
    session, operators = optimized(model, tmp_path)
    assert operators == ["Gemm", "Erf", "Mul"]
    np.testing.assert_allclose(session.run(None, {"x": x, **fed})[0], expected, rtol=1e-6)  # float32, another kernel
    wrong = {name: array + np.float32(0.1) * (array is not bias) for name, array in fed.items()}
    assert not np.allclose(session.run(None, {"x": x, **wrong})[0], expected, rtol=1e-3)
