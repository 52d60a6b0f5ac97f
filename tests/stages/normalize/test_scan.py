"""Scan: the body is normalised with the graph around it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from first_stages import first_stages
from keras import layers
from keras_models import inputs_for, randomised
from onnx_text import assert_same, inputs_of, normalised, raw_graph, run
from torchgraft.stages.base import NormalizedGraph, Verification

# A step over channels-last maps, written as the exporter writes a convolution: between two Transposes.
CONVOLUTION = """
last, steps = Scan <num_scan_inputs = 1, scan_input_axes = [1], scan_output_axes = [1], body = step (
    float[N,4,5,3] before, float[N,4,5,3] x_t) => (float[N,4,5,3] after, float[N,4,5,3] given) {
    first = Transpose <perm = [0, 3, 1, 2]> (x_t)
    turned = Transpose <perm = [3, 2, 0, 1]> (w)
    made = Conv <pads = [1, 1, 1, 1]> (first, turned)
    back = Transpose <perm = [0, 2, 3, 1]> (made)
    after = Add (before, back)
    given = Identity (after)
}> (start, x)
y = Identity (steps)
"""
SIGNATURE = "(float[N,6,4,5,3] x, float[N,4,5,3] start, float[3,3,3,3] w) => (float[N,6,4,5,3] y)"


def operators(graph) -> list[str]:
    return [node.op_type for node in graph.model.graph.all_nodes()]


def test_a_convolution_in_the_body_makes_the_whole_scan_channels_first():
    graph = normalised(raw_graph(SIGNATURE, CONVOLUTION))
    assert "Transpose" not in operators(graph)
    moves = {port.name: str(port.moves) for port in graph.inputs}
    assert "perm=(0, 1, 3, 4, 2)" in moves["x"]
    assert "perm=(0, 2, 3, 1)" in moves["start"]
    (recipe,) = graph.weights.values()
    assert str(recipe) == "w · transpose(3, 2, 0, 1)"


def test_without_a_wish_of_the_body_the_scan_stands_as_it_is():
    body = CONVOLUTION.replace("Conv <pads = [1, 1, 1, 1]> (first, turned)", "Tanh (first)")
    body = body.replace("turned = Transpose <perm = [3, 2, 0, 1]> (w)", "")
    graph = normalised(raw_graph("(float[N,6,4,5,3] x, float[N,4,5,3] start) => (float[N,6,4,5,3] y)", body))
    assert not any(port.moves for port in graph.inputs)


def test_a_corrupted_body_is_seen():
    raw = raw_graph(SIGNATURE, CONVOLUTION)
    graph = normalised(raw)
    next(node for node in graph.model.graph.all_nodes() if node.op_type == "Add").op_type = "Sub"
    variables, inputs = dict(raw.variables), inputs_of(raw)
    with pytest.raises(AssertionError, match="y"):
        assert_same(run(graph, variables, inputs), run(raw, variables, inputs))


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_convolutional_lstm_keeps_no_transpose(padding):
    clip = keras.Input((3, 7, 8, 3), name="clip")
    model = randomised(keras.Model(clip, layers.ConvLSTM2D(4, 3, padding=padding, return_sequences=True)(clip)))
    artifacts = first_stages(model, inputs_for(model))
    assert artifacts[Verification].verified
    assert "Transpose" not in operators(artifacts[NormalizedGraph])
    assert not any(not rewrite.applied for rewrite in artifacts[NormalizedGraph].rewrites)


def test_the_bias_that_keras_adds_last_is_that_of_the_first_product():
    series = keras.Input((5, 3), name="series")
    model = randomised(keras.Model(series, layers.LSTM(4)(series)))
    graph = first_stages(model, inputs_for(model))[NormalizedGraph]
    products = [node for node in graph.model.graph.all_nodes() if node.op_type == "Gemm"]
    assert sorted(len(node.inputs) for node in products) == [2, 3]
    biased = next(node for node in products if len(node.inputs) == 3)
    assert [value.name.rpartition("/")[2] for value in biased.inputs[1:]] == ["kernel", "bias"]


def test_the_batch_may_have_any_size():
    series = keras.Input((5, 3), name="series")
    model = randomised(keras.Model(series, layers.Bidirectional(layers.GRU(4))(series)))
    small, large = (first_stages(model, inputs_for(model, samples))[Verification] for samples in (1, 7))
    assert small.verified
    assert large.verified
    assert np.shape(next(iter(large.normalized.outputs.values()))) == (7, 8)
