"""Layers, variables and calls of a Keras model, each under one name."""

from __future__ import annotations

import keras
import keras_models
import numpy as np
import pytest
from keras import layers
from torchgraft.stages.keras_io import declared_inputs, model_inputs, named_outputs
from torchgraft.stages.keras_layers import intercepted_calls, keras_layer_outputs, layer_paths, variable_paths


def test_paths_are_made_of_the_containers_names():
    model = keras_models.shared_and_nested()
    paths = [path for path, layer in layer_paths(model).items() if not isinstance(layer, layers.InputLayer)]
    assert paths == ["encoder", "encoder/fc", "encoder/code", "joined", "class", "difference"]
    leaves = ("encoder/fc", "encoder/code", "class")
    assert list(variable_paths(model)) == [f"{path}/{name}" for path in leaves for name in ("kernel", "bias")]


def test_equal_names_are_told_apart_and_every_variable_has_one_path():
    model = keras_models.subclassed()
    paths = layer_paths(model)
    assert {"dense", "dense_1", "block", "block_1", "block/inner", "block_1/outer"} <= set(paths)
    variables = variable_paths(model)
    assert {id(variable) for variable in variables.values()} == {id(variable) for variable in model.variables}
    assert len(variables) == len(model.variables)
    assert "drop/seed_generator_state" in variables
    assert variables["block_1/inner/kernel"] is model.blocks[1].inner.kernel


def test_a_shared_layer_has_one_path():
    shared = layers.Dense(3, name="shared")
    given = keras.Input((3,))
    model = keras.Model(given, keras.Sequential([keras.Input((3,)), shared], name="inner")(shared(given)))
    assert [path for path, layer in layer_paths(model).items() if layer is shared] == ["shared"]
    assert list(variable_paths(model)) == ["shared/kernel", "shared/bias"]


def test_a_models_own_weights_of_one_name():
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.one = self.add_weight(name="scale", shape=(2,))
            self.two = self.add_weight(name="scale", shape=(2,))
            self.dense = layers.Dense(1, name="dense")

        def call(self, x):
            return self.dense(x * self.one * self.two)

    model = Model()
    model(np.ones((1, 2), "float32"))
    variables = variable_paths(model)
    assert list(variables) == ["dense/kernel", "dense/bias", "scale", "scale_1"]
    assert variables["scale"] is model.one
    assert variables["scale_1"] is model.two


def test_every_call_is_captured_in_order_with_its_value():
    model = keras_models.shared_and_nested()
    x = np.random.default_rng(0).normal(size=(2, 6)).astype("float32")
    result, captured = keras_layer_outputs(model, lambda: model([x, -x], training=False))
    assert list(captured) == [
        "encoder/fc", "encoder/code", "encoder/fc#1", "encoder/code#1", "joined", "difference", "class",
    ]  # fmt: skip
    first = x @ np.asarray(model.get_layer("encoder").get_layer("fc").kernel)
    first = np.maximum(first + np.asarray(model.get_layer("encoder").get_layer("fc").bias), 0)
    # One float32 product of six terms.
    np.testing.assert_allclose(captured["encoder/fc"], first, atol=1e-6)
    np.testing.assert_array_equal(captured["class"], result[0])
    assert not np.array_equal(captured["encoder/fc"], captured["encoder/fc#1"])


def test_a_layer_with_two_outputs_has_two_boundaries():
    class Halves(layers.Layer):
        def call(self, x):
            return {"low": x[:, :2], "high": x[:, 2:]}

    given = keras.Input((4,))
    model = keras.Model(given, Halves(name="halves")(given))
    x = np.arange(4, dtype="float32")[None]
    _, captured = keras_layer_outputs(model, lambda: model(x))
    assert {name: value.tolist() for name, value in captured.items()} == {
        "halves": [[2.0, 3.0]],
        "halves:1": [[0.0, 1.0]],
    }


def test_the_wrapper_goes_even_if_a_call_fails():
    model = keras_models.lenet()

    def fail(call, original, args, kwargs):
        raise RuntimeError(call.path)

    with pytest.raises(RuntimeError, match="c1"), intercepted_calls(model, fail):
        model(np.zeros((1, 32, 32, 1), "float32"))
    assert all("call" not in vars(layer) for layer in model.layers)
    model(np.zeros((1, 32, 32, 1), "float32"))


def test_inputs_and_outputs_have_keras_names():
    model = keras_models.shared_and_nested()
    assert [entry.name for entry in declared_inputs(model)] == ["left", "right"]
    assert list(named_outputs(model, [1, 2])) == ["class", "difference"]
    assert named_outputs(keras_models.subclassed(), {"logits": 1, "features": 2}) == {"features": 2, "logits": 1}
    assert named_outputs(object(), (1, 2)) == {"output_0": 1, "output_1": 2}
    assert named_outputs(object(), 1) == {"output": 1}


def test_equal_output_names_are_told_apart():
    given = keras.Input((4,))
    shared = layers.Dense(4, name="shared")
    model = keras.Model(given, [shared(given), shared(shared(given))])
    assert list(named_outputs(model, [1, 2])) == ["shared", "shared_1"]


def test_a_subclassed_model_takes_the_names_it_is_given():
    (entry,) = model_inputs(keras_models.subclassed(), {"anything": np.zeros((3, 4))})
    assert (entry.name, entry.shape, entry.dtype) == ("anything", (None, 4), "float32")
