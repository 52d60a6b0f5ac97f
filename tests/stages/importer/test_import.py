"""The imported module computes what ONNX Runtime computes, layer by layer, and knows where each tensor comes from."""

from __future__ import annotations

import dataclasses
import functools

import keras
import keras_models
import numpy as np
import pytest
import torch
from keras import layers
from keras_models import inputs_for, randomised
from layer_table import shapes, table_model
from torchgraft.stages.base import (
    Artifacts,
    ExportedGraph,
    ImportedModule,
    Job,
    NormalizedGraph,
    Silent,
    Tolerance,
)
from torchgraft.stages.errors import UnsupportedError
from torchgraft.stages.export import Export
from torchgraft.stages.importer import Import, imported
from torchgraft.stages.importer.names import module_name
from torchgraft.stages.measure import agreement
from torchgraft.stages.normalize import Normalize
from torchgraft.stages.plan import Fill
from torchgraft.stages.verify.onnx_run import OnnxRunner
from torchgraft.stages.verify.samples import samples_of

# Two runtimes' own order of summation over thousands of float32 products, fifty layers deep.
TOLERANCE = Tolerance(atol=1e-6, rtol=5e-5)


def shared_layers() -> keras.Model:
    """One convolution and one Dense on two inputs each; one value given twice, an inner value given, too."""
    conv, dense = layers.Conv2D(4, 2), layers.Dense(3)
    left, right = keras.Input((6, 7, 2), name="left"), keras.Input((6, 7, 2), name="right")
    a, b = conv(left), conv(right)
    outputs = [dense(layers.Flatten()(a)), dense(layers.Flatten()(b)), a, a]
    return randomised(keras.Model([left, right], outputs))


def without_scale_or_bias() -> keras.Model:
    image = keras.Input((6, 7, 3), name="image")
    x = layers.BatchNormalization(scale=False, center=False, name="bare")(image)
    x = layers.Conv2D(4, 2, use_bias=False, name="conv")(x)
    return randomised(keras.Model(image, layers.LayerNormalization(center=False, name="norm")(x)))


class Scaled(layers.Layer):
    """A weight that enters arithmetic directly, in two places."""

    def build(self, shape):
        self.factor = self.add_weight(shape=shape[1:], name="factor")

    def call(self, x):
        return x * self.factor + keras.ops.tanh(x + self.factor)


def own_arithmetic() -> keras.Model:
    image = keras.Input((5, 6, 3), name="image")
    return randomised(keras.Model(image, Scaled(name="scaled")(layers.Conv2D(2, 2)(image))))


MODELS = {
    "lenet": keras_models.lenet,
    "conv_bn_pool_dense": keras_models.conv_bn_pool_dense,
    "mini_xception": keras_models.mini_xception,
    "shared_and_nested": keras_models.shared_and_nested,
    "shared_layers": shared_layers,
    "without_scale_or_bias": without_scale_or_bias,
    "own_arithmetic": own_arithmetic,
    "ResNet50": lambda: keras_models.with_random_statistics("ResNet50", input_shape=(64, 64, 3), classes=10),
    "MobileNetV2": lambda: keras_models.with_random_statistics("MobileNetV2", input_shape=(64, 64, 3), classes=10),
}


def artifacts_of(model: keras.Model) -> Artifacts:
    artifacts = Artifacts(Job(model, None, inputs_for(model, samples=2)))
    for stage in (Export(), Normalize(), Import()):
        artifact = stage.run(artifacts, Silent())
        artifact.check()
        artifacts.add(artifact)
    return artifacts


@functools.cache
def artifacts_of_named(name: str) -> Artifacts:
    return artifacts_of(MODELS[name]())


class Recorder(torch.fx.Interpreter):
    """Keeps the value of every fx node."""

    def __init__(self, module: torch.fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, torch.Tensor] = {}

    def run_node(self, n):
        self.values[n.name] = super().run_node(n)
        return self.values[n.name]


