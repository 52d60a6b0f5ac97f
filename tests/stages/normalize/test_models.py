"""Whole models: no Transpose is left, and every layer computes what the raw graph computes."""

from __future__ import annotations

import dataclasses
import functools

import keras
import keras_models
import numpy as np
import pytest
from keras import layers
from keras_models import inputs_for, randomised
from layer_table import shapes, table_model
from onnx_text import operators
from torchgraft.stages.base import Artifacts, ExportedGraph, Job, NormalizedGraph, Silent, Tolerance
from torchgraft.stages.export import Export
from torchgraft.stages.measure import agreement
from torchgraft.stages.normalize import Normalize
from torchgraft.stages.plan import Reorder
from torchgraft.stages.verify.onnx_run import OnnxRunner
from torchgraft.stages.verify.samples import samples_of

# The same operations in another layout: sums of thousands of float32 products in another order, fifty layers deep.
TOLERANCE = Tolerance(atol=1e-6, rtol=2e-5)


def signal_net() -> keras.Model:
    """1-D: convolution, pooling, dropout and a BatchNormalization after the Flatten."""
    return randomised(
        keras.Sequential(
            [
                keras.Input((21, 3), name="signal"),
                layers.Conv1D(5, 4, padding="same", strides=2, activation="relu"),
                layers.BatchNormalization(),
                layers.MaxPooling1D(2, padding="same"),
                layers.Flatten(),
                layers.Dropout(0.3),
                layers.BatchNormalization(scale=False),
                layers.Dense(7),
            ]
        )
    )


def volume_net() -> keras.Model:
    """3-D: convolution, pooling, Flatten."""
    return randomised(
        keras.Sequential(
            [
                keras.Input((6, 7, 9, 2), name="volume"),
                layers.Conv3D(4, 3, activation="relu"),
                layers.BatchNormalization(),
                layers.AveragePooling3D(2),
                layers.Flatten(),
                layers.Dense(3),
            ]
        )
    )


def squeeze_and_excite() -> keras.Model:
    """Preprocessing, channel attention through a Dense and through a convolution, a concatenation."""
    image = keras.Input((9, 11, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 3, activation="swish")(x)
    gate = layers.Dense(8, activation="sigmoid")(layers.GlobalAveragePooling2D()(x))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 8))(gate)])
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    y = layers.Multiply()([x, gate])
    return randomised(keras.Model(image, layers.PReLU(shared_axes=[1, 2])(layers.Concatenate()([x, y]))))


def decoder() -> keras.Model:
    """Dense → Reshape → ConvTranspose: the order of the features goes up into the Dense."""
    code = keras.Input((10,), name="code")
    x = layers.BatchNormalization()(layers.Dense(4 * 5 * 6, activation="relu")(code))
    x = layers.Reshape((4, 5, 6))(x)
    return randomised(keras.Model(code, layers.Conv2DTranspose(3, 3, strides=2, padding="same")(x)))


def branches() -> keras.Model:
    """Two inputs, flattened branches concatenated, one value given twice, a value given beside what is made of it."""
    image, vector = keras.Input((8, 9, 3), name="image"), keras.Input((5,), name="vector")
    x = layers.Conv2D(4, 3)(image)
    y = layers.ReLU()(x)
    flat = layers.Flatten()(y), vector, layers.Flatten()(layers.Conv2D(2, 3)(y))
    joined = layers.Dropout(0.1)(layers.Concatenate()(flat))
    return randomised(keras.Model([image, vector], [layers.Dense(6)(joined), y, x, y, joined]))


MODELS = {
    "lenet": keras_models.lenet,
    "conv_bn_pool_dense": keras_models.conv_bn_pool_dense,
    "conv1d_flatten_dense": keras_models.conv1d_flatten_dense,
    "mini_xception": keras_models.mini_xception,
    "shared_and_nested": keras_models.shared_and_nested,
    "subclassed": keras_models.subclassed,
    "signal_net": signal_net,
    "volume_net": volume_net,
    "squeeze_and_excite": squeeze_and_excite,
    "decoder": decoder,
    "branches": branches,
    "ResNet50": lambda: keras_models.with_random_statistics("ResNet50", input_shape=(64, 64, 3), classes=10),
    "MobileNetV2": lambda: keras_models.with_random_statistics("MobileNetV2", input_shape=(64, 64, 3), classes=10),
}


def graphs_of(model: keras.Model) -> Artifacts:
    # A subclassed model has no inputs of its own: it takes what its call takes.
    inputs = inputs_for(model, samples=2) if hasattr(model, "inputs") else {"x": np.eye(2, 4, dtype="float32")}
    artifacts = Artifacts(Job(model, None, inputs))
    for stage in (Export(), Normalize()):
        artifact = stage.run(artifacts, Silent())
        artifact.check()
        artifacts.add(artifact)
    return artifacts


@functools.cache
def graphs_of_named(name: str) -> Artifacts:
    return graphs_of(MODELS[name]())


