"""A Scan becomes a module that runs its step, one module, as often as there are steps."""

from __future__ import annotations

import keras
import pytest
import torch
from first_stages import first_stages, imported_rows
from keras import layers
from keras_models import inputs_for, randomised
from torch import nn
from torchgraft.stages.base import ExportedGraph, ImportedModule
from torchgraft.stages.importer.converters.scan import Scan


def imported(*stack: layers.Layer, steps: int = 5):
    model = randomised(keras.Sequential([keras.Input((steps, 3), name="series"), *stack]))
    return first_stages(model, inputs_for(model))


def test_the_step_holds_each_weight_once_whatever_the_number_of_steps():
    for steps in (2, 9):
        module = imported(layers.LSTM(4, name="lstm"), steps=steps)[ImportedModule]
        shapes = sorted(tuple(tensor.shape) for tensor in module.module.state_dict().values())
        assert shapes == [(16,), (16, 3), (16, 4)]
        assert isinstance(module.module.get_submodule("lstm"), Scan)


def test_each_tensor_of_a_step_is_its_recipe_bit_for_bit():
    artifacts = imported(layers.Bidirectional(layers.GRU(4)), layers.Dense(2))
    module, variables = artifacts[ImportedModule], artifacts[ExportedGraph].variables
    state = module.module.state_dict()
    assert state.keys() == module.recipes.keys()
    for key, recipe in module.recipes.items():
        assert recipe.apply(variables).tobytes() == state[key].numpy().tobytes(), key


def test_every_layer_is_what_keras_computes():
    artifacts = imported(layers.LSTM(4, return_sequences=True), layers.GRU(3, go_backwards=True), layers.Dense(2))
    assert [row.name for row in imported_rows(artifacts) if not row.agrees] == []


def test_a_corrupted_weight_of_a_step_is_seen_at_its_layer():
    artifacts = imported(layers.LSTM(4, return_sequences=True, name="lstm"), layers.GRU(3, name="gru"))
    with torch.no_grad():
        scan = artifacts[ImportedModule].module.get_submodule("gru")
        next(iter(scan.step.parameters())).mul_(1.5)
    wrong = {row.name for row in imported_rows(artifacts) if not row.agrees}
    assert "gru" in wrong
    assert "lstm" not in wrong


class Attending(layers.Layer):
    """A cell that reaches a value outside of the loop: what it looks at, the same each step."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size = self.units = units
        self.seen = None
        self.mix = layers.Dense(units)

    def build(self, shape):
        self.mix.build((None, self.units + shape[-1]))

    def call(self, x, states):
        new = keras.ops.tanh(self.mix(keras.ops.concatenate([x, states[0]], -1)) + self.seen)
        return new, [new]


class Looking(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.loop = layers.RNN(Attending(4))

    def build(self, shape):
        self.loop.build(shape)

    def call(self, x):
        self.loop.cell.seen = keras.ops.mean(x[:, :, :1], axis=1)
        return self.loop(x)


def test_what_a_step_reaches_outside_comes_in_as_an_input():
    artifacts = imported(Looking(name="looking"), layers.Dense(2))
    assert [row.name for row in imported_rows(artifacts) if not row.agrees] == []


@pytest.mark.parametrize("backwards", [False, True])
def test_a_scan_runs_from_either_end(backwards):
    class Sum(nn.Module):
        def forward(self, total, x):
            return total + x, total * x

    scan = Scan([1], [backwards], [1], carried=1)
    scan.step = Sum()
    x = torch.tensor([[1.0, 2.0, 4.0]])
    total, steps = scan(torch.zeros(1), x)
    assert total.tolist() == [7.0]
    assert steps.tolist() == ([[0.0, 8.0, 6.0]] if backwards else [[0.0, 2.0, 12.0]])


def test_torch_export_reads_the_steps():
    artifacts = imported(layers.GRU(4))
    program = torch.export.export(artifacts[ImportedModule].module, (torch.randn(2, 5, 3),))
    targets = [str(node.target) for node in program.graph.nodes]
    assert targets.count("aten.linear.default") == 10
