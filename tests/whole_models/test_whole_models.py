"""Whole architectures through stages 1 to 4: verified at every layer, no Transpose where PyTorch would have none."""

from __future__ import annotations

import gc

import keras
import pytest
import torch
from onnx_text import raw_graph

from whole_models.applications import architectures
from whole_models.entry import Row, moving_transposes, surveyed
from whole_models.models import MODELS
from whole_models.turns import Turns

# Seconds each; ResNet50 and MobileNetV2 are in the tests of stages 2 and 4.
SMALL = ("ConvNeXtTiny", "EfficientNetB0", "MobileNetV3Small", "keras_hub BERT", "keras_hub Llama", "keras_hub ViT")


@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, marks=() if entry.name in SMALL else pytest.mark.long, id=entry.name) for entry in MODELS],
)
def test_every_layer_is_verified_and_no_transpose_is_left_that_is_not_allowed(entry):
    try:
        row = surveyed(entry)
        assert not row.different
        assert row.compared > 10
        assert row.after <= row.allowed, row
    finally:
        keras.backend.clear_session()
        gc.collect()


def test_all_architectures_of_keras_applications_are_there():
    assert len(architectures()) == 40
    assert set(architectures()) <= {entry.name for entry in MODELS}


def test_a_transpose_that_moves_data_is_counted_and_one_over_an_axis_of_length_one_is_not():
    moving = raw_graph("(float[N,3,5] x) => (float[N,5,3] y)", "y = Transpose <perm = [0, 2, 1]> (x)")
    still = raw_graph("(float[N,1,5] x) => (float[N,5,1] y)", "y = Transpose <perm = [0, 2, 1]> (x)")
    assert [moving_transposes(graph.model.graph) for graph in (moving, still)] == [1, 0]


def test_a_row_with_a_transpose_too_many_or_a_difference_does_not_hold():
    figures = {
        "name": "a",
        "parameters": 1,
        "before": 9,
        "allowed": 2,
        "why": "",
        "compared": 5,
        "onnx": 0.0,
        "torch": 0.0,
    }
    assert Row(**figures, after=2, different=()).holds
    assert not Row(**figures, after=3, different=()).holds
    assert not Row(**figures, after=2, different=("conv",)).holds


def test_turns_are_counted_as_they_move_and_a_chain_of_them_once():
    x, one = torch.zeros(2, 3, 4), torch.zeros(2, 1, 4)
    with torch.inference_mode(), Turns() as turns:
        x.transpose(1, 2).transpose(0, 1) + 1  # one chain
        x.transpose(1, 2).transpose(1, 2) + 1  # there and back: nothing moves
        one.transpose(1, 2) + 1  # over an axis of length 1
        x.permute(2, 0, 1) + 1
    assert turns.count == 2
