"""Precisions: Keras computes in its own, graphs in float32; float64 stays; int8 is dequantised; the rest is refused."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from keras import layers
from keras_models import randomised
from torchgraft.stages.base import (
    Artifacts,
    ExportedGraph,
    ImportedModule,
    Job,
    Silent,
    Tolerance,
    Verification,
    run_stage,
)
from torchgraft.stages.errors import UnsupportedError
from torchgraft.stages.export import Export
from torchgraft.stages.importer import Import
from torchgraft.stages.load import generated_inputs
from torchgraft.stages.normalize import Normalize
from torchgraft.stages.precision import ROUNDING, derived_tolerance
from torchgraft.stages.verify import Verify


def network(policy: str) -> keras.Model:
    def layer(kind, *values, **options):
        return kind(*values, dtype=policy, **options)

    stack = [
        keras.Input((8, 8, 3), name="image"),
        layer(layers.Conv2D, 4, 3, activation="relu", name="conv"),
        layer(layers.BatchNormalization, name="bn"),
        layer(layers.AveragePooling2D, 2),
        layer(layers.Flatten),
        layer(layers.Dense, 6, activation="elu", name="fc"),
        layer(layers.LayerNormalization, name="ln"),
        layer(layers.Dense, 3, activation="softmax", name="head"),
    ]
    return randomised(keras.Sequential(stack))


def in_part() -> keras.Model:
    """A policy of its own for some layers, inputs in half precision."""
    x = keras.Input((6,), dtype="float16", name="x")
    y = layers.Dense(5, dtype="mixed_float16", activation="tanh", name="one")(x)
    y = layers.Dense(4, dtype="float32", name="two")(y)
    return randomised(keras.Model(x, layers.Dense(3, dtype="bfloat16", name="three")(y)))


def words(mode: str | None = None) -> keras.Model:
    ids = keras.Input((5,), dtype="int32", name="ids")
    x = layers.Embedding(11, 8, name="embedding")(ids)
    x = layers.EinsumDense("abc,cde->abde", output_shape=(5, 2, 3), bias_axes="de", name="einsum")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(4, activation="relu", name="one")(x)
    model = randomised(keras.Model(ids, layers.Dense(3, name="two")(x)))
    if mode:
        model.quantize(mode)
    return model


def stages(model, *last, tolerance=None) -> Artifacts:
    inputs = generated_inputs(model, 6)
    artifacts = Artifacts(Job(model, None, inputs, tolerance=tolerance or derived_tolerance(model)))
    for stage in (Export(), Normalize(), Verify(), *last):
        run_stage(stage, artifacts, Silent())
    return artifacts


@pytest.mark.parametrize("policy", ["mixed_float16", "float16", "mixed_bfloat16", "bfloat16", "float64"])
def test_every_policy_goes_through_stages_1_to_4_bit_exact(policy):
    model = network(policy)
    artifacts = stages(model, Import())
    assert artifacts[Verification].verified, artifacts[Verification].first_difference
    variables = artifacts[ExportedGraph].variables
    for path, array in variables.items():
        assert array.dtype.name == {"mixed_float16": "float32", "mixed_bfloat16": "float32"}.get(policy, policy), path
    state = artifacts[ImportedModule].module.state_dict()
    for key, recipe in artifacts[ImportedModule].recipes.items():
        made = recipe.apply(variables)
        assert made.tobytes() == state[key].numpy().tobytes()
        assert {each.formula for each in recipe.arithmetic} <= {"cast(a)"}
        if recipe.variables and recipe.arithmetic:  # float32 holds every value of a half precision
            assert np.array_equal(made.astype(recipe.variables[0].dtype).astype("float32"), made)


def test_policies_and_input_types_may_differ_layer_by_layer():
    artifacts = stages(in_part(), Import())
    assert artifacts[Verification].verified
    tolerance = derived_tolerance(in_part())
    assert "three computes in bfloat16" in tolerance.reason


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16", "float64"])
def test_a_wrong_layer_is_still_seen_in_every_precision(policy):
    """The negative twin: the graph of another model, whose head is turned round."""
    model = network(policy)
    artifacts = stages(model)
    graph = artifacts[ExportedGraph]
    wrong = {**graph.variables, "head/kernel": graph.variables["head/kernel"][:, ::-1].copy()}
    artifacts.add(replace(graph, variables=wrong))
    found = Verify().run(artifacts, Silent())
    assert not found.verified
    assert found.first_difference.name == "head"


def test_int8_is_dequantised_by_a_formula_that_the_recipe_tells():
    model = words("int8")
    artifacts = stages(model, Import())
    assert artifacts[Verification].verified, artifacts[Verification].first_difference
    recipes = artifacts[ImportedModule].recipes
    assert (
        str(recipes["one.weight"]) == "(one/kernel / one/kernel_scale) · transpose(1, 0)"
        or recipes["one.weight"].arithmetic
    )
    kernel, scale = np.asarray(model.get_layer("one")._kernel), np.asarray(model.get_layer("one").kernel_scale)
    weight = artifacts[ImportedModule].module.state_dict()["one.weight"].numpy()
    assert np.array_equal(weight, (kernel.astype("float32") / scale).T)
    table, scale = np.asarray(model.get_layer("embedding")._embeddings), model.get_layer("embedding").embeddings_scale
    weight = artifacts[ImportedModule].module.state_dict()["embedding.weight"].numpy()
    assert np.array_equal(weight, table.astype("float32") / np.asarray(scale)[:, None])


def test_a_wrong_scale_of_an_int8_layer_is_seen():
    artifacts = stages(words("int8"))
    graph = artifacts[ExportedGraph]
    wrong = {**graph.variables, "two/kernel_scale": graph.variables["two/kernel_scale"] * np.float32(1.5)}
    artifacts.add(replace(graph, variables=wrong))
    assert Verify().run(artifacts, Silent()).first_difference.name == "two"


@pytest.mark.parametrize("mode", ["int4", "float8"])
def test_other_quantisations_are_refused_by_name_before_anything_is_traced(mode):
    with pytest.raises(UnsupportedError, match=rf"one \(Dense\): its weights are quantized \({mode}\)"):
        stages(words(mode))


def test_a_subclassed_model_in_half_precision_that_no_config_makes_again_says_so():
    class Net(keras.Model):
        def __init__(self, size):
            super().__init__(dtype="mixed_float16", name="net")
            self.one = layers.Dense(size, dtype="mixed_float16", name="one")

        def call(self, x):
            return self.one(x)

    model = Net(3)
    model(np.zeros((1, 4), "float32"))
    with pytest.raises(UnsupportedError, match="cannot be made again in float32"):
        Export().run(Artifacts(Job(model, None, {"x": np.zeros((2, 4), "float32")})), Silent())


def test_the_tolerance_follows_from_the_coarsest_type_and_says_why():
    assert derived_tolerance(network("float32")) == Tolerance()
    assert derived_tolerance(network("float32")).reason == ""
    for policy, name in [("mixed_float16", "float16"), ("bfloat16", "bfloat16")]:
        tolerance = derived_tolerance(network(policy))
        assert tolerance.rtol == 4 * 5**0.5 * ROUNDING[name]  # five layers with weights
        assert f"conv computes in {name}" in tolerance.reason
    assert derived_tolerance(network("float64")).rtol == 1e-9
    assert derived_tolerance(words("int8")).rtol == 4 * 4**0.5 / 254
    import torch

    half = derived_tolerance(network("float32"), torch.nn.Linear(2, 2).half())
    assert "the module computes in float16" in half.reason
    assert derived_tolerance(network("float64"), torch.nn.Linear(2, 2)) == Tolerance()


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "bool", "float32"])
def test_integer_and_boolean_inputs(dtype):
    x = keras.Input((4,), dtype=dtype, name="x")
    floats = (
        layers.Rescaling(0.5)(x) if dtype == "float32" else layers.Lambda(lambda t: keras.ops.cast(t, "float32"))(x)
    )
    model = randomised(keras.Model(x, layers.Dense(3, name="fc")(floats)))
    values = np.random.default_rng(0).integers(0, 2, (5, 4)).astype(dtype)
    artifacts = Artifacts(Job(model, None, {"x": values}))
    for stage in (Export(), Normalize(), Verify(), Import()):
        run_stage(stage, artifacts, Silent())
    assert artifacts[Verification].verified