def differences(artifacts: Artifacts, module: ImportedModule) -> list[str]:
    """Names of the outputs and layers at which the module is not what ONNX Runtime has for the normalised graph."""
    job, graph = artifacts[Job], artifacts[NormalizedGraph]
    theirs = OnnxRunner(graph, artifacts[ExportedGraph].variables).run(samples_of(job, graph))
    inputs = [torch.from_numpy(port.from_keras(job.inputs[port.name]).copy()) for port in graph.inputs]
    recorder = Recorder(module.module)
    with torch.no_grad():
        outputs = recorder.run(*inputs)
    outputs = (outputs,) if len(graph.outputs) == 1 else outputs
    pairs = [(port, value, theirs.outputs) for port, value in zip(graph.outputs, outputs, strict=True)]
    pairs += [(port, recorder.values[module.places[port.name]], theirs.layers) for port in graph.boundaries]
    rows = [
        agreement(port.name, ("torch", "onnxruntime"), port.to_keras(value.numpy()), array[port.name], TOLERANCE)
        for port, value, array in pairs
    ]
    return [row.name for row in rows if not row.agrees]


@pytest.mark.parametrize("name", MODELS)
def test_every_output_and_layer_is_what_onnxruntime_has(name):
    artifacts = artifacts_of_named(name)
    assert differences(artifacts, artifacts[ImportedModule]) == []


@pytest.mark.parametrize(("shape", "dtype"), shapes())
def test_every_layer_of_the_table_is_what_onnxruntime_has(shape, dtype):
    artifacts = artifacts_of(table_model(shape, dtype))
    assert differences(artifacts, artifacts[ImportedModule]) == []


@pytest.mark.parametrize("name", MODELS)
def test_every_tensor_is_bit_equal_to_its_recipe(name):
    artifacts = artifacts_of_named(name)
    module, variables = artifacts[ImportedModule], artifacts[ExportedGraph].variables
    state = module.module.state_dict()
    assert list(module.recipes) != []
    assert state.keys() == module.recipes.keys()
    for key, recipe in module.recipes.items():
        made = recipe.apply(variables)
        assert made.dtype == state[key].numpy().dtype, key
        assert made.tobytes() == state[key].numpy().tobytes(), key


@pytest.mark.parametrize("name", MODELS)
def test_every_variable_of_the_graph_is_in_the_module(name):
    artifacts = artifacts_of_named(name)
    held, used = (
        {variable.path for recipe in recipes.values() for variable in recipe.variables}
        for recipes in (artifacts[ImportedModule].recipes, artifacts[NormalizedGraph].weights)
    )
    assert held == used


def test_a_changed_weight_is_seen_at_its_layer_first():
    artifacts = artifacts_of(keras_models.lenet())
    module = artifacts[ImportedModule]
    with torch.no_grad():
        module.module.get_parameter("c3.weight").mul_(1.01)
    assert "c1" not in differences(artifacts, module)
    assert differences(artifacts, module)[:2] == ["output", "c3"]


def test_a_recipe_that_is_not_the_tensor_s_is_refused():
    artifacts = artifacts_of_named("lenet")
    graph = artifacts[NormalizedGraph]
    from torchgraft.stages.importer.convert import converted
    from torchgraft.stages.importer.parameters import layer_recipes

    variables = artifacts[ExportedGraph].variables
    source, module = converted(graph, variables)
    other = {**variables, "c1/bias": np.nextafter(variables["c1/bias"], 9, dtype="float32")}
    with pytest.raises(AssertionError, match=r"c1\.bias is not c1/bias"):
        layer_recipes(module, source, graph.weights, other)


def test_a_shared_layer_has_one_recipe_for_both_copies():
    module = artifacts_of_named("shared_layers")[ImportedModule]
    kernels = [recipe for key, recipe in module.recipes.items() if key.endswith("weight")]
    assert len(kernels) == 4
    assert sum(one.equals(other) for one in kernels for other in kernels) == 8, "two pairs, each of them equal"


def test_outputs_that_are_one_value_are_all_given():
    artifacts = artifacts_of_named("shared_layers")
    job, graph = artifacts[Job], artifacts[NormalizedGraph]
    inputs = [torch.from_numpy(port.from_keras(job.inputs[port.name]).copy()) for port in graph.inputs]
    outputs = artifacts[ImportedModule].module(*inputs)
    assert isinstance(outputs, tuple)
    assert len(outputs) == 4
    assert torch.equal(outputs[2], outputs[3])


