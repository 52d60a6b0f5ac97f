"""Verification: what agrees, what does not, and that nothing is left out."""

from __future__ import annotations

from dataclasses import replace

import keras
import keras_models
import numpy as np
import onnx_ir as ir
import pytest
from keras import layers
from torchgraft.stages.base import Artifacts, Job, NormalizedGraph, Silent, Tolerance
from torchgraft.stages.errors import DifferenceError, UnsupportedError, UsageError
from torchgraft.stages.export import Export
from torchgraft.stages.plan import Transpose
from torchgraft.stages.verify import Verify, difference_error
from torchgraft.stages.verify import samples as sizes
from torchgraft.stages.verify.keras_run import run_keras


def verified(model, change=None, normalized=None, **options):
    """The Verification of ``model``, its exported graph standing in for the normalised one too."""
    inputs = options.pop("inputs", None) or keras_models.inputs_for(model, samples=5)
    artifacts = Artifacts(Job(model, None, inputs, **options))
    graph = Export().run(artifacts, Silent())
    artifacts.add(change(graph) if change else graph)
    make = normalized or (
        lambda graph: NormalizedGraph(
            graph.model, graph.weights, graph.inputs, graph.outputs, graph.boundaries, graph.unkept
        )
    )
    artifacts.add(make(graph))
    verification = Verify().run(artifacts, Silent())
    verification.check()
    return verification


def test_every_layer_and_output_has_a_row_for_each_graph_in_order():
    verification = verified(keras_models.lenet(), probe_samples=3)
    assert verification.verified
    assert verification.first_difference is None
    names = ["c1", "s2", "c3", "s4", "c5", "flatten", "f6", "output"]
    assert [row.name for row in verification.agreements] == [name for name in names for _ in range(2)] + ["output"] * 2
    assert {row.runtimes for row in verification.agreements} == {("onnxruntime raw", "keras"), ("onnxruntime", "keras")}
    assert list(verification.keras.layers) == names
    assert all(len(value) == 3 for value in verification.keras.layers.values())
    assert all(len(value) == 3 for value in verification.normalized.layers.values())
    assert len(verification.keras.outputs["output"]) == len(verification.normalized.outputs["output"]) == 5
    assert len(verification.raw.outputs["output"]) == 3
    assert verification.raw.layers == {}


def test_a_corrupted_weight_is_a_difference_from_its_layer_on():
    def corrupt(graph):
        kernel = graph.variables["c3/kernel"].copy()
        kernel[2, 3, 1, 5] += 0.5
        return replace(graph, variables={**graph.variables, "c3/kernel": kernel})

    verification = verified(keras_models.lenet(), corrupt)
    assert not verification.verified
    assert verification.first_difference.name == "c3"
    error = difference_error(verification)
    assert isinstance(error, DifferenceError)
    assert str(error).startswith("layer c3: onnxruntime raw does not agree with keras: differs by ")
    assert all(row.agrees for row in verification.agreements if row.name in ("c1", "s2"))


def test_a_wrong_epsilon_is_a_difference_at_its_layer():
    def change(graph):
        node = next(node for node in graph.model.graph if node.op_type == "BatchNormalization")
        node.attributes["epsilon"] = ir.AttrFloat32("epsilon", 1e-5)
        return graph

    model = keras_models.conv_bn_pool_dense()
    assert verified(model).verified
    assert verified(model, change).first_difference.name == "bn"


def test_a_layout_that_is_not_undone_is_a_difference():
    def wrong_way(graph):
        moved = [
            replace(entry, moves=(Transpose((0, 2, 1, 3)),)) if entry.name == "c1" else entry
            for entry in graph.boundaries
        ]
        return NormalizedGraph(graph.model, graph.weights, graph.inputs, graph.outputs, tuple(moved), graph.unkept)

    verification = verified(keras_models.lenet(), normalized=wrong_way)
    assert [row.name for row in verification.agreements if not row.agrees] == ["c1"]
    assert verification.first_difference.runtimes == ("onnxruntime", "keras")


def test_values_that_are_not_numbers_never_agree():
    given = keras.Input((3,), name="given")
    model = keras.Model(given, layers.Lambda(keras.ops.log, name="log")(given))
    inputs = {"given": np.array([[1.0, -1.0, 2.0]], "float32")}
    error = difference_error(verified(model, inputs=inputs))
    assert "layer log: onnxruntime raw does not agree with keras: NaN at (0, 1) on both sides" in str(error)


def test_a_layer_that_a_graph_does_not_keep_is_listed_with_its_reason():
    def without_pool(graph):
        kept = tuple(entry for entry in graph.boundaries if entry.name != "s2")
        return NormalizedGraph(graph.model, graph.weights, graph.inputs, graph.outputs, kept, {"s2": "merged"})

    verification = verified(keras_models.lenet(), normalized=without_pool)
    assert verification.verified
    assert dict(verification.unkept) == {"s2": "merged"}


def test_a_layer_that_is_missing_without_a_reason_fails():
    def without_pool(graph):
        kept = tuple(entry for entry in graph.boundaries if entry.name != "s2")
        return NormalizedGraph(graph.model, graph.weights, graph.inputs, graph.outputs, kept)

    verification = verified(keras_models.lenet(), normalized=without_pool)
    assert verification.first_difference.name == "s2"
    assert verification.first_difference.reason == "onnxruntime has no value of that name"


