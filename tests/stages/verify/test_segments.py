"""A graph cut into segments: what each holds, and that together they compute what the whole does."""

from __future__ import annotations

import keras_models
import numpy as np
import onnx
import pytest
from onnx import parser
from torchgraft.stages.base import Artifacts, ExportedGraph, Job, NormalizedGraph, Silent
from torchgraft.stages.export import Export
from torchgraft.stages.normalize import Normalize
from torchgraft.stages.verify import Verify, onnx_run
from torchgraft.stages.verify.onnx_run import OnnxRunner
from torchgraft.stages.verify.samples import samples_of
from torchgraft.stages.verify.segments import model_of, segments

GRAPH = """
<ir_version: 8, opset_import: ["" : 17]>
tower (float[N, 4] x, float[4, 4] a, float[4, 4] b, float[4, 4] c) => (float[N, 4] y, float[N, 4] first)
{
  turned_a = Transpose(a)
  turned_b = Transpose(b)
  turned_c = Transpose(c)
  first = MatMul(x, turned_a)
  second = MatMul(first, turned_b)
  third = MatMul(second, turned_c)
  y = Add(third, x)
}
"""
SIZES = dict.fromkeys("abc", 64)


def test_a_segment_reads_no_more_weights_than_the_limit_and_turns_each_where_it_is_used():
    graph = parser.parse_model(GRAPH).graph
    found = segments(graph, SIZES, {"y", "first"}, limit=64)
    assert [segment.weights for segment in found] == [("a",), ("b",), ("c",)]
    assert [[node.output[0] for node in segment.nodes] for segment in found] == [
        ["turned_a", "first"],
        ["turned_b", "second"],
        ["turned_c", "third", "y"],
    ]
    assert [segment.reads for segment in found] == [("x",), ("first",), ("second", "x")]
    assert [segment.makes for segment in found] == [("first",), ("second",), ("y",)]
    assert [segment.weights for segment in segments(graph, SIZES, {"y"}, limit=128)] == [("a", "b"), ("c",)]


def test_a_graph_of_few_weights_is_one_segment_in_its_own_order():
    graph = parser.parse_model(GRAPH).graph
    (whole,) = segments(graph, SIZES, {"y"}, limit=192)
    assert [node.output[0] for node in whole.nodes] == [node.output[0] for node in graph.node]


def test_the_weights_that_only_a_loop_s_body_names_are_the_loop_s():
    body = parser.parse_graph("step (float[4] state, float[4] x) => (float[4] next) { next = MatMul(x, w) }")
    loop = onnx.helper.make_node("Scan", ["start", "x"], ["end"], body=body, num_scan_inputs=1)
    graph = onnx.helper.make_graph([loop], "loop", [], [])
    (found,) = segments(graph, {"w": 64}, {"end"}, limit=1)
    assert (found.weights, found.reads) == (("w",), ("start", "x"))


def test_a_segment_as_a_model_takes_and_gives_what_it_says():
    proto = parser.parse_model(GRAPH)
    _, second, _ = segments(proto.graph, SIZES, {"y"}, limit=64)
    made = model_of(proto, second, {"first": np.zeros((2, 4), "float32")})
    assert [value.name for value in made.graph.input] == ["b", "first"]
    assert [value.name for value in made.graph.output] == ["second"]


@pytest.mark.parametrize("make", [keras_models.lenet, keras_models.conv_bn_pool_dense])
def test_segments_compute_what_the_whole_graph_computes(monkeypatch, make):
    model = make()
    artifacts = Artifacts(Job(model, None, keras_models.inputs_for(model, samples=3)))
    for stage in (Export(), Normalize()):
        artifacts.add(stage.run(artifacts, Silent()))
    exported, samples = artifacts[ExportedGraph], samples_of(artifacts[Job], artifacts[ExportedGraph])
    for kind in (ExportedGraph, NormalizedGraph):
        whole = OnnxRunner(artifacts[kind], exported.variables).run(samples)
        with monkeypatch.context() as patch:
            patch.setattr(onnx_run, "WEIGHT_BYTES", 1)
            cut = OnnxRunner(artifacts[kind], exported.variables)
        assert len(cut._segments) > 2
        found = cut.run(samples)
        assert found.layers.keys() == whole.layers.keys()
        for name, value in whole.layers.items():
            np.testing.assert_allclose(found.layers[name], value, atol=1e-5)  # another order of the same float32 sums


def test_a_corrupted_weight_is_found_in_segments_too(monkeypatch):
    monkeypatch.setattr(onnx_run, "WEIGHT_BYTES", 1)
    model = keras_models.lenet()
    artifacts = Artifacts(Job(model, None, keras_models.inputs_for(model, samples=3)))
    for stage in (Export(), Normalize(), Verify()):
        artifacts.add(stage.run(artifacts, Silent()))
    kernel = artifacts[ExportedGraph].variables["c3/kernel"].copy()
    kernel[2, 3, 1, 5] += 0.5
    exported = artifacts[ExportedGraph]
    exported.variables["c3/kernel"] = kernel
    found = Verify().run(artifacts, Silent())
    assert found.first_difference.name == "c3"


def test_a_bias_does_not_part_a_kernel_that_is_turned_from_what_reads_it():
    text = GRAPH.replace("first = MatMul(x, turned_a)", "first = Gemm(x, turned_a, bias)")
    graph = parser.parse_model(text.replace("float[4, 4] a,", "float[4, 4] a, float[4] bias,")).graph
    found = segments(graph, {**SIZES, "bias": 16}, {"y"}, limit=64)
    assert [segment.weights for segment in found] == [("a", "bias"), ("b",), ("c",)]