def test_what_keras_does_not_store_is_a_stated_constant():
    recipes = artifacts_of_named("without_scale_or_bias")[ImportedModule].recipes
    assert recipes["bare.weight"].expression == Fill(1.0, (3,))
    assert recipes["bare.bias"].expression == Fill(0.0, (3,))
    assert recipes["bare.num_batches_tracked"].expression == Fill(0, (), "int64")
    assert any("scale=False" in line for line in recipes["bare.weight"].evidence)
    assert "conv.bias" not in recipes


def test_a_weight_in_arithmetic_is_one_parameter_and_constants_are_none():
    artifacts = artifacts_of_named("own_arithmetic")
    module = artifacts[ImportedModule]
    assert isinstance(module.module.get_parameter("weights.scaled/factor"), torch.nn.Parameter)
    assert len(module.recipes) == 3, "kernel, bias and factor, each once"


def test_layers_are_modules_of_their_names():
    module = artifacts_of_named("lenet")[ImportedModule].module
    children = dict(module.named_children())
    assert isinstance(children["c1"], torch.nn.Conv2d)
    assert isinstance(children["s2"], torch.nn.AvgPool2d)
    assert isinstance(children["flatten"], torch.nn.Flatten)
    assert isinstance(children["f6"], torch.nn.Linear)


def test_layers_may_be_called_like_what_a_module_has():
    vector = keras.Input((4,), name="vector")
    x = vector
    for name in ("forward", "weights", "class", "code"):
        x = layers.Dense(4, name=name)(x)
    artifacts = artifacts_of(randomised(keras.Model(vector, x)))
    assert differences(artifacts, artifacts[ImportedModule]) == []
    keys = {key.rpartition(".")[0] for key in artifacts[ImportedModule].recipes}
    assert keys == {"forward_", "weights_", "class_", "code_"}


def test_a_name_that_is_code_is_a_name():
    assert module_name('x"); raise SystemExit("', ()) == "x____raise_SystemExit__"
    assert module_name("a.b", {"a_b"}) == "a_b_"


def test_the_module_is_in_eval_mode_and_takes_any_batch():
    artifacts = artifacts_of_named("conv_bn_pool_dense")
    module = artifacts[ImportedModule].module
    assert not any(child.training for child in module.modules())
    one, many = torch.randn(1, 3, 9, 11), torch.randn(5, 3, 9, 11)
    with torch.no_grad():
        alone, together = module(one), module(torch.cat([one, many]))
    assert together.shape == (6, 5)
    # One sample in another batch: the same products in another blocking.
    torch.testing.assert_close(alone[0], together[0], rtol=1e-5, atol=1e-6)


def test_training_the_module_leaves_the_keras_variables_alone():
    artifacts = artifacts_of(keras_models.conv_bn_pool_dense())
    variables = artifacts[ExportedGraph].variables
    before = {path: array.copy() for path, array in variables.items()}
    with torch.no_grad():
        for tensor in artifacts[ImportedModule].module.state_dict().values():
            tensor.add_(1)
    assert all(np.array_equal(before[path], array) for path, array in variables.items())


@pytest.mark.parametrize("name", ["lenet", "mini_xception", "shared_layers", "own_arithmetic"])
def test_torch_export_reads_the_module(name):
    artifacts = artifacts_of_named(name)
    job, graph = artifacts[Job], artifacts[NormalizedGraph]
    inputs = tuple(torch.from_numpy(port.from_keras(job.inputs[port.name]).copy()) for port in graph.inputs)
    program = torch.export.export(artifacts[ImportedModule].module, inputs)
    assert any(node.op == "call_function" for node in program.graph.nodes)


def test_an_operator_that_nobody_converts_is_said():
    artifacts = artifacts_of_named("lenet")
    graph = artifacts[NormalizedGraph]
    import onnx_ir as ir

    model = ir.from_proto(ir.to_proto(graph.model))
    model.graph.node(0).op_type = "Det"
    with pytest.raises(UnsupportedError, match="Det"):
        imported(dataclasses.replace(graph, model=model), artifacts[ExportedGraph].variables)