def test_many_samples_go_through_in_batches_and_stay_in_order(monkeypatch):
    monkeypatch.setattr(sizes, "LARGEST_BATCH", 4)
    model = keras_models.conv1d_flatten_dense()
    inputs = keras_models.inputs_for(model, samples=11)
    verification = verified(model, inputs=inputs, probe_samples=3)
    assert verification.verified
    whole = np.asarray(model(inputs["signal"]))
    # Batches of another size take another path through the same float32 sums.
    np.testing.assert_allclose(verification.normalized.outputs["dense"], whole, atol=1e-5)
    np.testing.assert_allclose(verification.keras.outputs["dense"], whole, atol=1e-5)


def test_fewer_samples_are_compared_where_many_would_not_fit(monkeypatch):
    monkeypatch.setattr(sizes, "LAYER_BYTES", 1)
    verification = verified(keras_models.lenet(), probe_samples=4)
    assert verification.verified
    assert {len(value) for value in verification.keras.layers.values()} == {1}


def test_a_model_of_fixed_batch_takes_whole_batches_only():
    given = keras.Input(batch_shape=(2, 7, 3), name="given")
    model = keras_models.randomised(keras.Model(given, layers.Conv1D(4, 3, name="conv")(given)))
    random = np.random.default_rng(0)
    assert verified(model, inputs={"given": random.normal(size=(6, 7, 3)).astype("float32")}).verified
    with pytest.raises(UsageError, match="5 samples do not fill batches of 2"):
        verified(model, inputs={"given": random.normal(size=(5, 7, 3)).astype("float32")})


def test_inputs_of_another_width_are_converted_as_keras_does():
    model = keras_models.lenet()
    inputs = {name: value.astype("float64") for name, value in keras_models.inputs_for(model).items()}
    assert verified(model, inputs=inputs).verified


def test_weights_never_pass_through_protobuf():
    """The limit of protobuf is 2 GB; of the 4 MB of weights here, none is in what ONNX Runtime gets."""
    model = keras_models.randomised(keras.Sequential([keras.Input((1000,)), layers.Dense(1000, name="wide")]))
    artifacts = Artifacts(Job(model, None, keras_models.inputs_for(model)))
    graph = Export().run(artifacts, Silent())
    assert len(ir.to_proto(graph.model).SerializeToString()) < 4_000
    assert verified(model).verified


def test_what_onnx_runtime_lacks_in_float64_is_computed_in_float32_and_that_is_said():
    given = keras.Input((7, 3), dtype="float64", name="given")
    x = layers.Conv1D(4, 3, dtype="float64", activation="gelu", name="conv")(given)
    x = layers.AveragePooling1D(2, dtype="float64", name="pool")(x)
    model = keras_models.randomised(keras.Model(given, layers.Dense(2, dtype="float64", name="head")(x)))
    tight = Tolerance(1e-12, 1e-9)
    found = verified(model, tolerance=tight)
    assert found.verified
    assert "Conv" in found.tolerance.reason
    assert found.tolerance.rtol == Tolerance().rtol
    stack = [keras.Input((3,), dtype="float64"), layers.Dense(2, dtype="float64")]
    dense = keras_models.randomised(keras.Sequential(stack))
    found = verified(dense, tolerance=tight)  # float64 throughout: the tight one holds
    assert found.verified
    assert found.tolerance == tight
    assert max(row.max_rel for row in found.agreements) < 1e-15 * 100


def test_an_error_of_onnx_runtime_while_it_runs_names_the_stage_the_layer_and_what_to_do():
    model = keras.Sequential([keras.Input((6,), name="given"), layers.Reshape((2, 3), name="square")])

    def change(graph):
        node = next(node for node in graph.model.graph if node.op_type == "Reshape")
        node.inputs[1].const_value = ir.tensor(np.array([-1, 2, 5]), name=node.inputs[1].name)
        return graph

    with pytest.raises(UnsupportedError, match=r"stage verify, layer square[\s\S]*failed while it ran[\s\S]*To fix it"):
        verified(model, change)


def test_a_graph_that_onnx_runtime_refuses_is_unsupported_and_says_what_to_save():
    def change(graph):
        node = next(node for node in graph.model.graph if node.op_type == "Gemm")
        node.attributes["transB"] = ir.AttrInt64("transB", 0)
        return graph

    with pytest.raises(UnsupportedError, match="float32 as its dtype policy"):
        verified(keras_models.lenet(), change)


def test_a_model_that_keras_cannot_run_on_its_inputs_is_told_apart_from_a_bug():
    ids = keras.Input((4,), dtype="int32", name="ids")
    model = keras.Model(ids, layers.Embedding(5, 3, name="embedding")(ids))
    with pytest.raises(UnsupportedError, match="Keras itself cannot run the model on these inputs"):
        verified(model, inputs={"ids": np.full((2, 4), 9, "int32")})


def test_running_keras_changes_no_state():
    given = keras.Input((3,), name="given")
    model = keras.Model(given, keras_models.Noise(name="noise")(given))
    state = keras.ops.convert_to_numpy(model.variables[0].value)
    inputs = keras_models.inputs_for(model)
    run = run_keras(model, sizes.Samples(inputs, batch=3, probed=3, probe_batch=3))
    assert not np.array_equal(run.outputs["noise"], inputs["given"])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.variables[0].value), state)


def test_tolerance_is_the_jobs():
    def nudge(graph):
        bias = graph.variables["f6/bias"] + np.float32(1e-3)
        return replace(graph, variables={**graph.variables, "f6/bias": bias})

    model = keras_models.lenet()
    assert not verified(model, nudge).verified
    assert verified(model, nudge, tolerance=Tolerance(atol=1e-2, rtol=1e-2)).verified
