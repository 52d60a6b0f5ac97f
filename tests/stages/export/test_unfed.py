"""The optimizer's way around tensors of zeros in the place of weights."""

from __future__ import annotations

import keras_models
import pytest
import tensorflow as tf
import tf2onnx.tf_loader
from torchgraft.stages.export.trace import trace
from torchgraft.stages.export.unfed import unfed


@pytest.mark.parametrize("make", [keras_models.lenet, keras_models.conv_bn_pool_dense])
def test_the_optimizer_makes_the_same_graph_and_is_given_no_weight_to_feed(make):
    model = make()
    function = trace(model, keras_models.inputs_for(model)).function
    definition = function.graph.as_graph_def(add_shapes=True)
    names = [tensor.name for tensor in function.inputs], [tensor.name for tensor in function.outputs]
    weights = {name.partition(":")[0] for name in names[0] if name.startswith("weight_")}
    fed = []

    def optimize(given):
        fed.append({node.name for node in given.node if node.op == "Placeholder"})
        with tf.Graph().as_default():
            return tf2onnx.tf_loader.tf_optimize(*names, given)

    plain, ours = optimize(definition), unfed(optimize, definition, weights)
    assert weights <= fed[0]
    assert not weights & fed[1]
    for graph in (plain, ours):  # an attribute that the optimizer leaves away
        for node in graph.node:
            node.attr.pop("_output_shapes", None)
    assert list(ours.node) == list(plain.node)