def differences(artifacts: Artifacts, graph: NormalizedGraph) -> list[str]:
    """Names of the outputs and layers at which ``graph`` is not what the raw graph is."""
    raw = artifacts[ExportedGraph]
    samples = samples_of(artifacts[Job], raw)
    ours, theirs = (OnnxRunner(one, raw.variables).run(samples) for one in (graph, raw))
    assert ours.outputs.keys() == theirs.outputs.keys()
    assert ours.layers.keys() == theirs.layers.keys() - graph.unkept.keys()
    pairs = [
        *((name, array, theirs.outputs[name]) for name, array in ours.outputs.items()),
        *((name, array, theirs.layers[name]) for name, array in ours.layers.items()),
    ]
    rows = [agreement(name, ("normalized", "raw"), here, there, TOLERANCE) for name, here, there in pairs]
    return [row.name for row in rows if not row.agrees]


@pytest.mark.parametrize("name", MODELS)
def test_no_transpose_is_left_and_no_reorder_in_its_place(name):
    found = operators(graphs_of_named(name)[NormalizedGraph])
    assert "Transpose" not in found
    assert "Gather" not in found


@pytest.mark.parametrize("name", MODELS)
def test_every_output_and_layer_is_what_it_was(name):
    artifacts = graphs_of_named(name)
    assert differences(artifacts, artifacts[NormalizedGraph]) == []
    assert not artifacts[NormalizedGraph].unkept


@pytest.mark.parametrize("name", MODELS)
def test_every_variable_that_was_used_still_is(name):
    artifacts = graphs_of_named(name)
    before, after = (
        {variable.path for recipe in artifacts[kind].weights.values() for variable in recipe.variables}
        for kind in (ExportedGraph, NormalizedGraph)
    )
    assert after == before


@pytest.mark.parametrize(("shape", "dtype"), shapes())
def test_every_layer_of_the_table_is_what_it_was(shape, dtype):
    artifacts = graphs_of(table_model(shape, dtype))
    assert differences(artifacts, artifacts[NormalizedGraph]) == []


def test_a_kernel_in_another_order_is_seen():
    artifacts = graphs_of_named("lenet")
    graph = artifacts[NormalizedGraph]
    name = next(name for name in graph.weights if name.startswith("f6") and "kernel" in name)
    length = graph.weights[name].shape[1]
    wrong = graph.weights[name].then(Reorder.along(1, np.roll(np.arange(length), 1)))
    corrupt = dataclasses.replace(graph, weights={**graph.weights, name: wrong})
    assert differences(artifacts, corrupt)[0] == "output"


def test_a_boundary_that_is_told_the_wrong_layout_is_seen():
    artifacts = graphs_of_named("lenet")
    graph = artifacts[NormalizedGraph]
    moved = next(boundary for boundary in graph.boundaries if boundary.moves)
    wrong = tuple(
        dataclasses.replace(boundary, moves=()) if boundary is moved else boundary for boundary in graph.boundaries
    )
    assert differences(artifacts, dataclasses.replace(graph, boundaries=wrong)) == [moved.name]


def test_layers_are_found_again_by_the_names_of_nodes():
    graph = graphs_of_named("lenet")[NormalizedGraph]
    names = {node.name for node in graph.model.graph}
    assert {"c1", "s2", "c3", "s4", "c5", "flatten", "f6", "output"} <= names
    assert len(names) == len(graph.model.graph)


def test_the_batch_has_the_name_that_it_has_in_the_raw_graph():
    """Sizes without a name are all different to ONNX Runtime: it then copies what an addition could write into."""
    artifacts = graphs_of_named("branches")
    batches = [
        {str(value.shape[0]) for value in artifacts[kind].model.graph.inputs if value.name in names}
        for kind in (ExportedGraph, NormalizedGraph)
        for names in [{port.value for port in artifacts[kind].inputs}]
    ]
    assert batches == [{"batch"}, {"batch"}]


def test_the_raw_graph_is_left_as_it_was():
    model = keras_models.conv_bn_pool_dense()
    artifacts = Artifacts(Job(model, None, inputs_for(model)))
    raw = Export().run(artifacts, Silent())
    before = [str(node) for node in raw.model.graph]
    artifacts.add(raw)
    Normalize().run(artifacts, Silent())
    assert [str(node) for node in raw.model.graph] == before


def test_the_work_grows_with_the_number_of_nodes_alone():
    """Each node is rewritten once a round: calls are counted, as time would depend on the machine."""
    from torchgraft.stages.normalize import driver

    counts = []
    for depth in (10, 40):
        image = keras.Input((8, 8, 3))
        x = image
        for _ in range(depth):
            x = layers.ReLU()(layers.Conv2D(3, 3, padding="same")(x))
        job = Job(keras.Model(image, x), None, {image.name: np.zeros((1, 8, 8, 3), "float32")})
        raw = Export().run(Artifacts(job), Silent())
        calls = 0
        original = driver.rule_of

        def counted(node, original=original):
            nonlocal calls
            calls += 1
            return original(node)

        driver.rule_of = counted
        try:
            Normalize().run(Artifacts(raw), Silent())
        finally:
            driver.rule_of = original
        counts.append(calls / len(raw.model.graph))
    assert counts[1] <= counts[0] * 1.1, counts
