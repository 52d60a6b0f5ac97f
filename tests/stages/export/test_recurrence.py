"""Loops over time steps: one Scan around the step, whatever the cell, and weights that stand once."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from first_stages import first_stages
from keras import layers
from keras.src import backend
from keras_models import inputs_for, randomised
from torchgraft.stages.base import Artifacts, ExportedGraph, Job, Silent, Tolerance, Verification
from torchgraft.stages.errors import UnsupportedError
from torchgraft.stages.export import Export
from torchgraft.stages.measure import agreement


def series(*stack: layers.Layer, shape: tuple[int, ...] = (5, 3), batch: int | None = None) -> keras.Model:
    return randomised(keras.Sequential([keras.Input(shape, batch_size=batch, name="series"), *stack]))


def exported(model: keras.Model, samples: int = 3) -> ExportedGraph:
    return Export().run(Artifacts(Job(model, None, inputs_for(model, samples))), Silent())


def scans(graph: ExportedGraph) -> list:
    return [node for node in graph.model.graph if node.op_type == "Scan"]


def is_verified(model: keras.Model, samples: int = 4) -> bool:
    return first_stages(model, inputs_for(model, samples))[Verification].verified


def test_a_recurrent_layer_is_one_scan_whatever_the_number_of_steps():
    short, long = (exported(series(layers.LSTM(4), shape=(steps, 3))) for steps in (3, 30))
    assert len(scans(short)) == len(scans(long)) == 1
    assert len(list(short.model.graph.all_nodes())) == len(list(long.model.graph.all_nodes()))


def test_each_weight_is_one_input_of_the_graph_and_the_body_holds_none():
    graph = exported(series(layers.Bidirectional(layers.GRU(4)), layers.Dense(2)))
    assert set(graph.weights) == {path for path, array in graph.variables.items() if array.dtype.kind == "f"}
    for scan in scans(graph):
        assert not scan.attributes["body"].as_graph().initializers


def test_a_stack_of_cells_is_one_scan():
    cells = [layers.LSTMCell(4), layers.GRUCell(5)]
    assert len(scans(exported(series(layers.RNN(cells))))) == 1


def test_keras_own_loop_is_there_again_afterwards_also_when_tracing_fails():
    class Failing(layers.Layer):
        def call(self, x):
            raise ValueError("no")

    before = (backend.rnn, backend.lstm, backend.gru)
    exported(series(layers.LSTM(4)))
    given = keras.Input((5, 3), name="series")
    model = keras.Model(given, layers.LSTM(4)(given))
    model.layers[-1].cell.call = Failing().call
    with pytest.raises(UnsupportedError):
        exported(model)
    assert (backend.rnn, backend.lstm, backend.gru) == before


def test_gate_by_gate_cells_are_traced_with_one_product_for_all_gates_and_left_as_they_are():
    model = series(layers.LSTM(4, implementation=1))
    graph = exported(model)
    (scan,) = scans(graph)
    assert sum(node.op_type == "MatMul" for node in scan.attributes["body"].as_graph()) == 2
    assert model.layers[0].cell.implementation == 1


def test_a_stateful_layer_starts_from_the_zeros_of_a_new_model():
    model = series(layers.LSTM(4, stateful=True, return_sequences=True), layers.GRU(3, stateful=True), batch=2)
    assert is_verified(model)


def test_states_in_the_middle_of_a_sequence_are_refused_with_what_to_call():
    model = series(layers.LSTM(4, stateful=True, name="bad"), batch=2)
    model(np.ones((2, 5, 3), "float32"))
    with pytest.raises(UnsupportedError, match="layer bad") as caught:
        exported(model, 2)
    assert "call reset_state() on it" in str(caught.value)
    model.layers[0].reset_state()
    assert is_verified(model)


def test_exporting_a_stateful_model_does_not_move_its_states():
    model = series(layers.GRU(4, stateful=True), batch=2)
    before = [np.array(state) for state in model.layers[0].states]
    first_stages(model, inputs_for(model, 4))
    assert all(np.array_equal(old, new) for old, new in zip(before, model.layers[0].states, strict=True))


def test_a_mask_counts():
    """The twin of the masked rows of the table: the same model without the mask computes something else."""
    given = keras.Input((6, 3), name="series")
    layer = layers.LSTM(4)
    masked = randomised(keras.Model(given, layer(given, mask=given[:, :, 0] > 0)))
    plain = keras.Model(given, layer(given))
    inputs = inputs_for(masked, 3)
    with_mask, without = (first_stages(model, inputs)[Verification] for model in (masked, plain))
    assert with_mask.verified
    assert without.verified
    (ours,), (theirs,) = with_mask.normalized.outputs.values(), without.keras.outputs.values()
    assert not agreement("lstm", ("masked", "plain"), ours, theirs, Tolerance()).agrees


def test_a_step_of_several_outputs_is_refused_by_its_layer():
    class TwoOutputs(layers.Layer):
        def call(self, x):
            def step(x_t, states):
                return (x_t, x_t), states

            last, _, _ = backend.rnn(step, x, (x[:, 0],))
            return last[0]

    model = series(layers.Activation("tanh"), TwoOutputs(name="bad"))
    with pytest.raises(UnsupportedError, match="layer bad: its cell gives several outputs"):
        exported(model)


def test_a_user_s_layer_over_keras_own_loop_is_a_scan():
    class Running(layers.Layer):
        def call(self, x):
            def step(x_t, states):
                total = states[0] + x_t
                return total * total, [total]

            return backend.rnn(step, x, (x[:, 0] * 0.0,))[1]

    model = series(Running(name="running"), layers.Dense(2))
    assert len(scans(exported(model))) == 1
    assert is_verified(model)


def test_a_layer_that_mixes_samples_is_not_verified_when_distributed_over_time():
    class Centred(layers.Layer):
        def call(self, x):
            return x - keras.ops.mean(x, axis=0, keepdims=True)

        def compute_output_shape(self, shape):
            return shape

    given = keras.Input((5, 3), name="series")
    x = layers.TimeDistributed(Centred(), name="distributed")(given)
    model = randomised(keras.Model(given, layers.TimeDistributed(layers.Dense(2))(x)))
    verification = first_stages(model, inputs_for(model, 4))[Verification]
    assert verification.first_difference is not None
    assert verification.first_difference.name == "distributed"
